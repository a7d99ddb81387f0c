/// What matrix products multiply. Sums, norms, softmax, gradients and all state are fp32 in either.
package enum Arithmetic: String, Sendable, CaseIterable {
    /// fp32 operands.
    case fp32
    /// Operands rounded to bf16, to nearest even.
    case bf16
}

/// A weight matrix in the caller's memory, as matrix products read it.
package struct Matrix: @unchecked Sendable {
    /// Where the elements lie, row-major, and as what.
    package enum Memory {
        case fp32(UnsafePointer<Float>)
        case bf16(UnsafePointer<UInt16>)
    }

    /// The elements.
    package let memory: Memory

    /// A matrix whose first element lies where `memory` says.
    package init(_ memory: Memory) { self.memory = memory }

    /// The matrix that begins `elements` further on.
    package func advanced(by elements: Int) -> Matrix {
        switch memory {
        case .fp32(let pointer): Matrix(.fp32(pointer + elements))
        case .bf16(let pointer): Matrix(.bf16(pointer + elements))
        }
    }
}

extension Compute {
    /// Whether this machine multiplies bf16 itself; else operands are rounded and multiplied as fp32.
    package static var hasNativeBF16: Bool { false }
}
