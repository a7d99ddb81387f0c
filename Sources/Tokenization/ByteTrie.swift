/// Byte strings with a value each, for the longest match at a position.
struct ByteTrie: Sendable {
    private struct Node {
        var byte: UInt8
        /// −1 where no string ends.
        var value: Int32 = -1
        var firstChild: Int32 = -1
        var nextSibling: Int32 = -1
    }

    private var nodes: [Node] = []
    /// First byte → node, −1 where no string starts.
    private var roots: [Int32] = []

    /// Whether no string was inserted.
    var isEmpty: Bool { nodes.isEmpty }

    /// Inserts a string of at least one byte; the value of a string that is there stays as it is.
    mutating func insert(_ bytes: [UInt8], value: Int32) {
        precondition(!bytes.isEmpty, "an empty string would match everywhere")
        if roots.isEmpty { roots = Array(repeating: -1, count: 256) }
        if roots[Int(bytes[0])] < 0 { roots[Int(bytes[0])] = add(bytes[0]) }
        var node = roots[Int(bytes[0])]
        for byte in bytes.dropFirst() { node = child(of: node, byte) ?? addChild(of: node, byte) }
        if nodes[Int(node)].value < 0 { nodes[Int(node)].value = value }
    }

    /// The longest string that stands at `at`.
    func longestMatch(_ text: UTF8Text, from at: Int) -> (value: Int32, length: Int)? {
        guard !nodes.isEmpty, roots[Int(text.bytes[at])] >= 0 else { return nil }
        var found: (value: Int32, length: Int)?
        var node = roots[Int(text.bytes[at])]
        var position = at + 1
        while true {
            if nodes[Int(node)].value >= 0 { found = (nodes[Int(node)].value, position - at) }
            guard position < text.end, let next = child(of: node, text.bytes[position]) else { return found }
            node = next
            position += 1
        }
    }

    /// The first position from `at` on where some string might start; `text.end` when there is none.
    func candidate(_ text: UTF8Text, from at: Int) -> Int {
        guard !nodes.isEmpty else { return text.end }
        return roots.withUnsafeBufferPointer { roots in
            var at = at
            while at < text.end, roots[Int(text.bytes[at])] < 0 { at += 1 }
            return at
        }
    }

    private func child(of node: Int32, _ byte: UInt8) -> Int32? {
        var child = nodes[Int(node)].firstChild
        while child >= 0, nodes[Int(child)].byte != byte { child = nodes[Int(child)].nextSibling }
        return child < 0 ? nil : child
    }

    private mutating func add(_ byte: UInt8) -> Int32 {
        nodes.append(Node(byte: byte))
        return Int32(nodes.count - 1)
    }

    private mutating func addChild(of node: Int32, _ byte: UInt8) -> Int32 {
        let child = add(byte)
        nodes[Int(child)].nextSibling = nodes[Int(node)].firstChild
        nodes[Int(node)].firstChild = child
        return child
    }
}
