import Coordination
import Terms
import Testing
import WorkerShell

struct BlockFetchTests {
    private let peers = [NodeID(high: 0, low: 1), NodeID(high: 0, low: 2)]
    private let now = Instant(nanoseconds: 1_000_000_000)

    private func blocks(_ requests: [(block: Int, source: NodeID)]) -> [Int] { requests.map(\.block) }

    @Test func `what somebody waits for goes before what comes next, and that before the rest`() {
        var fetch = BlockFetch(count: 100, start: 250)
        fetch.lookAhead([7, 8, 9])
        fetch.want([3, 8])
        let first = fetch.requests(peers: [], at: now) { $0 == 9 }
        #expect(blocks(first) == [3, 8, 7] && first.allSatisfy { $0.source == .coordinator })
        // All under way: nothing is asked twice, and the rest rests.
        #expect(fetch.requests(peers: [], at: now) { $0 == 9 }.isEmpty && !fetch.isRelaxed)
        for block in [3, 7, 8] { fetch.arrived(block) }
        #expect(fetch.requests(peers: [], at: now) { [3, 7, 8, 9].contains($0) }.isEmpty && fetch.isRelaxed)
        fetch.streams = true
        let rest = blocks(fetch.requests(peers: [], at: now) { [3, 7, 8, 9].contains($0) })
        #expect(rest == Array(50..<50 + BlockFetch.most))
        fetch.want([4])
        #expect(fetch.requests(peers: [], at: now) { _ in false }.isEmpty)
        fetch.arrived(50)
        #expect(blocks(fetch.requests(peers: [], at: now) { _ in false }) == [4])
    }

    @Test func `the whole file is asked for once, whatever its size`() {
        for count in [1, 5, 23, 24, 25, 200] {
            var fetch = BlockFetch(count: count, start: 17)
            fetch.streams = true
            var stored: Set<Int> = []
            while stored.count < count {
                let asked = blocks(fetch.requests(peers: peers, at: now) { stored.contains($0) })
                #expect(!asked.isEmpty && stored.isDisjoint(with: asked) && Set(asked).count == asked.count)
                for block in asked {
                    stored.insert(block)
                    fetch.arrived(block)
                }
            }
            #expect(fetch.requests(peers: peers, at: now) { stored.contains($0) }.isEmpty)
        }
    }

    @Test
    func `a block that a source does not have, or has wrong, is asked of every other one before it is asked again`() {
        var fetch = BlockFetch(count: 10, start: 0)
        fetch.lookAhead([4])
        var asked: [NodeID] = []
        for round in 1...BlockFetch.mostRounds {
            for _ in 0..<3 {
                let requests = fetch.requests(peers: peers, at: now) { _ in false }
                #expect(blocks(requests) == [4])
                asked.append(requests[0].source)
                let goesOn = fetch.refuse(4, requests[0].source)
                #expect(goesOn == (asked.count { $0 == .coordinator } < BlockFetch.mostRounds))
            }
            #expect(Set(asked.suffix(3)) == Set(peers + [.coordinator]) && asked.count == 3 * round)
        }
        // Where it is urgent the one who has it for certain is asked first.
        fetch.want([5])
        #expect(fetch.requests(peers: peers, at: now) { $0 == 4 }.first?.source == .coordinator)
    }

    @Test func `what a source never answers is asked of another, and what is lost with a connection at once`() {
        var fetch = BlockFetch(count: 10, start: 0)
        fetch.want([4, 5])
        #expect(blocks(fetch.requests(peers: peers, at: now) { _ in false }) == [4, 5])
        let later = now + BlockFetch.patience
        #expect(fetch.requests(peers: peers, at: later) { _ in false }.isEmpty)
        let again = fetch.requests(peers: peers, at: later + .milliseconds(1)) { _ in false }
        #expect(blocks(again) == [4, 5] && again.allSatisfy { $0.source != .coordinator })
        fetch.forget(peers[0])
        let elsewhere = fetch.requests(peers: [peers[1]], at: later + .milliseconds(1)) { _ in false }
        #expect(elsewhere.count == again.count { $0.source == peers[0] })
        fetch.forget()
        #expect(blocks(fetch.requests(peers: [], at: later) { _ in false }) == [4, 5])
        // The rest, once asked for, is not passed over.
        var stream = BlockFetch(count: 3, start: 0)
        stream.streams = true
        #expect(blocks(stream.requests(peers: [], at: now) { _ in false }) == [0, 1, 2])
        stream.forget()
        #expect(blocks(stream.requests(peers: [], at: now) { $0 == 1 }) == [0, 2])
    }
}
