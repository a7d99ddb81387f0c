/// What a stored tensor is to the optimizer.
package enum TensorRole: String, Sendable, CaseIterable, Comparable {
    /// The trained value itself.
    case parameter = "param"
    /// Adam's first moment m.
    case firstMoment = "adam_m"
    /// Adam's second moment v.
    case secondMoment = "adam_v"

    /// Position in a manifest among the roles of one tensor, 0…2.
    package var rank: Int {
        switch self {
        case .parameter: 0
        case .firstMoment: 1
        case .secondMoment: 2
        }
    }

    package static func < (left: TensorRole, right: TensorRole) -> Bool { left.rank < right.rank }
}

/// The trained tensors of a model in byte order of their names, back to back in one flat fp32 vector of P elements.
///
/// The same layout holds for parameters, moments and gradients.
package struct TensorLayout: Sendable, Equatable {
    /// One tensor and where it stands in the flat vector.
    package struct Tensor: Sendable, Equatable {
        /// The full name as it stands in the exported file.
        package let name: String
        /// Sizes of the axes; empty = one element, a zero axis = no element.
        package let shape: [Int]
        /// First element in the flat vector.
        package let offset: Int
        /// Product of `shape`.
        package let elements: Int
    }

    /// Tensors by ascending name bytes.
    package let tensors: [Tensor]
    /// Elements of the flat vector, P.
    package let elements: Int

    /// A layout of tensors in byte order of their names; fails on a repeated, unordered or unusable one.
    package init(_ list: [(name: String, shape: [Int])]) throws(CheckpointError) {
        guard list.count <= Limits.tensors else {
            throw .layout(tensor: "", problem: "more than \(Limits.tensors) tensors")
        }
        var tensors: [Tensor] = []
        tensors.reserveCapacity(list.count)
        var offset = 0
        for (name, shape) in list {
            if let problem = Self.problem(ofName: name) { throw .layout(tensor: name, problem: problem) }
            guard let count = Self.elements(of: shape), offset <= Limits.elements - count else {
                throw .layout(tensor: name, problem: "shape \(shape) is no usable shape")
            }
            if let last = tensors.last, !last.name.utf8.lexicographicallyPrecedes(name.utf8) {
                throw .layout(tensor: name, problem: "stands after `\(last.name)`, names must ascend by their bytes")
            }
            tensors.append(Tensor(name: name, shape: shape, offset: offset, elements: count))
            offset += count
        }
        self.tensors = tensors
        elements = offset
    }

    /// Bounds that keep hostile input from asking for memory.
    package enum Limits {
        package static let tensors = 65_536
        package static let axes = 8
        package static let nameBytes = 256
        /// Elements of one flat vector, 2^42.
        package static let elements = 1 << 42
    }

    /// Product of the axes; nil when an axis is negative, the axes are too many or the product too large.
    package static func elements(of shape: [Int]) -> Int? {
        guard shape.count <= Limits.axes, shape.allSatisfy({ $0 >= 0 }) else { return nil }
        if shape.contains(0) { return 0 }
        var product = 1
        for axis in shape {
            let (next, overflow) = product.multipliedReportingOverflow(by: axis)
            guard !overflow, next <= Limits.elements else { return nil }
            product = next
        }
        return product
    }

    /// Why `name` can't name a tensor, nil when it can: 1…256 bytes of letters, digits, `_`, `.`, `-`, `/`, no `..`.
    package static func problem(ofName name: String) -> String? {
        guard !name.isEmpty, name.utf8.count <= Limits.nameBytes else {
            return "a name has 1 to \(Limits.nameBytes) bytes"
        }
        var previous: UInt8 = 0
        for byte in name.utf8 {
            guard TextRules.isWordByte(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "/") else {
                return "a name holds letters, digits, `_`, `.`, `-` and `/` only"
            }
            if byte == UInt8(ascii: "."), previous == byte { return "a name holds no `..`" }
            previous = byte
        }
        return nil
    }
}

/// Which characters the repository's own words may hold.
enum TextRules {
    /// Letters, digits, `_` and `-`.
    static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// True for 1…`limit` bytes of letters, digits, `_` and `-`.
    static func isWord(_ text: String, limit: Int = 64) -> Bool {
        !text.isEmpty && text.utf8.count <= limit && text.utf8.allSatisfy(isWordByte)
    }
}
