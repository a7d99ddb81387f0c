import Collectives
import Kernels
import Terms
import Testing
import Wire

@testable import WorkerShell

@Suite struct ExchangeTests {
    private static let elements = 100
    private let roster = Roster(
        job: JobID(1), generation: Generation(1),
        members: (0..<2).map { rank in
            Member(
                node: NodeID(high: 1, low: UInt64(rank)), dataEndpoint: "", shards: ShardRange(rank, rank + 1),
                firstShards: [ShardRange(rank, rank + 1)],
                slice: UInt64(rank * elements / 2)..<UInt64((rank + 1) * elements / 2))
        }, target: 0, digest: 0, sources: [])

    private func send(
        _ kind: DataHeader.Kind, _ shards: ShardRange, _ range: Range<Int>, _ step: Step, to exchange: Exchange
    ) -> Exchange.Gathered? {
        var header = DataHeader(
            kind: kind, job: roster.job, generation: roster.generation, step: UInt64(step),
            offset: UInt64(range.lowerBound), count: UInt64(range.count), sender: roster.members[1].node)
        header.shards = shards
        header.recipeTag = UInt64(step)
        let values = [Float](repeating: Float(step), count: range.count)
        return values.withUnsafeBytes { exchange.receive(header, $0) }.gathered
    }

    @Test func `a member whose shards others compute, step after step, gets every sum`() {
        let exchange = Exchange(
            roster: roster, rank: 0, node: roster.members[0].node, virtualShards: 2, parameters: Self.elements,
            root: FloatBuffer(count: Self.elements), wire: GradientWire(.fp32, tensors: [Self.elements]))
        for step in 1...20 {
            #expect(send(.node, ShardRange(1, 2), 0..<50, step, to: exchange)?.step == nil)
            #expect(send(.node, ShardRange(0, 1), 0..<50, step, to: exchange)?.step == nil)
            let gathered = send(.root, ShardRange(0, 2), 50..<100, step, to: exchange)
            #expect(gathered?.step == step)
            #expect(gathered?.gradient[0] == Float(2 * step) && gathered?.gradient[99] == Float(step))
        }
        #expect(exchange.dropped == 0)
    }
}
