import Collectives
import Terms
import Testing

@Suite struct TreeFoldTests {
    /// Carries out merges on texts, as the owner of buffers does on numbers.
    private final class Symbols {
        var fold: TreeFold
        var values: [(node: ShardRange, text: String)] = []

        init(leaves: Int) { fold = TreeFold(tree: ShardTree(leaves: leaves)) }

        /// False when the fold refused the node.
        func add(_ node: ShardRange) -> Bool {
            guard let merges = fold.insert(node) else { return false }
            values.append((node, ShardTreeTests.text(node)))
            for merge in merges {
                let left = values.remove(at: values.firstIndex { $0.node == merge.left }!)
                let right = values.remove(at: values.firstIndex { $0.node == merge.right }!)
                values.append((merge.parent, "(\(left.text)+\(right.text))"))
            }
            return true
        }
    }

    private func shuffled(_ nodes: [ShardRange], _ seed: Int) -> [ShardRange] {
        let random = Philox(seed: UInt64(seed), purpose: .probe)
        return nodes.enumerated().sorted { random.bits(UInt64($0.offset)) < random.bits(UInt64($1.offset)) }.map(
            \.element)
    }

    @Test(arguments: 1...17)
    func `leaves in any order give the tree's own parentheses`(leaves: Int) {
        let expected = ShardTreeTests.text(ShardRange(0, leaves))
        for seed in 0..<30 {
            let symbols = Symbols(leaves: leaves)
            for node in shuffled((0..<leaves).map { ShardRange($0, $0 + 1) }, seed) {
                #expect(!symbols.fold.isComplete)
                #expect(symbols.add(node))
            }
            #expect(symbols.fold.isComplete)
            #expect(symbols.values.map(\.text) == [expected])
        }
    }

    @Test func `whatever the workers' intervals, the sum is the same`() {
        for seed in 0..<300 {
            let random = Philox(seed: UInt64(seed), purpose: .simulation)
            let leaves = 1 + Int(random.below(16, 0))
            let tree = ShardTree(leaves: leaves)
            var cuts = [0, leaves]
            for index in 0..<random.below(4, 1) { cuts.append(Int(random.below(UInt64(leaves + 1), 2 + index))) }
            cuts.sort()
            let nodes = zip(cuts, cuts.dropFirst()).flatMap { tree.maximalNodes(in: ShardRange($0, $1)) }
            let symbols = Symbols(leaves: leaves)
            for node in shuffled(nodes, seed) { #expect(symbols.add(node)) }
            #expect(symbols.values.map(\.text) == [ShardTreeTests.text(tree.root)])
        }
    }

    @Test func `nothing is ever added twice`() {
        let symbols = Symbols(leaves: 8)
        #expect(symbols.add(ShardRange(0, 2)))
        let held = symbols.fold.held

        for node in [ShardRange(0, 2), ShardRange(0, 1), ShardRange(1, 2), ShardRange(0, 4), ShardRange(0, 8)] {
            #expect(!symbols.add(node))
        }

        #expect(symbols.fold.held == held)
    }

    @Test func `a node that was merged away is still refused`() {
        let symbols = Symbols(leaves: 4)
        for shard in 0..<4 { #expect(symbols.add(ShardRange(shard, shard + 1))) }

        #expect(!symbols.add(ShardRange(2, 3)))
        #expect(symbols.fold.isComplete)
    }

    @Test func `what is no node of the tree is refused`() {
        var fold = TreeFold(tree: ShardTree(leaves: 6))

        for range in [
            ShardRange(1, 3), ShardRange(0, 3), ShardRange(4, 7), ShardRange(-1, 0), ShardRange(2, 2), ShardRange(0, 5),
        ] {
            #expect(fold.insert(range) == nil)
        }
        #expect(fold.held.isEmpty)
    }

    @Test func `held nodes stay sorted and apart`() {
        for seed in 0..<50 {
            var fold = TreeFold(tree: ShardTree(leaves: 13))
            for node in shuffled((0..<13).map { ShardRange($0, $0 + 1) }, seed) {
                _ = fold.insert(node)
                #expect(zip(fold.held, fold.held.dropFirst()).allSatisfy { $0.upper <= $1.lower })
            }
        }
    }
}
