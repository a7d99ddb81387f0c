import Checkpoints
import Synchronization
import Terms
import Testing
import Wire

@testable import WorkerShell

@Suite struct SnapshotTests {
    /// A state whose every value is the same, until somebody changes it, and which knows how often it was looked at.
    private final class State: @unchecked Sendable {
        private let values = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: SnapshotTests.elements)
        let reads = Atomic(0)

        init() { values.initialize(repeating: 1) }
        deinit { values.deallocate() }

        func change() { values.update(repeating: 2) }

        func place(_ piece: SavePlan.Piece) -> UnsafeRawPointer {
            reads.add(1, ordering: .relaxed)
            return UnsafeRawPointer(values.baseAddress! + piece.offset)
        }
    }

    private static let elements = 3 * (1 << 20) + 5
    private static let order = SaveOrder(
        job: JobID(1), generation: Generation(1), step: 3, attempt: 1, range: 0..<UInt64(elements), isReadBack: true)

    private static func snapshot(of state: State, _ order: SaveOrder = order) throws -> Snapshot {
        let plan = SavePlan(layout: try TensorLayout([("w", [elements])]))
        return Snapshot(order, plan) { state.place($0) }
    }

    /// All pieces that are not out, each with the one value that it consists of.
    private static func drain(_ snapshot: Snapshot, by most: Int = 1) -> [(piece: SavePlan.Piece, stamp: UInt32?)] {
        var found: [(SavePlan.Piece, UInt32?)] = []
        while case let taken = snapshot.take(most), !taken.isEmpty {
            #expect(taken.count <= most)
            for (piece, bytes, memory) in taken {
                let values = Set(bytes.bindMemory(to: UInt32.self))
                withExtendedLifetime(memory) {}
                found.append((piece, bytes.count == piece.bytes && values.count == 1 ? values.first : nil))
            }
            snapshot.release(taken)
        }
        return found
    }

    @Test(arguments: [1, 5, 16]) func `pieces come straight from the state, each once, in order`(_ most: Int) throws {
        let state = State()
        let snapshot = try Self.snapshot(of: state)
        let found = Self.drain(snapshot, by: most)
        #expect(found.map(\.piece) == snapshot.pieces && found.allSatisfy { $0.stamp == 1 })
        #expect(state.reads.load(ordering: .relaxed) == 12 && snapshot.bytes == 12 * Self.elements)
        #expect(snapshot.keep() == nil)
    }

    @Test(arguments: [0, 1, 5, 12]) func `what was kept comes from the copy, and the last comes first`(_ count: Int)
        throws
    {
        let state = State()
        let snapshot = try Self.snapshot(of: state)
        for place in 0..<count { #expect(snapshot.keep() == snapshot.pieces[11 - place].bytes) }
        // Nobody may change the state so early; that he did shows who looked at it afterwards.
        state.change()
        let found = Self.drain(snapshot, by: 7)
        #expect(found.map(\.piece) == snapshot.pieces)
        #expect(found.map(\.stamp) == (0..<12).map { $0 < 12 - count ? 2 : 1 })
    }

    @Test(arguments: [0, 3, 12]) func `behind a settled snapshot the state may change`(_ taken: Int) throws {
        let state = State()
        let snapshot = try Self.snapshot(of: state)
        for _ in 0..<taken {
            let one = snapshot.take(1)
            #expect(one.count == 1)
            snapshot.release(one)
        }
        #expect(snapshot.left.all == snapshot.pieces[taken...].reduce(0) { $0 + $1.bytes })
        snapshot.settle()
        snapshot.settle()
        state.change()
        let found = Self.drain(snapshot)
        #expect(found.map(\.piece) == Array(snapshot.pieces[taken...]) && found.allSatisfy { $0.stamp == 1 })
        #expect(state.reads.load(ordering: .relaxed) == 12)
    }

    @Test func `takers, a keeper and the update at once lose nothing and take nothing twice`() async throws {
        for round in 0..<20 {
            let state = State()
            let snapshot = try Self.snapshot(of: state)
            let found = await withTaskGroup(of: [(SavePlan.Piece, UInt32?)].self) { group in
                for most in [1, 2, 3] { group.addTask { Self.drain(snapshot, by: most) } }
                group.addTask {
                    for _ in 0..<round % 13 { _ = snapshot.keep() }
                    return []
                }
                group.addTask {
                    snapshot.settle()
                    state.change()
                    return []
                }
                return await group.reduce(into: []) { $0 += $1 }
            }
            func sorted(_ pieces: [SavePlan.Piece]) -> [SavePlan.Piece] {
                pieces.sorted { ($0.role, $0.offset) < ($1.role, $1.offset) }
            }
            #expect(sorted(found.map(\.0)) == sorted(snapshot.pieces) && found.allSatisfy { $0.1 == 1 })
        }
    }

    @Test func `long pieces go first, so that those that are hashed at once are about as long`() throws {
        let plan = try SavePlan(layout: TensorLayout([("a", [5]), ("b", [1 << 20, 2]), ("c", [7]), ("d", [5])]))
        var order = Self.order
        order.range = 0..<UInt64(plan.layout.elements)
        let snapshot = Snapshot(order, plan) { _ in UnsafeRawPointer(bitPattern: 64)! }

        #expect(snapshot.pieces.map(\.elements) == Array(repeating: 1 << 20, count: 6) + [7, 7, 7, 5, 5, 5, 5, 5, 5])
        #expect(snapshot.pieces[9...].map(\.tensor) == [0, 0, 0, 3, 3, 3], "and of equal ones the first")
    }

    @Test func `a share holds the pieces that begin in its range, and a cancelled one nothing more`() throws {
        let state = State()
        var order = Self.order
        order.range = 1..<UInt64(2 << 20)
        let snapshot = try Self.snapshot(of: state, order)
        #expect(snapshot.pieces.map(\.offset) == [1 << 20, 1 << 20, 1 << 20])
        #expect(snapshot.keep() != nil)
        snapshot.cancel()
        #expect(Self.drain(snapshot).isEmpty && snapshot.keep() == nil)
    }
}
