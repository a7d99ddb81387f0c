internal import CKernels

/// How gradient sums travel between workers, and what that does to them: the same on one worker as on many.
///
/// With a compressed form every node of the reduction tree is rounded to what the wire can carry when it is made,
/// leaves and root too (design §4.1, rule 3). Rounding is idempotent, so the wire itself changes nothing any more.
package struct GradientWire: Sendable {
    /// The forms, by the name that a job file gives them.
    package enum Format: String, Sendable, CaseIterable {
        case fp32, bf16
        /// One byte an element, and one a block of at most `block` elements for a power of two that scales it.
        case int8
    }

    package let format: Format
    /// First elements of the tensors, ascending from 0; then the end of the last.
    private let bounds: [Int]

    /// Elements that share a scale: blocks begin at multiples of it in the flat vector, and at tensors.
    package static let block = Int(DK_WIRE_BLOCK)

    /// - Parameters:
    ///   - tensors: elements of each tensor of the flat vector, in its order.
    package init(_ format: Format, tensors: some Sequence<Int>) {
        self.format = format
        var bounds = [0]
        for count in tensors where count > 0 { bounds.append(bounds[bounds.count - 1] + count) }
        self.bounds = bounds
    }

    /// Bytes of the elements `range` on the wire; its bounds are multiples of `block`, or the vector's end.
    package func bytes(of range: Range<Int>) -> Int {
        switch format {
        case .fp32: range.count * 4
        case .bf16: range.count * 2
        case .int8:
            range.count
                + pieces(range).reduce(0) {
                    $0 + ($1.upperBound + Self.block - 1) / Self.block - $1.lowerBound / Self.block
                }
        }
    }

    /// The parts of `range` that lie in one tensor each, in order.
    private func pieces(_ range: Range<Int>) -> [Range<Int>] {
        guard !range.isEmpty else { return [] }
        var (low, high) = (0, bounds.count)
        while low < high {
            let middle = (low + high) / 2
            if bounds[middle] <= range.lowerBound { low = middle + 1 } else { high = middle }
        }
        var pieces: [Range<Int>] = []
        var at = range.lowerBound
        while at < range.upperBound {
            let end = low < bounds.count ? min(bounds[low], range.upperBound) : range.upperBound
            pieces.append(at..<end)
            at = end
            low += 1
        }
        return pieces
    }

    /// `sum = left + right`, then what the wire makes of it; all start at element `range.lowerBound` of the flat
    /// vector. The terms are fp32 of any alignment; `sum` may be one of them.
    package func add(
        _ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ range: Range<Int>, into sum: UnsafeMutablePointer<Float>
    ) {
        dk_wire_add(sum, left, right, range.count)
        round(sum, range)
    }

    /// Makes the elements `range`, the first of them at `values`, what they would be after the wire.
    package func round(_ values: UnsafeMutablePointer<Float>, _ range: Range<Int>) {
        switch format {
        case .fp32: break
        case .bf16: dk_wire_round_bf16(values, range.count)
        case .int8:
            for piece in pieces(range) {
                dk_wire_round_int8(values + (piece.lowerBound - range.lowerBound), piece.lowerBound, piece.count)
            }
        }
    }

    /// Writes the elements `range`, the first of them at `values`, in their form for the wire: `bytes(of: range)`.
    package func encode(
        _ values: UnsafePointer<Float>, _ range: Range<Int>, into target: UnsafeMutableRawPointer
    ) {
        switch format {
        case .fp32: target.copyMemory(from: values, byteCount: range.count * 4)
        case .bf16: dk_wire_to_bf16(target.assumingMemoryBound(to: UInt16.self), values, range.count)
        case .int8:
            let integers = target.assumingMemoryBound(to: Int8.self)
            var codes = (target + range.count).assumingMemoryBound(to: UInt8.self)
            for piece in pieces(range) {
                let place = piece.lowerBound - range.lowerBound
                codes += dk_wire_to_int8(integers + place, codes, values + place, piece.lowerBound, piece.count)
            }
        }
    }

    /// Copies elements that are read again only when the whole vector is here.
    package static func keep(_ from: UnsafeRawPointer, _ count: Int, to values: UnsafeMutablePointer<Float>) {
        dk_wire_copy(values, from, count)
    }

    /// Reads the elements `range` to `values` on; false when `bytes` are not of that many elements.
    package func decode(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, to values: UnsafeMutablePointer<Float>
    ) -> Bool {
        guard bytes.count == self.bytes(of: range) else { return false }
        guard let start = bytes.baseAddress else { return true }
        switch format {
        case .fp32: Self.keep(start, range.count, to: values)
        case .bf16: dk_wire_from_bf16(values, start.assumingMemoryBound(to: UInt16.self), range.count)
        case .int8:
            let integers = start.assumingMemoryBound(to: Int8.self)
            var codes = (start + range.count).assumingMemoryBound(to: UInt8.self)
            for piece in pieces(range) {
                let place = piece.lowerBound - range.lowerBound
                codes += dk_wire_from_int8(values + place, integers + place, codes, piece.lowerBound, piece.count)
            }
        }
        return true
    }
}

extension Compute {
    /// Makes the first `count` elements of a gradient what they would be after the wire.
    package func round(_ values: UnsafeMutablePointer<Float>, count: Int, for wire: GradientWire) {
        guard wire.format != .fp32 else { return }
        // A whole number of the wire's blocks.
        team.share(count, by: 65_536) { part in wire.round(values + part.lowerBound, part) }
    }
}
