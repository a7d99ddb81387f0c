import Collectives
import Coordination
package import Kernels
package import Terms
package import Wire

/// One generation's gradient exchange at one member: nodes out, slices reduced in tree order, the root back in.
///
/// Direct exchange: each member owns a slice of the flat vector, receives everybody's nodes of that slice, adds them
/// by the reduction tree, and sends the finished slice to all. It goes chunk by chunk: a sum leaves as soon as its last
/// part is here, still in the processor's cache. Lives on the reactor thread. A chunk that does not fit (another
/// generation, no node of the tree, off the grid, overlapping) is counted and dropped.
package final class Exchange {
    /// Where outgoing chunks go.
    package struct Outgoing {
        package var to: [NodeID]
        package var header: DataHeader
        /// First byte of the payload, alive as long as `owner`.
        package var payload: UnsafeRawPointer
        /// Bytes of the payload.
        package var size: Int
        package var owner: AnyObject
    }

    package let roster: Roster
    let rank: Int
    private let tree: ShardTree
    private let node: NodeID
    private let slices: [Range<Int>]
    /// Of one chunk each.
    private let chunkPool = BufferPool(count: Chunks.elements)
    private let wire: GradientWire
    /// The finished sum, `[P]`; own memory, except alone, where the root node itself serves.
    private let root: FloatBuffer?
    private var steps: StepWindow<StepExchange>
    /// Chunks that fitted nowhere.
    package private(set) var dropped = 0

    /// - Parameters:
    ///   - parameters: P, elements of the gradient.
    ///   - root: where the finished sum goes, `[P]`; nil for a lone member.
    package init(
        roster: Roster, rank: Int, node: NodeID, virtualShards: Int, parameters: Int, root: FloatBuffer?,
        wire: GradientWire
    ) {
        precondition(
            rank < roster.members.count && (root != nil || roster.members.count == 1),
            "a member among others needs a root")
        self.wire = wire
        steps = StepWindow(target: Step(clamping: roster.target))
        self.roster = roster
        self.rank = rank
        self.node = node
        tree = ShardTree(leaves: virtualShards)
        slices = roster.members.map { Int($0.slice.lowerBound)..<Int($0.slice.upperBound) }
        self.root = root
    }

    private var isAlone: Bool { roster.members.count == 1 }

    /// A step's sums at this member.
    private final class StepExchange {
        let step: Step
        let tag: UInt64
        /// The own slice, chunk by chunk.
        var folds: [ChunkFold]
        /// By rank: the finished slices.
        var roots: [ChunkTally]
        var lossSum = 0.0
        /// True once the whole sum was handed on.
        var isGathered = false

        init(step: Step, tag: UInt64, tree: ShardTree, slices: [Range<Int>], rank: Int) {
            self.step = step
            self.tag = tag
            folds = Chunks.cut(slices[rank]).map { ChunkFold(tree: tree, range: $0) }
            roots = slices.map(ChunkTally.init)
        }
    }

    /// What a finished gathering hands to the update: the root sum and where it lies.
    package struct Gathered {
        package var step: Step
        package var lossSum: Double
        package var gradient: UnsafeMutablePointer<Float>
        /// Keeps `gradient` alive.
        package var owner: AnyObject
    }

    /// Takes a node that this member computed; sends its slices.
    package func add(_ sum: NodeSum, step: Step, tag: UInt64) -> (out: [Outgoing], gathered: Gathered?) {
        steps.move(to: step)
        let state = exchange(step, tag)
        if isAlone {
            precondition(sum.shards == tree.root, "a lone worker computes the whole tree")
            return ([], Gathered(step: step, lossSum: sum.lossSum, gradient: sum.pointer, owner: sum))
        }
        var out: [Outgoing] = []
        var header = header(.node, state)
        header.shards = sum.shards
        header.lossSum = sum.lossSum
        // A chunk to everybody, then the next one, each member beginning behind itself: all get on at once, and a sum
        // is whole while its parts are still in the processor's cache.
        let others = (1..<slices.count).map { (rank + $0) % slices.count }
        let chunks = others.map { Chunks.cut(slices[$0]) }
        for place in 0..<(chunks.map(\.count).max() ?? 0) {
            for (member, chunks) in zip(others, chunks) where place < chunks.count {
                let start = sum.pointer + chunks[place].lowerBound
                out.append(packet(header, chunks[place], start, owner: sum, to: [roster.members[member].node]))
            }
        }
        guard tree.has(sum.shards) else { return drop() }
        for place in state.folds.indices {
            let start = UnsafeRawPointer(sum.pointer + state.folds[place].range.lowerBound)
            let part = ChunkFold.Part(shards: sum.shards, lossSum: sum.lossSum, start: start, owner: sum)
            if state.folds[place].insert(part, wire, chunkPool) { out += finish(place, state) } else { dropped += 1 }
        }
        return (out, gatheredIfComplete(state))
    }

    /// The member that owes most shards of the step, or at a later `turn` the next one after it; nil = nobody.
    package func late(in step: Step, tag: UInt64, turn: Int) -> NodeID? {
        // Everybody sends in order: what the last chunk has, all have.
        steps.sums(of: step, tag: tag)?.folds.last.flatMap {
            roster.late(in: step, holding: $0.held, at: rank, turn: turn)
        }
    }

    /// Takes a chunk from a peer; whatever does not fit is counted and dropped.
    package func receive(_ header: DataHeader, _ payload: UnsafeRawBufferPointer) -> (
        out: [Outgoing], gathered: Gathered?
    ) {
        guard header.job == roster.job, header.generation == roster.generation,
            let sender = roster.members.firstIndex(where: { $0.node == header.sender }), sender != rank,
            let step = Step(exactly: header.step), steps.takes(step, tag: header.recipeTag)
        else { return drop() }
        switch header.kind {
        case .node: return receiveNode(header, payload, exchange(step, header.recipeTag))
        case .root: return receiveRoot(header, payload, sender, exchange(step, header.recipeTag))
        default: return drop()
        }
    }

    private func drop() -> (out: [Outgoing], gathered: Gathered?) {
        dropped += 1
        return ([], nil)
    }

    /// The sums of `step`, made at first sight.
    private func exchange(_ step: Step, _ tag: UInt64) -> StepExchange {
        let place = steps.place(of: step, tag: tag) {
            StepExchange(step: step, tag: tag, tree: tree, slices: slices, rank: rank)
        }
        return steps[place]
    }

    private func receiveNode(
        _ header: DataHeader, _ payload: UnsafeRawBufferPointer, _ state: StepExchange
    ) -> (out: [Outgoing], gathered: Gathered?) {
        let range = Self.range(header)
        guard tree.has(header.shards),
            let place = Chunks.place(offset: header.offset, count: header.count, in: slices[rank]),
            payload.count == wire.bytes(of: range), let start = payload.baseAddress
        else { return drop() }
        var part = ChunkFold.Part(shards: header.shards, lossSum: header.lossSum, start: start)
        if wire.format != .fp32 {
            let scratch = NodeSum(shards: header.shards, lossSum: header.lossSum, from: chunkPool)
            _ = wire.decode(payload, range, to: scratch.pointer)
            part = ChunkFold.Part(scratch)
        }
        guard state.folds[place].insert(part, wire, chunkPool) else { return drop() }
        return (finish(place, state), gatheredIfComplete(state))
    }

    /// The elements of a chunk whose place was checked.
    private static func range(_ header: DataHeader) -> Range<Int> {
        Int(header.offset)..<Int(header.offset) + Int(header.count)
    }

    /// Sends a chunk of the own slice to everybody once it is the sum over all shards.
    private func finish(_ place: Int, _ state: StepExchange) -> [Outgoing] {
        guard let whole = state.folds[place].takeRoot(), let owner = whole.owner else { return [] }
        let range = state.folds[place].range
        let values = whole.start.assumingMemoryBound(to: Float.self)
        GradientWire.keep(values, range.count, to: root!.pointer + range.lowerBound)
        _ = state.roots[rank].note(offset: UInt64(range.lowerBound), count: UInt64(range.count))
        state.lossSum = whole.lossSum
        var header = header(.root, state)
        header.shards = tree.root
        header.lossSum = whole.lossSum
        let others = roster.members.map(\.node).filter { $0 != node }
        return [packet(header, range, values, owner: owner, to: others)]
    }

    private func receiveRoot(
        _ header: DataHeader, _ payload: UnsafeRawBufferPointer, _ sender: Int, _ state: StepExchange
    ) -> (out: [Outgoing], gathered: Gathered?) {
        guard header.shards == tree.root,
            Chunks.place(offset: header.offset, count: header.count, in: slices[sender]) != nil,
            payload.count == wire.bytes(of: Self.range(header)),
            state.roots[sender].note(offset: header.offset, count: header.count)
        else { return drop() }
        let range = Self.range(header)
        _ = wire.decode(payload, range, to: root!.pointer + range.lowerBound)
        state.lossSum = header.lossSum
        return ([], gatheredIfComplete(state))
    }

    private func gatheredIfComplete(_ state: StepExchange) -> Gathered? {
        guard !state.isGathered, state.roots.allSatisfy(\.isComplete) else { return nil }
        state.isGathered = true
        steps.move(to: state.step)
        return Gathered(step: state.step, lossSum: state.lossSum, gradient: root!.pointer, owner: root!)
    }

    private func header(_ kind: DataHeader.Kind, _ state: StepExchange) -> DataHeader {
        var header = DataHeader(
            kind: kind, job: roster.job, generation: roster.generation, step: UInt64(state.step), offset: 0, count: 0,
            sender: node)
        header.recipeTag = state.tag
        return header
    }

    /// A chunk in its form for the wire; `values` is its first element. fp32 is sent as it lies.
    private func packet(
        _ header: DataHeader, _ range: Range<Int>, _ values: UnsafePointer<Float>, owner: AnyObject, to: [NodeID]
    ) -> Outgoing {
        var header = header
        header.offset = UInt64(range.lowerBound)
        header.count = UInt64(range.count)
        let size = wire.bytes(of: range)
        guard wire.format != .fp32 else {
            return Outgoing(to: to, header: header, payload: UnsafeRawPointer(values), size: size, owner: owner)
        }
        let bytes = WireBytes(size)
        wire.encode(values, range, into: bytes.start)
        return Outgoing(to: to, header: header, payload: UnsafeRawPointer(bytes.start), size: size, owner: bytes)
    }
}

/// Bytes at an address that stays put while libzmq sends them.
private final class WireBytes {
    let start: UnsafeMutableRawPointer
    init(_ size: Int) { start = .allocate(byteCount: max(1, size), alignment: 64) }
    deinit { start.deallocate() }
}
