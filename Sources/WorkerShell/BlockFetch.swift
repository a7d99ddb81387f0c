import Coordination
package import Terms

/// Which blocks of a file are asked of whom next. What somebody waits for comes first, then what the next steps need,
/// then all the rest in turn, from a place of this worker's own, so that peers soon hold what others still lack.
package struct BlockFetch {
    private let count: Int
    /// Blocks of which somebody waits, and those of the next steps, in order.
    private var urgent: [Int] = []
    private var ahead: [Int] = []
    /// The rest is fetched too.
    package var streams = false
    /// Where that goes on.
    private var place: Int
    private var flying: [Flight] = []
    /// Who could not give a block, or gave other bytes.
    private var refusals: [Int: [NodeID]] = [:]

    private struct Flight {
        var block: Int
        var source: NodeID
        var since: Instant
    }

    /// Requests under way: enough to keep a connection busy, fewer than a coordinator keeps for one peer.
    package static let most = 24
    /// So long an answer is waited for.
    package static let patience = Span.seconds(10)
    /// After so many refusals of a block by all there is no point in asking.
    package static let mostRounds = 3

    /// - Parameter start: any number; where the rest begins.
    package init(count: Int, start: UInt64) {
        self.count = count
        place = Int(start % UInt64(max(1, count)))
    }

    /// Nothing that anybody waits for, now or in the next steps, is still to come.
    package var isRelaxed: Bool { urgent.isEmpty && ahead.isEmpty }

    /// Somebody waits for these.
    package mutating func want(_ blocks: [Int]) { urgent = blocks + urgent.filter { !blocks.contains($0) } }

    /// These are needed soon, in this order; what was to be before is not.
    package mutating func lookAhead(_ blocks: [Int]) { ahead = blocks }

    /// What to ask of whom now.
    ///
    /// - Parameters:
    ///   - has: whether a block needs no fetching, or not yet.
    ///   - peers: who may hold some of it, besides the coordinator, who holds all of it.
    package mutating func requests(
        peers: [NodeID], at now: Instant, has: (Int) -> Bool
    ) -> [(block: Int, source: NodeID)] {
        for late in flying where now - late.since > Self.patience { refuse(late.block, late.source) }
        guard flying.count < Self.most else { return [] }
        urgent.removeAll(where: has)
        ahead.removeAll(where: has)
        var requests: [(block: Int, source: NodeID)] = []
        func ask(_ block: Int, _ source: NodeID) {
            flying.append(Flight(block: block, source: source, since: now))
            requests.append((block, source))
        }
        for (blocks, isUrgent) in [(urgent, true), (ahead, false)] {
            for block in blocks where flying.count < Self.most && !isFlying(block) {
                ask(block, source(of: block, peers, isUrgent: isUrgent))
            }
        }
        guard streams else { return requests }
        for _ in 0..<count {
            guard flying.count < Self.most else { break }
            let block = place
            place = (place + 1) % count
            if !has(block), !isFlying(block) { ask(block, source(of: block, peers, isUrgent: false)) }
        }
        return requests
    }

    private func isFlying(_ block: Int) -> Bool { flying.contains { $0.block == block } }

    /// Whoever has refused the block least often: where it is urgent the coordinator, who has it, else a peer.
    private func source(of block: Int, _ peers: [NodeID], isUrgent: Bool) -> NodeID {
        let turned = peers.indices.map { peers[($0 + block) % peers.count] }
        let sources = isUrgent ? [.coordinator] + turned : turned + [.coordinator]
        guard let refused = refusals[block] else { return sources[0] }
        func times(_ source: NodeID) -> Int { refused.count { $0 == source } }
        return sources.min { times($0) < times($1) } ?? .coordinator
    }

    /// A block has arrived.
    package mutating func arrived(_ block: Int) {
        flying.removeAll { $0.block == block }
        refusals[block] = nil
    }

    /// A source does not have a block, gave other bytes, or says nothing: another one is asked. False when all were
    /// asked often enough.
    @discardableResult
    package mutating func refuse(_ block: Int, _ source: NodeID) -> Bool {
        guard let flight = flying.firstIndex(where: { $0.block == block && $0.source == source }) else { return true }
        flying.remove(at: flight)
        refusals[block, default: []].append(source)
        // It is in nobody's list when the rest was streaming.
        if !urgent.contains(block) && !ahead.contains(block) { ahead.append(block) }
        return refusals[block]!.count { $0 == .coordinator } < Self.mostRounds
    }

    /// What was under way with a source, or with all, is lost.
    package mutating func forget(_ source: NodeID? = nil) {
        for flight in flying where source == nil || flight.source == source {
            if !urgent.contains(flight.block) && !ahead.contains(flight.block) { ahead.append(flight.block) }
        }
        flying.removeAll { source == nil || $0.source == source }
    }
}
