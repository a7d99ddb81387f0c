import Collectives
package import Kernels
package import Terms
package import Wire

/// One generation's gradient exchange at one member: nodes out, slices reduced in tree order, the root back in.
///
/// Direct exchange: each member owns a slice of the flat vector, receives everybody's nodes of that slice, adds them
/// by the reduction tree, and sends the finished slice to all. Lives on the reactor thread. A chunk that does not fit
/// (another generation, no node of the tree, off the grid, overlapping) is counted and dropped.
package final class Exchange {
    /// Where outgoing chunks go.
    package struct Outgoing {
        package var to: NodeID
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
    private let slicePool: BufferPool
    private let wire: GradientWire
    /// The finished sum, `[P]`; own memory, except alone, where the root node itself serves.
    private let root: FloatBuffer?
    private var steps: [StepExchange] = []
    /// Chunks that fitted nowhere.
    package private(set) var dropped = 0
    /// The newest step that this member itself has worked for.
    private var newest: Step

    /// Members can be ahead of this one by so many steps: nobody ends a step without everybody's shards, but a member may
    /// have none in a generation's first one.
    private static let window = 2

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
        newest = Step(clamping: roster.target)
        self.roster = roster
        self.rank = rank
        self.node = node
        tree = ShardTree(leaves: virtualShards)
        slices = roster.members.map { Int($0.slice.lowerBound)..<Int($0.slice.upperBound) }
        slicePool = BufferPool(count: max(1, slices[rank].count))
        self.root = root
    }

    private var isAlone: Bool { roster.members.count == 1 }

    /// A step's sums at this member.
    private final class StepExchange {
        let step: Step
        let tag: UInt64
        var fold: TreeFold
        /// Values of `fold.held`, own slice only.
        var held: [NodeSum] = []
        /// Node slices that are still arriving, by sender and node.
        var arriving: [(sender: NodeID, sum: NodeSum, tally: ChunkTally)] = []
        /// By rank: the finished slices.
        var roots: [ChunkTally]
        var lossSum = 0.0
        var gathered: NodeSum?

        init(step: Step, tag: UInt64, tree: ShardTree, slices: [Range<Int>]) {
            self.step = step
            self.tag = tag
            fold = TreeFold(tree: tree)
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
        newest = max(newest, step)
        steps.removeAll { $0.step < newest - 1 }
        let state = exchange(step, tag)
        if isAlone {
            precondition(sum.shards == tree.root, "a lone worker computes the whole tree")
            state.gathered = sum
            return ([], Gathered(step: step, lossSum: sum.lossSum, gradient: sum.pointer, owner: sum))
        }
        var out: [Outgoing] = []
        for (member, slice) in slices.enumerated() where member != rank {
            var header = DataHeader(
                kind: .node, job: roster.job, generation: roster.generation, step: UInt64(step), offset: 0, count: 0,
                sender: node)
            header.shards = sum.shards
            header.recipeTag = tag
            header.lossSum = sum.lossSum
            out += cut(slice, header, to: roster.members[member].node, base: sum.pointer, owner: sum)
        }
        let own = NodeSum(shards: sum.shards, lossSum: sum.lossSum, from: slicePool)
        let mine = slices[rank]
        own.pointer.update(from: sum.pointer + mine.lowerBound, count: mine.count)
        let (more, gathered) = insert(own, state)
        return (out + more, gathered)
    }

    /// The member that owes most shards of the step, of those that could give one away; nil = nobody.
    package func latest(in step: Step, tag: UInt64) -> NodeID? {
        guard !slices[rank].isEmpty, let state = steps.first(where: { $0.step == step && $0.tag == tag }) else {
            return nil
        }
        let isFirst = step == Int(clamping: roster.target) + 1
        func missing(_ member: Member) -> Int {
            let ranges = isFirst ? member.firstShards : [member.shards]
            return ranges.reduce(0) { count, range in
                count
                    + (range.lower..<range.upper).count { shard in
                        !state.fold.held.contains { $0.lower <= shard && shard < $0.upper }
                    }
            }
        }
        let late = roster.members.indices.filter { $0 != rank }.map { (rank: $0, missing: missing(roster.members[$0])) }
        return late.filter { $0.missing > 1 }.max { ($0.missing, $1.rank) < ($1.missing, $0.rank) }
            .map { roster.members[$0.rank].node }
    }

    /// Takes a chunk from a peer; whatever does not fit is counted and dropped.
    package func receive(_ header: DataHeader, _ payload: UnsafeRawBufferPointer) -> (
        out: [Outgoing], gathered: Gathered?
    ) {
        guard header.job == roster.job, header.generation == roster.generation,
            let sender = roster.members.firstIndex(where: { $0.node == header.sender }), sender != rank,
            let step = Step(exactly: header.step), step > Int(clamping: roster.target), step >= newest - 1,
            step <= newest + Self.window,
            // A step has one recipe; whoever says otherwise can't fill the memory with sums that nobody will finish.
            steps.contains(where: { $0.step == step && $0.tag == header.recipeTag }) || steps.count < 8
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
        if let state = steps.first(where: { $0.step == step && $0.tag == tag }) { return state }
        let state = StepExchange(step: step, tag: tag, tree: tree, slices: slices)
        steps.append(state)
        return state
    }

    private func receiveNode(
        _ header: DataHeader, _ payload: UnsafeRawBufferPointer, _ state: StepExchange
    ) -> (out: [Outgoing], gathered: Gathered?) {
        guard tree.has(header.shards), !state.fold.held.contains(where: { $0.overlaps(header.shards) }),
            Chunks.place(offset: header.offset, count: header.count, in: slices[rank]) != nil,
            payload.count == wire.bytes(of: Self.range(header))
        else { return drop() }
        let place: Int
        if let known = state.arriving.firstIndex(where: { $0.sender == header.sender && $0.sum.shards == header.shards }
        ) {
            place = known
        } else {
            // A member sends disjoint nodes, so no more of them than leaves can be on their way.
            let isDisjoint = !state.arriving.contains {
                $0.sender == header.sender && $0.sum.shards.overlaps(header.shards)
            }
            guard isDisjoint else { return drop() }
            let sum = NodeSum(shards: header.shards, lossSum: header.lossSum, from: slicePool)
            state.arriving.append((header.sender, sum, ChunkTally(slices[rank])))
            place = state.arriving.count - 1
        }
        guard state.arriving[place].tally.note(offset: header.offset, count: header.count) else { return drop() }
        let range = Self.range(header)
        _ = wire.decode(
            payload, range, to: state.arriving[place].sum.pointer + (range.lowerBound - slices[rank].lowerBound))
        guard state.arriving[place].tally.isComplete else { return ([], nil) }
        let sum = state.arriving.remove(at: place).sum
        return insert(sum, state)
    }

    /// The elements of a chunk whose place was checked.
    private static func range(_ header: DataHeader) -> Range<Int> {
        Int(header.offset)..<Int(header.offset) + Int(header.count)
    }

    /// Folds a complete node of the own slice; when that makes the root, sends it to everybody.
    private func insert(_ sum: NodeSum, _ state: StepExchange) -> (out: [Outgoing], gathered: Gathered?) {
        guard let merges = state.fold.insert(sum.shards) else { return drop() }
        state.held.append(sum)
        // What overlaps it will never be wanted.
        state.arriving.removeAll { $0.sum.shards.overlaps(sum.shards) }
        for merge in merges {
            let left = state.held.remove(at: state.held.firstIndex { $0.shards == merge.left }!)
            let right = state.held.remove(at: state.held.firstIndex { $0.shards == merge.right }!)
            wire.add(left.pointer, right.pointer, slices[rank])
            left.shards = merge.parent
            left.lossSum += right.lossSum
            state.held.append(left)
        }
        guard state.fold.isComplete, let whole = state.held.first else { return ([], nil) }
        var header = DataHeader(
            kind: .root, job: roster.job, generation: roster.generation, step: UInt64(state.step), offset: 0,
            count: 0, sender: node)
        header.shards = tree.root
        header.recipeTag = state.tag
        header.lossSum = whole.lossSum
        let chunks = cut(slices[rank], header, to: node, base: whole.pointer - slices[rank].lowerBound, owner: whole)
        var out: [Outgoing] = []
        for (member, other) in roster.members.enumerated() where member != rank {
            for var chunk in chunks {
                chunk.to = other.node
                out.append(chunk)
            }
        }
        (root!.pointer + slices[rank].lowerBound).update(from: whole.pointer, count: slices[rank].count)
        for chunk in Chunks.cut(slices[rank]) {
            _ = state.roots[rank].note(offset: UInt64(chunk.lowerBound), count: UInt64(chunk.count))
        }
        state.lossSum = whole.lossSum
        return (out, gatheredIfComplete(state))
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
        guard state.roots.allSatisfy(\.isComplete) else { return nil }
        return Gathered(step: state.step, lossSum: state.lossSum, gradient: root!.pointer, owner: root!)
    }

    /// The chunks of a slice in their form for the wire; `base` is element 0 of the flat vector. fp32 is sent as it lies.
    private func cut(
        _ slice: Range<Int>, _ header: DataHeader, to: NodeID, base: UnsafeMutablePointer<Float>, owner: AnyObject
    ) -> [Outgoing] {
        Chunks.cut(slice).map { chunk in
            var header = header
            header.offset = UInt64(chunk.lowerBound)
            header.count = UInt64(chunk.count)
            let size = wire.bytes(of: chunk)
            let start = base + chunk.lowerBound
            guard wire.format != .fp32 else {
                return Outgoing(to: to, header: header, payload: UnsafeRawPointer(start), size: size, owner: owner)
            }
            let bytes = WireBytes(size)
            wire.encode(start, chunk, into: bytes.start)
            return Outgoing(to: to, header: header, payload: UnsafeRawPointer(bytes.start), size: size, owner: bytes)
        }
    }
}

/// Bytes at an address that stays put while libzmq sends them.
private final class WireBytes {
    let start: UnsafeMutableRawPointer
    init(_ size: Int) { start = .allocate(byteCount: max(1, size), alignment: 64) }
    deinit { start.deallocate() }
}
