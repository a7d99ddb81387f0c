internal import CKernels

/// All arithmetic of a model on fp32 memory, shared out over one team.
///
/// Tensors are row-major; T = tokens (`rows`), D = width, H = heads, hd = head width, V = vocabulary. Results are the
/// same bits for any number of threads and at any level. Outputs must not overlap inputs unless an op says so.
package struct Compute: Sendable {
    /// The threads that work.
    package let team: Team
    /// Which instructions the kernels use.
    package let level: KernelLevel
    /// What matrix products multiply.
    package private(set) var arithmetic = Arithmetic.fp32
    /// What multiplies bf16; nil = operands are rounded and multiplied as fp32.
    private(set) var native: NativeProducts?
    nonisolated(unsafe) let kernels: UnsafePointer<dk_kernels>

    /// Ops on `team`, with the fastest kernels of this machine.
    package init(team: Team) {
        guard let best = Compute(team: team, level: .best) else {
            preconditionFailure("the best level is always there")
        }
        self = best
    }

    /// Ops on `team` with the kernels of one level; nil where the machine lacks its instructions.
    package init?(team: Team, level: KernelLevel) {
        guard let kernels = dk_kernels_at(level.tag) else { return nil }
        (self.team, self.level, self.kernels) = (team, level, kernels)
    }

    /// The same ops on the same team with another arithmetic; native where this machine is (`hasNativeBF16`).
    package func using(_ arithmetic: Arithmetic) -> Compute {
        guard arithmetic == .bf16, native == nil, Self.hasNativeBF16 else { return using(arithmetic, native: native) }
        return using(arithmetic, native: NativeProducts(.bf16, threads: team.threads))
    }

    /// The same with given native products, or none.
    package func using(_ arithmetic: Arithmetic, native: NativeProducts?) -> Compute {
        var compute = self
        (compute.arithmetic, compute.native) = (arithmetic, native)
        return compute
    }
}

/// A set of instructions that the kernels are compiled for; all give the same bits.
package enum KernelLevel: String, Sendable, CaseIterable {
    /// The baseline of the architecture: NEON on aarch64.
    case portable
    /// x86-64 with AVX2 and FMA.
    case avx2
    /// x86-64 with AVX-512 (F, BW, DQ, VL).
    case avx512

    /// The fastest that this machine has.
    package static var best: KernelLevel {
        switch dk_best_level() {
        case dk_level_avx512: .avx512
        case dk_level_avx2: .avx2
        default: .portable
        }
    }

    var tag: dk_level {
        switch self {
        case .portable: dk_level_portable
        case .avx2: dk_level_avx2
        case .avx512: dk_level_avx512
        }
    }
}

/// Which dimensions of a head turn together.
package enum RotaryLayout: Sendable {
    /// Dimension i with i + rotary/2 (GPT-NeoX, Llama in Hugging Face layout, Qwen).
    case half
    /// Dimension 2i with 2i + 1 (GPT-J).
    case interleaved
}
