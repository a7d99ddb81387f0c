import Collectives
import Kernels

/// One chunk of the own slice: the nodes that have arrived, added by the reduction tree as soon as two are siblings.
struct ChunkFold {
    /// A node's values of the chunk.
    struct Part {
        var shards: ShardRange
        var lossSum: Double
        /// Its first element; fp32, of any alignment.
        var start: UnsafeRawPointer
        /// Keeps `start` alive; nil = valid only during the call that brings it.
        var owner: AnyObject?
        /// Memory that nobody else reads: the next sum may be written there.
        var scratch: NodeSum?

        init(shards: ShardRange, lossSum: Double, start: UnsafeRawPointer, owner: AnyObject? = nil) {
            (self.shards, self.lossSum, self.start, self.owner) = (shards, lossSum, start, owner)
        }

        init(_ scratch: NodeSum) {
            self.init(
                shards: scratch.shards, lossSum: scratch.lossSum, start: UnsafeRawPointer(scratch.pointer),
                owner: scratch)
            self.scratch = scratch
        }
    }

    /// The elements of the flat vector that it holds.
    let range: Range<Int>
    private var fold: TreeFold
    /// Values of `held`; none once the root was taken.
    private var parts: [Part] = []

    init(tree: ShardTree, range: Range<Int>) {
        self.range = range
        fold = TreeFold(tree: tree)
    }

    /// The nodes at hand.
    var held: [ShardRange] { fold.held }

    /// Takes a part in and adds what can be added; false when its shards are no node or one of them counts already.
    mutating func insert(_ part: Part, _ wire: GradientWire, _ pool: BufferPool) -> Bool {
        guard let merges = fold.insert(part.shards) else { return false }
        parts.append(part)
        for merge in merges {
            let left = take(merge.left)
            let right = take(merge.right)
            parts.append(add(left, right, merge.parent, wire, pool))
        }
        if merges.isEmpty, part.owner == nil {
            let kept = NodeSum(shards: part.shards, lossSum: part.lossSum, from: pool)
            UnsafeMutableRawPointer(kept.pointer).copyMemory(from: part.start, byteCount: 4 * range.count)
            parts[parts.count - 1] = Part(kept)
        }
        return true
    }

    /// The sum over all shards, once.
    mutating func takeRoot() -> Part? {
        guard fold.isComplete, let root = parts.first else { return nil }
        parts = []
        return root
    }

    private mutating func take(_ shards: ShardRange) -> Part {
        guard let place = parts.firstIndex(where: { $0.shards == shards }) else {
            preconditionFailure("the fold holds \(shards)")
        }
        return parts.remove(at: place)
    }

    private func add(
        _ left: Part, _ right: Part, _ parent: ShardRange, _ wire: GradientWire, _ pool: BufferPool
    ) -> Part {
        let sum = left.scratch ?? right.scratch ?? NodeSum(shards: parent, lossSum: 0, from: pool)
        wire.add(left.start, right.start, range, into: sum.pointer)
        sum.shards = parent
        sum.lossSum = left.lossSum + right.lossSum
        return Part(sum)
    }
}
