import Terms
import Testing
import Wire
import ZeroMQShell

@testable import CoordinatorShell

@Suite struct ChunkOutboxTests {
    private final class Memory {
        let bytes: UnsafeMutableRawPointer
        init(_ count: Int) { bytes = .allocate(byteCount: count, alignment: 16) }
        deinit { bytes.deallocate() }
    }

    private func answer(
        _ kind: DataHeader.Kind = .file, bytes: Int, unit: Int = 1, offset: Int = 0, generation: UInt32 = 1
    ) -> ChunkOutbox.Answer {
        let memory = Memory(max(1, bytes))
        let header = DataHeader(
            kind: kind, job: JobID(1), generation: Generation(generation), step: 3, offset: UInt64(offset),
            count: UInt64(bytes / unit), sender: NodeID(high: 1, low: 1))
        return .init(
            header: header, payload: UnsafeRawPointer(memory.bytes), bytes: bytes, unit: unit, owner: memory)
    }

    /// Flushes once; `takes` says what becomes of a route's next chunk. Returns what went out, by route.
    private func flush(
        _ outbox: inout ChunkOutbox, limit: Int = 256, _ takes: (UInt8) -> ZeroMQSocket.Sent = { _ in .sent }
    ) throws -> (sent: [(route: UInt8, header: DataHeader, count: Int)], left: ChunkOutbox.Outcome) {
        var sent: [(route: UInt8, header: DataHeader, count: Int)] = []
        let left = try outbox.flush(limit: limit) { route, chunk in
            let taken = takes(route[0])
            if taken == .sent { sent.append((route[0], try DataHeader(decoding: chunk.header), chunk.count)) }
            return taken
        }
        return (sent, left)
    }

    @Test func `the chunks of an answer cover it, in order`() throws {
        var outbox = ChunkOutbox()
        let bytes = 2 * WireLimits.chunkBytes + 400
        outbox.add(answer(.state, bytes: bytes, unit: 4, offset: 1000), to: [1], on: 5)

        let (sent, left) = try flush(&outbox)

        #expect(left == .empty && outbox.isEmpty)
        #expect(sent.map(\.count) == [WireLimits.chunkBytes, WireLimits.chunkBytes, 400])
        #expect(sent.map { Int($0.header.offset) } == [0, 1, 2].map { 1000 + $0 * WireLimits.chunkBytes / 4 })
        #expect(sent.allSatisfy { Int($0.header.count) * 4 == $0.count })
    }

    @Test func `a peer that takes nothing holds up nobody else`() throws {
        var outbox = ChunkOutbox()
        for route: UInt8 in 1...3 {
            outbox.add(answer(bytes: 20 * WireLimits.chunkBytes), to: [route], on: Int32(route))
        }

        let (sent, left) = try flush(&outbox) { $0 == 1 ? .wouldBlock : .sent }

        #expect(sent.count { $0.route == 2 } == 20 && sent.count { $0.route == 3 } == 20)
        #expect(left == .blocked(moved: true) && outbox.waiting(for: [1]) == 1)
        #expect(try flush(&outbox) { _ in .wouldBlock }.left == .blocked(moved: false))
        let rest = try flush(&outbox)
        #expect(rest.sent.count == 20 && rest.left == .empty)
    }

    @Test func `a long answer does not keep others waiting for its end`() throws {
        var outbox = ChunkOutbox()
        outbox.add(answer(bytes: 1000 * WireLimits.chunkBytes), to: [1], on: 1)
        outbox.add(answer(bytes: WireLimits.chunkBytes), to: [2], on: 2)

        let (sent, left) = try flush(&outbox, limit: 16)

        #expect(left == .more && sent.count == 16 && sent.contains { $0.route == 2 })
    }

    @Test func `what waits goes with its connection`() throws {
        var outbox = ChunkOutbox()
        for route: UInt8 in 1...3 { outbox.add(answer(bytes: 10), to: [route], on: Int32(route)) }
        outbox.drop(2)

        let (sent, left) = try flush(&outbox) { $0 == 3 ? .unreachable : .sent }

        #expect(sent.map(\.route) == [1] && left == .empty)
    }

    @Test func `a peer's answers are bounded, and state of older generations goes`() throws {
        var outbox = ChunkOutbox()
        for number in 0..<(ChunkOutbox.mostAnswers + 10) {
            outbox.add(answer(bytes: 10, offset: number), to: [1], on: 1)
        }
        #expect(outbox.waiting(for: [1]) == ChunkOutbox.mostAnswers)
        #expect(try flush(&outbox).sent.last?.header.offset == UInt64(ChunkOutbox.mostAnswers + 9))

        for generation: UInt32 in [4, 4, 4, 5] {
            outbox.add(answer(.state, bytes: 8, unit: 4, generation: generation), to: [1], on: 1)
        }
        #expect(try flush(&outbox).sent.map(\.header.generation) == [Generation(5)])
    }
}

@Suite struct MessageBacklogTests {
    @Test func `messages come out as they went in, up to a bound`() {
        var backlog = MessageBacklog()
        for number in 0..<3000 { backlog.keep([UInt8(number % 251)]) }
        var taken: [UInt8] = []
        while let next = backlog.first {
            taken += next
            backlog.removeFirst()
            if taken.count == 1500 { backlog.keep([77]) }
        }
        #expect(taken == (0..<3000).map { UInt8($0 % 251) } + [77] && backlog.isEmpty)

        let large = [UInt8](repeating: 0, count: MessageBacklog.mostBytes / 2)
        #expect([large, large, [1]].map { backlog.keep($0) } == [true, true, false])
    }
}
