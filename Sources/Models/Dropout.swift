internal import Kernels
internal import Terms

/// Dropout on what an adapter's A reads (Srivastava et al. 2014, JMLR 15, §4; as in peft), in training only.
///
/// Whether an element is dropped depends on the seed, the step, the sequence, the place in it, the module's path and
/// the element's column alone: so it is the same for any micro-batch, shard and worker, in recomputation and in the
/// backward pass, and there is no state to save.
package struct AdapterDropout: Sendable, Equatable {
    /// Part that is dropped, in [0, 1); the rest is divided by what is left.
    package let probability: Double
    /// The job's.
    package let seed: UInt64

    /// Dropout of a part `probability` of all elements.
    package init(probability: Double, seed: UInt64) {
        precondition(probability >= 0 && probability < 1, "dropout must leave something")
        (self.probability, self.seed) = (probability, seed)
    }
}

/// What dropout in one pass depends on.
struct Noise {
    /// `[T]` sequence and place of each token.
    let places: UnsafePointer<UInt64>
    /// The optimizer step.
    let step: UInt64
}

/// The dropout of one module.
struct DropoutMask {
    private let seed: UInt64
    private let module: UInt64
    /// Draws below are dropped.
    private let threshold: UInt32
    private let scale: Float

    init?(_ dropout: AdapterDropout?, path: String) {
        guard let dropout, dropout.probability > 0 else { return nil }
        seed = dropout.seed
        module = Philox.stream(named: path)
        threshold = UInt32(min(dropout.probability * 0x1p32, 0x1p32 - 1))
        scale = Float(1 / (1 - dropout.probability))
    }

    /// `y = mask(x)`, or `y += mask(x)`, `[rows, width]`; y may be x.
    func apply(
        _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, rows: Int, width: Int, adds: Bool, _ noise: Noise,
        _ compute: Compute
    ) {
        nonisolated(unsafe) let y = y
        nonisolated(unsafe) let x = x
        nonisolated(unsafe) let places = noise.places
        let stepStream = Philox.mix(module ^ Philox.mix(noise.step))
        compute.team.run(rows) { row in
            let random = Philox(
                seed: seed, purpose: .dropout, stream: Philox.mix(stepStream ^ Philox.mix(places[row])))
            let (to, from) = (y + row * width, x + row * width)
            func put(_ word: UInt32, _ column: Int) {
                let kept = word < threshold ? 0 : from[column] * scale
                to[column] = adds ? to[column] + kept : kept
            }
            for start in stride(from: 0, to: width, by: 4) {
                let (a, b, c, d) = random.words(UInt64(start / 4))
                put(a, start)
                if start + 1 < width { put(b, start + 1) }
                if start + 2 < width { put(c, start + 2) }
                if start + 3 < width { put(d, start + 3) }
            }
        }
    }
}
