/// Which nodes are at hand, and which additions a newly arrived node allows.
///
/// It moves no numbers: the owner of the buffers carries out each `Merge` as `left += right` and then calls the sum by
/// the parent's name. A node that overlaps one at hand is refused, so nothing is ever added twice.
package struct TreeFold: Sendable, Equatable {
    /// `left + right → parent`; both children are gone afterwards.
    package struct Merge: Sendable, Equatable {
        package var left: ShardRange
        package var right: ShardRange
        package var parent: ShardRange
    }

    package let tree: ShardTree
    /// Nodes at hand, sorted, pairwise disjoint, no two of them siblings.
    package private(set) var held: [ShardRange] = []

    package init(tree: ShardTree) { self.tree = tree }

    /// True once the root is at hand.
    package var isComplete: Bool { held == [tree.root] }

    /// Takes in `node`; nil when it is no node of the tree or overlaps one that counts already.
    ///
    package mutating func insert(_ node: ShardRange) -> [Merge]? {
        guard tree.has(node), !held.contains(where: { $0.overlaps(node) }) else { return nil }
        var merges: [Merge] = []
        var current = node
        while let (parent, sibling, isLeft) = tree.parent(of: current),
            let place = held.firstIndex(of: sibling)
        {
            held.remove(at: place)
            merges.append(
                isLeft
                    ? Merge(left: current, right: sibling, parent: parent)
                    : Merge(left: sibling, right: current, parent: parent))
            current = parent
        }
        let place = held.firstIndex { $0 > current } ?? held.count
        held.insert(current, at: place)
        return merges
    }
}
