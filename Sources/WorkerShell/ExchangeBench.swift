import Collectives
import Foundation
package import Kernels
import Terms
import Wire
import ZeroMQShell

/// One member of a generation that does nothing but add up gradients: the job's own exchange, for a benchmark.
package final class ExchangeBench {
    private let rank: Int
    private let world: Int
    private let count: Int
    private let wire: GradientWire.Format
    private let node: NodeID
    private let incoming: ZeroMQSocket
    private let links: DataLinks
    private let shelves = Shelves()
    private let poller = ZeroMQPoller()
    private let pool: BufferPool
    private var exchange: Exchange?
    private var step = 0
    /// What the next round adds.
    private var next: NodeSum?
    /// Chunks that came through shared memory, and through the connections.
    private var chunks = (memory: 0, sockets: 0)
    /// `tcp://127.0.0.1:PORT`.
    package let endpoint: String

    /// - Parameters:
    ///   - count: elements of the gradient.
    ///   - isNear: whether members share memory, as workers of one machine do.
    package init(rank: Int, world: Int, count: Int, isNear: Bool, wire: GradientWire.Format = .fp32) throws {
        self.wire = wire
        links = DataLinks(node: Self.node(rank), keys: nil) { _ in isNear }
        (self.rank, self.world, self.count) = (rank, world, count)
        node = Self.node(rank)
        incoming = try ZeroMQSocket(.router, DataLinks.options)
        endpoint = try incoming.bind("tcp://127.0.0.1:*")
        pool = BufferPool(count: count)
    }

    private static func node(_ rank: Int) -> NodeID { NodeID(high: 1, low: UInt64(rank) + 1) }

    /// Opens the links to the others.
    package func connect(_ endpoints: [String]) throws {
        precondition(endpoints.count == world, "every member has an endpoint")
        let slices = Partition.slices(parameters: count, members: world)
        let members = endpoints.enumerated().map { rank, endpoint in
            Member(
                node: Self.node(rank), dataEndpoint: endpoint, shards: ShardRange(rank, rank + 1), firstShards: [],
                slice: UInt64(slices[rank].lowerBound)..<UInt64(slices[rank].upperBound))
        }
        let roster = Roster(
            job: JobID(1), generation: Generation(1), members: members, target: 0, digest: 0, sources: [])
        exchange = Exchange(
            roster: roster, rank: rank, node: node, virtualShards: world, parameters: count,
            root: world > 1 ? FloatBuffer(count: count) : nil,
            wire: GradientWire(wire, tensors: [count]))
        try links.keep(members.filter { $0.node != node }.map { ($0.node, $0.dataEndpoint) })
    }

    /// Writes the gradient that this member brings to the next round.
    package func prepare() {
        step += 1
        let sum = NodeSum(shards: ShardRange(rank, rank + 1), lossSum: Double(rank), from: pool)
        for index in 0..<count { sum.pointer[index] = Float((index &+ step) & 1023) * Float(rank + 1) }
        next = sum
    }

    /// Adds one gradient of every member; returns the seconds it took, and the first and last element of the sum.
    package func round() throws -> (seconds: Double, first: Float, last: Float) {
        guard let exchange, let sum = next else {
            preconditionFailure("a member connects and prepares before it works")
        }
        next = nil
        let start = DispatchTime.now().uptimeNanoseconds
        var gathered = forward(exchange.add(sum, step: step, tag: UInt64(step)))
        while true {
            try links.flush()
            if gathered != nil, links.isIdle { break }
            try poller.wait([.init(incoming)] + links.interests, milliseconds: 100)
            while let frames = try incoming.receiveInPlace(limit: 4) {
                let done = take(frames.dropFirst(), exchange)
                gathered = gathered ?? done
            }
            links.tellRoom(shelves.waiting())
            _ = try links.changes()
        }
        let seconds = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
        guard let root = gathered?.gradient else { preconditionFailure("the loop ends with a sum") }
        return (seconds, root[0], root[count - 1])
    }

    private func take(_ frames: ArraySlice<ZeroMQFrame>, _ exchange: Exchange) -> Exchange.Gathered? {
        guard (2...3).contains(frames.count), let header = try? DataHeader(decoding: frames[1].bytes) else {
            return nil
        }
        var gathered: Exchange.Gathered?
        switch header.kind {
        case .shelf:
            if let offer = try? ShelfOffer(decoding: frames[2].bytes) { shelves.open(offer, of: header.sender) }
        case .room: links.hasRoom()
        default:
            if frames.count == 3 { chunks.memory += 1 } else { chunks.sockets += 1 }
            _ = shelves.withPayload(frames, from: header.sender) { gathered = forward(exchange.receive(header, $0)) }
        }
        return gathered
    }

    /// Counts chunks from here on: before the members know each other's memory they send through the connections.
    package func beginCounting() { chunks = (0, 0) }

    /// How the chunks came: `memory`, `sockets`, or `mixed`; `none` with nobody to hear from.
    package var transport: String {
        switch chunks {
        case (0, 0): "none"
        case (_, 0): "memory"
        case (0, _): "sockets"
        default: "mixed"
        }
    }

    /// What the sum's element must be.
    package func expected(_ index: Int) -> Float {
        Float((index &+ step) & 1023) * Float(world * (world + 1) / 2)
    }

    private func forward(
        _ result: (out: [Exchange.Outgoing], gathered: Exchange.Gathered?)
    ) -> Exchange.Gathered? {
        for chunk in result.out {
            links.send(
                .init(header: chunk.header, payload: chunk.payload, count: chunk.size, owner: chunk.owner),
                to: chunk.to)
        }
        return result.gathered
    }
}
