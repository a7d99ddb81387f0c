import Collectives
import Coordination
import Terms
import Testing
import Wire

/// What a worker gives away or lends of a step, and what it does with what others lend.
@Suite struct HelpingTests {
    private let bench = WorkerBench()

    @Test func `the last shard of a late worker is lent to the fastest of those that ask, once`() {
        bench.enterCrowd()
        // It is known to take 100 ms for a shard.
        bench.feed(.computed(bench.job, Generation(1), step: 1, microseconds: 200_000, shards: 2))
        bench.feed(.gathered(bench.job, Generation(1), step: 1, lossSum: 3))
        bench.feed(.applied(bench.job, Generation(1), step: 1, digest: 101, gradientNorm: 1))

        let slow = bench.plea(from: bench.others[0], takes: 80, running: 5)
        bench.feed(.begged(slow))
        #expect(bench.commands.last == .give(slow, most: 0), "it will be done here sooner")
        let fast = bench.plea(from: bench.others[1], takes: 20, running: 10)
        bench.feed(.begged(fast))
        #expect(bench.commands.last == .lend(fast))
        let again = bench.plea(from: bench.others[0], takes: 10, running: 20)
        bench.feed(.begged(again))
        #expect(bench.commands.last == .give(again, most: 0), "a shard is lent once")

        bench.feed(.gathered(bench.job, Generation(1), step: 2, lossSum: 3))
        #expect(bench.commands.last == .abandon(bench.job, Generation(1), step: 2))
        bench.feed(.computed(bench.job, Generation(1), step: 2, microseconds: 40_000, shards: 1))
        #expect(bench.commands.last == .apply(bench.job, Generation(1), bench.recipe(2)))
    }

    @Test func `a shard is lent to the fastest of those that wait, even when a slower one asks`() {
        bench.enterCrowd()
        bench.run(1, 1)
        bench.feed(.begged(bench.plea(from: bench.others[1], takes: 20, running: 0)))
        #expect(!bench.commands.contains { if case .lend = $0 { true } else { false } })
        // Long overdue: it is expected to take as long again.
        let slow = bench.plea(from: bench.others[0], takes: 40, running: 300)
        bench.feed(.begged(slow))
        var fast = slow
        fast.from = bench.others[1]
        #expect(bench.commands.suffix(2) == [.give(slow, most: 0), .lend(fast)])
    }

    @Test func `what is not begun is shared by speed, and nothing of a step that is not in progress`() {
        bench.enterCrowd()
        let early = bench.plea(from: bench.others[0], takes: 10, running: nil, waiting: 3, step: 2)
        bench.feed(.begged(early))
        #expect(bench.commands.last == .give(early, most: 0))
        let plea = bench.plea(from: bench.others[0], takes: 10, running: nil, waiting: 3, step: 1)
        bench.feed(.begged(plea))
        #expect(bench.commands.last == .give(plea, most: 2), "nobody is measured yet: taken for equals")
        let stranger = bench.plea(from: NodeID(high: 77, low: 77), takes: 10, running: nil, waiting: 3, step: 1)
        bench.feed(.begged(stranger))
        #expect(bench.commands.last == .give(plea, most: 2), "no member")
    }

    @Test func `whoever computes a lent shard gives it up when the sum is here, and reports the time as spent twice`() {
        bench.enterCrowd()
        bench.feed(.computed(bench.job, Generation(1), step: 1, microseconds: 20_000, shards: 2))
        bench.feed(.granted(bench.job, Generation(1), step: 1, ShardRange(1, 2), isLoan: true))
        #expect(
            bench.commands.last == .takeOver(bench.job, Generation(1), bench.recipe(1), ShardRange(1, 2), isLoan: true))
        bench.feed(.granted(bench.job, Generation(1), step: 1, ShardRange(3, 4), isLoan: true))
        bench.feed(.gathered(bench.job, Generation(1), step: 1, lossSum: 3))
        #expect(bench.commands.last == .abandon(bench.job, Generation(1), step: 1))
        bench.feed(.helped(bench.job, Generation(1), step: 1, shards: 0, repeated: 7000))
        #expect(bench.commands.last == .apply(bench.job, Generation(1), bench.recipe(1)))
        bench.feed(.applied(bench.job, Generation(1), step: 1, digest: 101, gradientNorm: 1))

        let report = bench.sends.compactMap { if case .report(let report) = $0 { report } else { nil } }.last
        #expect(report?.repeatedMicroseconds == 7000 && report?.computeMicroseconds == 20_000)
        #expect(bench.commands.count { if case .takeOver = $0 { true } else { false } } == 1, "one loan at a time")
    }
}
