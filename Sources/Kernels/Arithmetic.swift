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

    /// The same matrix, of which packed copies are kept until `clock` moves on; without a clock for good.
    ///
    /// A product and its input's gradient want different copies: with `both` both are kept, else the one that is asked
    /// for first, and the other is made anew each time. What is kept changes no bit.
    package func keepingCopies(_ clock: WeightClock?, both: Bool = true) -> Matrix {
        Matrix(memory, PackedCopies(clock, both: both))
    }

    /// The matrix that begins `elements` further on; it keeps copies of its own if this one does.
    package func advanced(by elements: Int) -> Matrix {
        let copies = copies.map { PackedCopies($0.clock, both: $0.keepsBoth) }
        return switch memory {
        case .fp32(let pointer): Matrix(.fp32(pointer + elements), copies)
        case .bf16(let pointer): Matrix(.bf16(pointer + elements), copies)
        }
    }
}

/// Tells packed copies of trained weights that these have changed.
package final class WeightClock: @unchecked Sendable {
    fileprivate(set) var time = 0

    /// A clock at its start.
    package init() {}

    /// The weights have changed, or may have.
    package func moveOn() { time += 1 }
}

/// One matrix packed for native products: as it is stored and transposed, each when it is first asked for.
final class PackedCopies: @unchecked Sendable {
    fileprivate let clock: WeightClock?
    fileprivate let keepsBoth: Bool
    private var straight: (buffer: FloatBuffer, time: Int)?
    private var transposed: (buffer: FloatBuffer, time: Int)?

    init(_ clock: WeightClock?, both: Bool) { (self.clock, keepsBoth) = (clock, both) }

    /// Memory of `floats` for one of the two, and whether it holds the matrix; if not, the caller fills it now. nil =
    /// it is not kept.
    func copy(
        transposed isTransposed: Bool, floats: Int
    ) -> (memory: UnsafeMutablePointer<Float>, isCurrent: Bool)? {
        guard keepsBoth || (isTransposed ? straight : transposed) == nil else { return nil }
        let time = clock?.time ?? 0
        let old = isTransposed ? transposed : straight
        if let old, old.buffer.count >= floats {
            if isTransposed { transposed?.time = time } else { straight?.time = time }
            return (old.buffer.pointer, old.time == time)
        }
        let made = (buffer: FloatBuffer(count: floats), time: time)
        if isTransposed { transposed = made } else { straight = made }
        return (made.buffer.pointer, false)
    }
}

extension Compute {
    /// Whether this machine multiplies bf16 itself; else operands are rounded and multiplied as fp32.
    package static var hasNativeBF16: Bool { NativeProducts.isSupported }
}
