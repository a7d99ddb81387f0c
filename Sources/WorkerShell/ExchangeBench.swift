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
    private let links = DataLinks(keys: nil)
    private let poller = ZeroMQPoller()
    private let pool: BufferPool
    private var exchange: Exchange?
    private var step = 0
    /// `tcp://127.0.0.1:PORT`.
    package let endpoint: String

    /// - Parameter count: elements of the gradient.
    package init(rank: Int, world: Int, count: Int, wire: GradientWire.Format = .fp32) throws {
        self.wire = wire
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

    /// Adds one gradient of every member; returns the seconds it took, and the first and last element of the sum.
    package func round() throws -> (seconds: Double, first: Float, last: Float) {
        guard let exchange else { preconditionFailure("a member connects before it works") }
        step += 1
        let sum = NodeSum(shards: ShardRange(rank, rank + 1), lossSum: Double(rank), from: pool)
        for index in 0..<count { sum.pointer[index] = Float((index &+ step) & 1023) * Float(rank + 1) }
        let start = DispatchTime.now().uptimeNanoseconds
        var gathered = forward(exchange.add(sum, step: step, tag: UInt64(step)))
        while gathered == nil || !links.isIdle {
            try links.flush()
            try poller.wait([.init(incoming)] + links.interests, milliseconds: 100)
            while let frames = try incoming.receiveInPlace(limit: 3) {
                guard frames.count == 3, let header = try? DataHeader(decoding: frames[1].bytes) else { continue }
                let done = forward(frames[2].withBytes { exchange.receive(header, $0) })
                gathered = gathered ?? done
            }
            _ = try links.changes()
        }
        let seconds = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
        guard let root = gathered?.gradient else { preconditionFailure("the loop ends with a sum") }
        return (seconds, root[0], root[count - 1])
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
