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
    /// Keeps what native products make of them; nil = they make it anew each time.
    let copies: PackedCopies?

    /// A matrix whose first element lies where `memory` says.
    package init(_ memory: Memory) { (self.memory, copies) = (memory, nil) }

    private init(_ memory: Memory, _ copies: PackedCopies?) { (self.memory, self.copies) = (memory, copies) }

    /// The same matrix, of which packed copies are kept for good, as it is stored and transposed, whichever is asked
    /// for: for weights that never change. What is kept changes no bit.
    package func keepingCopies() -> Matrix { Matrix(memory, PackedCopies()) }

    /// The matrix that begins `elements` further on; it keeps copies of its own if this one does.
    package func advanced(by elements: Int) -> Matrix {
        let copies = copies.map { _ in PackedCopies() }
        return switch memory {
        case .fp32(let pointer): Matrix(.fp32(pointer + elements), copies)
        case .bf16(let pointer): Matrix(.bf16(pointer + elements), copies)
        }
    }
}

/// One matrix packed for native products: as it is stored and transposed, each when it is first asked for.
final class PackedCopies: @unchecked Sendable {
    private var straight: FloatBuffer?
    private var transposed: FloatBuffer?

    /// Memory of `floats` for one of the two, and whether it holds the matrix; if not, the caller fills it now.
    func copy(transposed isTransposed: Bool, floats: Int) -> (memory: UnsafeMutablePointer<Float>, isCurrent: Bool) {
        if let old = isTransposed ? transposed : straight, old.count >= floats { return (old.pointer, true) }
        let made = FloatBuffer(count: floats)
        if isTransposed { transposed = made } else { straight = made }
        return (made.pointer, false)
    }
}

extension Compute {
    /// Whether this machine multiplies bf16 itself; else operands are rounded and multiplied as fp32.
    package static var hasNativeBF16: Bool { NativeProducts.isSupported }
}
