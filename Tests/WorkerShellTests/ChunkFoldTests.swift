import Glibc
import Collectives
import Kernels
import Testing

@testable import WorkerShell

@Suite struct ChunkFoldTests {
    private static let range = 640..<640 + 77
    private static let tree = ShardTree(leaves: 5)

    /// A shard's values: sums of them depend on the order in which they are added.
    private static func shard(_ shard: Int) -> [Float] {
        range.map {
            Float(($0 * 7919 + shard * 104_729) % 1009 - 504)
                * Float(sign: .plus, exponent: 5 * shard - 9, significand: 1) / 3
        }
    }

    /// The value of a node, by the definition of the tree.
    private static func value(_ node: ShardRange) -> [Float] {
        guard node.count > 1 else { return shard(node.lower) }
        let middle = ShardTree.split(node)
        return zip(value(ShardRange(node.lower, middle)), value(ShardRange(middle, node.upper))).map { $0 + $1 }
    }

    /// What the fold makes of nodes that come in this order, each at an odd address that is overwritten afterwards.
    private static func root(_ nodes: [ShardRange], _ format: GradientWire.Format = .fp32) -> [Float]? {
        let wire = GradientWire(format, tensors: [range.upperBound])
        let pool = BufferPool(count: range.count)
        var fold = ChunkFold(tree: tree, range: range)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 4 * range.count + 1, alignment: 16)
        defer { memory.deallocate() }
        for node in nodes {
            value(node).withUnsafeBytes { (memory + 1).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            let part = ChunkFold.Part(shards: node, lossSum: Double(node.count), start: memory + 1)
            guard fold.insert(part, wire, pool) else { return nil }
            memset(memory, 0xFF, 4 * range.count + 1)
        }
        guard let whole = fold.takeRoot() else { return nil }
        return range.indices.map {
            whole.start.loadUnaligned(fromByteOffset: 4 * ($0 - range.lowerBound), as: Float.self)
        }
    }

    @Test(arguments: [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [3, 2, 4, 1, 0]])
    func `shards that come in any order are added in the tree's`(order: [Int]) throws {
        let root = try #require(Self.root(order.map { ShardRange($0, $0 + 1) }))

        #expect(root.map(\.bitPattern) == Self.value(Self.tree.root).map(\.bitPattern))
    }

    @Test func `nodes that somebody added already make the same sum`() throws {
        let root = try #require(Self.root([ShardRange(4, 5), ShardRange(2, 4), ShardRange(0, 2)]))

        #expect(root.map(\.bitPattern) == Self.value(Self.tree.root).map(\.bitPattern))
    }

    @Test(arguments: [
        [ShardRange(0, 1), ShardRange(0, 1)], [ShardRange(0, 2), ShardRange(1, 2)], [ShardRange(1, 3)],
        [ShardRange(0, 4), ShardRange(4, 5), ShardRange(2, 3)],
    ])
    func `what counts already, or is no node, is refused`(nodes: [ShardRange]) {
        #expect(Self.root(nodes) == nil)
    }

    @Test func `without all shards there is no sum`() {
        #expect(Self.root([0, 1, 2, 4].map { ShardRange($0, $0 + 1) }) == nil)
    }
}
