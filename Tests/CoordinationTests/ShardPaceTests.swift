import Testing
import Terms

@testable import Coordination

@Suite struct ShardPaceTests {
    private func pace(_ milliseconds: Int64) -> ShardPace {
        var pace = ShardPace()
        pace.note(.milliseconds(milliseconds * 4), shards: 4)
        return pace
    }

    @Test func `a shard is expected to take what is usual, and one that is overdue as long again`() {
        #expect(pace(100).usual == .milliseconds(100))
        #expect(pace(100).left(after: .milliseconds(30)) == .milliseconds(70))
        #expect(pace(100).left(after: .milliseconds(110)) == .zero)
        #expect(pace(100).left(after: .milliseconds(125)) == .milliseconds(125))
        #expect(ShardPace().left(after: .milliseconds(9)) == .milliseconds(9))
    }

    @Test func `the newest step weighs a quarter; a shard that was given up only shows that it takes no less`() {
        var pace = pace(100)
        pace.note(.milliseconds(200), shards: 1)
        #expect(pace.usual == .milliseconds(125))
        pace.note(atLeast: .milliseconds(60))
        #expect(pace.usual == .milliseconds(125))
        pace.note(atLeast: .milliseconds(225))
        #expect(pace.usual == .milliseconds(150))
        pace.note(.zero, shards: 0)
        #expect(pace.usual == .milliseconds(150))
    }

    @Test func `waiting shards are shared so that both are done soonest`() {
        func share(_ waiting: Int, own: Int64, theirs: Int64) -> Int {
            ShardPace.share(
                of: waiting, own: .milliseconds(own), theirs: .milliseconds(theirs), busy: .milliseconds(own))
        }
        #expect(share(1, own: 10, theirs: 10) == 1)
        #expect(share(4, own: 10, theirs: 10) == 2)
        #expect(share(1, own: 10, theirs: 40) == 0, "it is sooner done here than there")
        #expect(share(4, own: 10, theirs: 40) == 1)
        #expect(share(3, own: 40, theirs: 10) == 3)
        #expect(share(0, own: 10, theirs: 1) == 0)
    }
}
