import Collectives
import Testing

@Suite struct ShardTreeTests {
    @Test func `what a late worker gives away is a node at the end with no more shards than asked for`() {
        let tree = ShardTree(leaves: 13)
        #expect(tree.lastNode(of: ShardRange(0, 13), most: 7) == ShardRange(8, 13))
        #expect(tree.lastNode(of: ShardRange(0, 8), most: 4) == ShardRange(4, 8))
        #expect(tree.lastNode(of: ShardRange(0, 8), most: 3) == ShardRange(6, 8))
        #expect(tree.lastNode(of: ShardRange(1, 8), most: 4) == ShardRange(4, 8))
        #expect(tree.lastNode(of: ShardRange(5, 8), most: 2) == ShardRange(6, 8))
        #expect(tree.lastNode(of: ShardRange(7, 8), most: 9) == ShardRange(7, 8))
        #expect(tree.lastNode(of: ShardRange(7, 8), most: 0) == nil)
        #expect(tree.lastNode(of: ShardRange(8, 8), most: 1) == nil)
        for lower in 0..<13 {
            for upper in lower + 1...13 {
                for most in 1...13 {
                    let node = tree.lastNode(of: ShardRange(lower, upper), most: most)
                    let fits = node.map { $0.upper == upper && $0.lower >= lower && $0.count <= most }
                    #expect(fits == true && node.map(tree.has) == true)
                }
            }
        }
    }

    /// The tree written out: `(0+1)` means left + right.
    static func text(_ node: ShardRange) -> String {
        guard node.count > 1 else { return "\(node.lower)" }
        let middle = ShardTree.split(node)
        return "(\(text(ShardRange(node.lower, middle)))+\(text(ShardRange(middle, node.upper))))"
    }

    /// Every node of a tree, leaves first.
    static func nodes(_ tree: ShardTree) -> [ShardRange] {
        func below(_ node: ShardRange) -> [ShardRange] {
            guard node.count > 1 else { return [node] }
            let middle = ShardTree.split(node)
            return below(ShardRange(node.lower, middle)) + below(ShardRange(middle, node.upper)) + [node]
        }
        return below(tree.root)
    }

    @Test(arguments: [
        (1, "0"), (2, "(0+1)"), (3, "((0+1)+2)"), (4, "((0+1)+(2+3))"), (5, "(((0+1)+(2+3))+4)"),
        (6, "(((0+1)+(2+3))+(4+5))"), (7, "(((0+1)+(2+3))+((4+5)+6))"), (8, "(((0+1)+(2+3))+((4+5)+(6+7)))"),
        (9, "((((0+1)+(2+3))+((4+5)+(6+7)))+8)"),
    ])
    func `a node splits at the largest power of two below its size`(known: (leaves: Int, text: String)) {
        #expect(Self.text(ShardTree(leaves: known.leaves).root) == known.text)
    }

    @Test func `a split does not depend on where the node lies`() {
        #expect(ShardTree.split(ShardRange(8, 13)) == 12)
        #expect(ShardTree.split(ShardRange(8, 12)) == 10)
        #expect(ShardTree.split(ShardRange(3, 5)) == 4)
    }

    @Test(arguments: 1...20)
    func `exactly the tree's nodes are nodes`(leaves: Int) {
        let tree = ShardTree(leaves: leaves)
        let nodes = Set(Self.nodes(tree))

        #expect(nodes.count == 2 * leaves - 1)
        for lower in -1...leaves + 1 {
            for upper in -1...leaves + 1 {
                let range = ShardRange(lower, upper)
                #expect(tree.has(range) == nodes.contains(range), "\(range) in a tree of \(leaves)")
            }
        }
    }

    @Test(arguments: 1...20)
    func `parent and sibling fit together`(leaves: Int) {
        let tree = ShardTree(leaves: leaves)
        #expect(tree.parent(of: tree.root) == nil)
        for node in Self.nodes(tree) where node != tree.root {
            guard let (parent, sibling, isLeft) = tree.parent(of: node) else {
                Issue.record("\(node) has no parent")
                continue
            }
            let (left, right) = isLeft ? (node, sibling) : (sibling, node)
            #expect(left.lower == parent.lower && right.upper == parent.upper)
            #expect(left.upper == right.lower && left.upper == ShardTree.split(parent))
        }
    }

    @Test(arguments: 1...18)
    func `maximal nodes tile an interval with as few nodes as can be`(leaves: Int) {
        let tree = ShardTree(leaves: leaves)
        let all = Self.nodes(tree)
        for lower in 0...leaves {
            for upper in lower...leaves {
                let interval = ShardRange(lower, upper)
                let nodes = tree.maximalNodes(in: interval)
                var next = lower
                for node in nodes {
                    #expect(node.lower == next && tree.has(node))
                    next = node.upper
                }
                #expect(next == max(lower, upper))
                // Fewest: no node of the tree inside the interval is larger than the tile it touches.
                for tile in nodes {
                    #expect(!all.contains { interval.contains($0) && $0.contains(tile) && $0 != tile })
                }
            }
        }
        #expect(tree.maximalNodes(in: tree.root) == [tree.root])
    }
}
