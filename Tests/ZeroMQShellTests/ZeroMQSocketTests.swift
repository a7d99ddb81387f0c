import Foundation
import Synchronization
import Testing
import ZeroMQShell

@Suite struct ZeroMQSocketTests {
    private let fixture = ZeroMQFixture()

    /// A bound router and a dealer connected to it over TCP.
    private func pair(
        _ options: ZeroMQSocket.Options = ZeroMQFixture.options
    ) throws -> (router: ZeroMQSocket, dealer: ZeroMQSocket, endpoint: String) {
        let router = try ZeroMQSocket(.router, options)
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let dealer = try ZeroMQSocket(.dealer, ZeroMQFixture.options)
        try dealer.connect(endpoint)
        return (router, dealer, endpoint)
    }

    @Test func `messages of several frames go there and back`() throws {
        let (router, dealer, endpoint) = try pair()
        #expect(endpoint.hasPrefix("tcp://127.0.0.1:") && !endpoint.hasSuffix("*"))

        try fixture.send(dealer, [[1], [], [3, 4]])
        let there = try fixture.message(router)
        try fixture.send(router, [there[0].bytes, [9]])
        let back = try fixture.message(dealer)

        #expect(there.dropFirst().map(\.bytes) == [[1], [], [3, 4]])
        #expect(there.allSatisfy { $0.userID == nil })
        #expect(back.map(\.bytes) == [[9]])
        #expect(try dealer.receive() == nil)
    }

    @Test func `a message of too many frames is thrown away whole and the next one is read`() throws {
        let (router, dealer, _) = try pair()
        try fixture.send(dealer, (0..<20).map { [UInt8($0)] })
        try fixture.send(dealer, [[7]])

        #expect(try fixture.message(router, limit: 3).isEmpty)
        #expect(try fixture.message(router, limit: 3).last?.bytes == [7])
    }

    @Test func `nobody there and a full queue are told, not waited for`() throws {
        let router = try ZeroMQSocket(.router, ZeroMQFixture.options)
        #expect(try router.send([[1, 2, 3], [4]]) == .unreachable)
        let dealer = try ZeroMQSocket(.dealer, ZeroMQFixture.options)
        #expect(try dealer.send([[1]]) == .wouldBlock)
    }

    @Test func `memory is sent without copying and given back once`() throws {
        final class Owner: Sendable {
            let memory = UnsafeSendable(UnsafeMutablePointer<UInt8>.allocate(capacity: 1 << 19))
            let gone: Gone
            init(_ gone: Gone) {
                self.gone = gone
                memory.value.update(repeating: 0x5A, count: 1 << 19)
            }
            deinit {
                memory.value.deallocate()
                gone.count.withLock { $0 += 1 }
            }
        }
        final class Gone: Sendable { let count = Mutex(0) }
        struct UnsafeSendable: @unchecked Sendable {
            let value: UnsafeMutablePointer<UInt8>
            init(_ value: UnsafeMutablePointer<UInt8>) { self.value = value }
        }
        let (router, dealer, _) = try pair()
        let gone = Gone()
        do {
            let owner = Owner(gone)
            _ = try fixture.wait([]) {
                try dealer.send(header: [1], payload: owner.memory.value, count: 1 << 19, owner: owner) == .sent
                    ? true : nil
            }
        }

        let frames = try fixture.wait([router]) { try router.receiveInPlace() }

        #expect(frames.count == 3 && frames[2].count == 1 << 19)
        #expect(frames[2].withBytes { bytes in bytes[0] == 0x5A && bytes[(1 << 19) - 1] == 0x5A })
        #expect(frames[2].peerAddress == "127.0.0.1")
        _ = try fixture.wait([]) { gone.count.withLock { $0 } == 1 ? true : nil }
    }

    @Test func `a frame above the limit costs the connection`() throws {
        var options = ZeroMQFixture.options
        options.frameBytes = 1_000
        let (router, dealer, _) = try pair(options)
        let monitor = try dealer.monitor()
        try fixture.send(dealer, [[UInt8](repeating: 0, count: 1_001)])

        let lost = try fixture.wait([monitor]) {
            while let event = try monitor.connectionEvent() { if event.kind == .lost { return true } }
            return nil
        }

        #expect(lost)
        #expect(try router.receive() == nil)
    }

    @Test func `errors say what was tried and what to do`() throws {
        let first = try ZeroMQSocket(.router, ZeroMQFixture.options)
        let endpoint = try first.bind("tcp://127.0.0.1:0")
        let second = try ZeroMQSocket(.router, ZeroMQFixture.options)

        let taken = #expect(throws: ZeroMQError.self) { _ = try second.bind(endpoint) }
        #expect(taken?.description.contains("listen on \(endpoint)") == true)
        #expect(taken?.description.contains("choose another") == true)
        #expect(throws: ZeroMQError.self) { try second.connect("nonsense") }
        #expect(throws: ZeroMQError.self) { _ = try second.bind("tcp://203.0.113.7:1") }
    }

    @Test func `heartbeats are set and another thread ends a wait`() throws {
        var options = ZeroMQFixture.options
        options.heartbeat = Heartbeat()
        _ = try ZeroMQSocket(.dealer, options)
        let poller = ZeroMQPoller()
        let waker = poller.waker
        let clock = ContinuousClock()

        let time = try clock.measure {
            // A thread of its own: the tasks of other tests may hold all the shared ones.
            Thread { waker.wake() }.start()
            try poller.wait([], milliseconds: 20_000)
        }

        #expect(time < .seconds(15))
        #expect(try clock.measure { try poller.wait([], milliseconds: 1) } < .seconds(15))
    }
}

@Suite struct MonitorTests {
    @Test func `a monitor that ends before its socket does not stop the others' connections`() throws {
        let fixture = ZeroMQFixture()
        let router = try ZeroMQSocket(.router, ZeroMQFixture.options)
        let endpoint = try router.bind("tcp://127.0.0.1:*")
        let observed = try ZeroMQSocket(.router, ZeroMQFixture.options)
        let other = try observed.bind("tcp://127.0.0.1:*")
        do {
            let monitor = try observed.monitor()
            let visitor = try ZeroMQSocket(.dealer, ZeroMQFixture.options)
            try visitor.connect(other)
            _ = try fixture.wait([monitor]) { try monitor.connectionEvent() }
        }

        for round in 0..<20 {
            // Comes to the observed socket, too, and goes: events that nobody reads any more.
            let dealer = try ZeroMQSocket(.dealer, ZeroMQFixture.options)
            try dealer.connect(other)
            try fixture.send(dealer, [[0]])
            dealer.close()
            let second = try ZeroMQSocket(.dealer, ZeroMQFixture.options)
            try second.connect(endpoint)
            try fixture.send(second, [[UInt8(round)]])
            #expect(try fixture.message(router).last?.bytes == [UInt8(round)])
        }
        withExtendedLifetime(observed) {}
    }

    @Test func `every socket has a monitor of its own, also right after another one's has closed`() throws {
        let fixture = ZeroMQFixture()
        let sockets = try (0..<8).map { _ in try ZeroMQSocket(.router, ZeroMQFixture.options) }
        var monitors = try sockets.map { try $0.monitor() }
        for place in [0, 3] {
            monitors[place].close()
            monitors[place] = try sockets[place].monitor()
        }
        for (socket, monitor) in zip(sockets, monitors) {
            let dealer = try ZeroMQSocket(.dealer, ZeroMQFixture.options)
            try dealer.connect(try socket.bind("tcp://127.0.0.1:*"))
            let event = try fixture.wait([monitor]) { try monitor.connectionEvent() }
            #expect(event.kind == .established)
        }
    }
}
