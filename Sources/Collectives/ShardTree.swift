/// A node of the reduction tree: the virtual shards `lower ..< upper`.
package struct ShardRange: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var lower: Int
    package var upper: Int

    package init(_ lower: Int, _ upper: Int) {
        self.lower = lower
        self.upper = upper
    }

    package var count: Int { upper - lower }
    package var isEmpty: Bool { upper <= lower }
    package func overlaps(_ other: ShardRange) -> Bool { lower < other.upper && other.lower < upper }
    package func contains(_ other: ShardRange) -> Bool { lower <= other.lower && other.upper <= upper }
    package var description: String { "[\(lower),\(upper))" }

    package static func < (left: ShardRange, right: ShardRange) -> Bool {
        (left.lower, left.upper) < (right.lower, right.upper)
    }
}

/// The one order in which shard gradients are added, whoever computed them.
///
/// Leaves are the shards 0 ..< V. A node over [a, b) with more than one leaf splits at a + the largest power of two
/// below b − a, and its value is left + right (design §4.1, rule 2).
package struct ShardTree: Sendable, Equatable {
    /// V, > 0.
    package let leaves: Int

    package init(leaves: Int) {
        precondition(leaves > 0, "a reduction tree needs a leaf")
        self.leaves = leaves
    }

    package var root: ShardRange { ShardRange(0, leaves) }

    /// Where a node with at least two leaves splits.
    package static func split(_ node: ShardRange) -> Int {
        precondition(node.count > 1, "a leaf does not split")
        var power = 1
        while power * 2 < node.count { power *= 2 }
        return node.lower + power
    }

    /// True when `node` is one of the tree's nodes.
    package func has(_ node: ShardRange) -> Bool {
        guard !node.isEmpty, root.contains(node) else { return false }
        return path(to: node) != nil
    }

    /// The node's parent and whether the node is its left child; nil for the root and for what is no node.
    package func parent(of node: ShardRange) -> (parent: ShardRange, sibling: ShardRange, isLeft: Bool)? {
        path(to: node) ?? nil
    }

    /// nil = no such node; .some(nil) = the root.
    private func path(to node: ShardRange) -> (parent: ShardRange, sibling: ShardRange, isLeft: Bool)?? {
        var here = root
        var above: (parent: ShardRange, sibling: ShardRange, isLeft: Bool)?
        while here != node {
            guard here.count > 1, here.contains(node) else { return nil }
            let middle = Self.split(here)
            let left = ShardRange(here.lower, middle)
            let right = ShardRange(middle, here.upper)
            if left.contains(node) {
                above = (here, right, true)
                here = left
            } else if right.contains(node) {
                above = (here, left, false)
                here = right
            } else {
                return nil
            }
        }
        return .some(above)
    }

    /// The largest node at the end of `interval` with at most `most` shards: what a late worker gives away.
    package func lastNode(of interval: ShardRange, most: Int) -> ShardRange? {
        guard most > 0, var node = maximalNodes(in: interval).last else { return nil }
        while node.count > most { node = ShardRange(Self.split(node), node.upper) }
        return node
    }

    /// The fewest nodes that tile `interval`, from the left: what a worker of that interval sends.
    package func maximalNodes(in interval: ShardRange) -> [ShardRange] {
        func cover(_ node: ShardRange) -> [ShardRange] {
            if interval.contains(node) { return [node] }
            guard node.overlaps(interval) else { return [] }
            let middle = Self.split(node)
            return cover(ShardRange(node.lower, middle)) + cover(ShardRange(middle, node.upper))
        }
        return interval.isEmpty ? [] : cover(root)
    }
}
