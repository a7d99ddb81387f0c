import Collectives
import Coordination
import Terms
import Testing
import Wire

@Suite struct RosterTests {
    /// Four members with two shards each; in the first step the second one has three, and the last one none.
    private let roster = Roster(
        job: JobID(1), generation: Generation(1),
        members: (0..<4).map { rank in
            Member(
                node: NodeID(high: 1, low: UInt64(rank)), dataEndpoint: "", shards: ShardRange(2 * rank, 2 * rank + 2),
                firstShards: [
                    [ShardRange(0, 2)], [ShardRange(2, 4), ShardRange(7, 8)], [ShardRange(4, 7)], [],
                ][rank], slice: 0..<1)
        }, target: 5, digest: 0, sources: [])

    private func late(_ step: Step, _ held: [ShardRange], turn: Int = 0) -> UInt64? {
        roster.late(in: step, holding: held, at: 0, turn: turn)?.low
    }

    @Test func `only the first step goes by who holds sums`() {
        #expect(roster.shards(of: 1, in: 6) == [ShardRange(2, 4), ShardRange(7, 8)])
        #expect(roster.shards(of: 1, in: 7) == [ShardRange(2, 4)])
    }

    @Test func `whoever owes most is asked first, then the others in turn`() {
        let held = [ShardRange(0, 2), ShardRange(2, 3), ShardRange(6, 7)]

        #expect((0..<4).map { late(7, held, turn: $0) } == [2, 1, 3, 2])
        #expect(late(6, held) == 1 && late(6, held, turn: 1) == 2 && late(6, held, turn: 2) == 1)
    }

    @Test func `who owes nothing is not asked, nor is the one who asks`() {
        #expect(late(7, [ShardRange(2, 8)]) == nil)
        #expect(late(7, [ShardRange(0, 8)]) == nil)
    }
}
