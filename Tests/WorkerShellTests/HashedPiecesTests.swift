import Checkpoints
import Hashing
import Kernels
import Synchronization
import Terms
import Testing
import Wire

@testable import WorkerShell

@Suite struct HashedPiecesTests {
    /// A state of some tensors in memory.
    private final class State: @unchecked Sendable {
        let plan: SavePlan
        let values: UnsafeMutableBufferPointer<Float>

        init(_ elements: [Int]) throws {
            plan = SavePlan(layout: try TensorLayout(elements.enumerated().map { ("t\(1000 + $0)", [$1]) }))
            values = .allocate(capacity: plan.layout.elements)
            for place in values.indices { values.initializeElement(at: place, to: Float(place % 1_000_003)) }
        }
        deinit { values.deallocate() }

        func snapshot() -> Snapshot {
            let order = SaveOrder(
                job: JobID(1), generation: Generation(1), step: 3, attempt: 1,
                range: 0..<UInt64(plan.layout.elements), isReadBack: true)
            return Snapshot(order, plan) { UnsafeRawPointer(self.values.baseAddress! + $0.offset) }
        }

        func change() { values.update(repeating: -1) }

        func bytes(_ piece: SavePlan.Piece) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: values[piece.offset..<piece.offset + piece.elements]))
        }
    }

    private static func write(
        _ pieces: HashedPieces, threads: Int, _ body: @escaping @Sendable (HashedPieces.Item) -> Void
    ) async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<threads {
                group.addTask {
                    while let item = pieces.next() {
                        body(item)
                        pieces.finish(item)
                    }
                }
            }
        }
    }

    @Test(arguments: [(1, 1), (1, 3), (2, 3)])
    func `each piece comes once, with its bytes and their digest, kept ones too`(_ slabs: Int, _ threads: Int)
        async throws
    {
        let state = try State([5, 3 << 20, 7, 1, (1 << 20) + 9] + (0..<30).map { 100 + $0 })
        let snapshot = state.snapshot()
        for _ in 0..<20 { _ = snapshot.keep() }
        let pieces = HashedPieces(snapshot, slabs: (0..<slabs).map { _ in HashedPieces.slab() })
        let found = Mutex<[SavePlan.Piece]>([])
        await Self.write(pieces, threads: threads) { item in
            #expect(item.bytes.elementsEqual(state.bytes(item.piece)))
            #expect(item.digest == Digest.sha256(of: state.bytes(item.piece)))
            found.withLock { $0.append(item.piece) }
        }
        func sorted(_ pieces: [SavePlan.Piece]) -> [SavePlan.Piece] {
            pieces.sorted { ($0.role, $0.offset) < ($1.role, $1.offset) }
        }
        #expect(sorted(found.withLock { $0 }) == sorted(snapshot.pieces))
        #expect(pieces.next() == nil)
    }

    @Test func `what is hashed stays as it was when the state changes behind it`() throws {
        let state = try State([(1 << 20) + 9] + (0..<30).map { 100 + $0 })
        let old = try State([(1 << 20) + 9] + (0..<30).map { 100 + $0 })
        let snapshot = state.snapshot()
        let pieces = HashedPieces(snapshot, slabs: [HashedPieces.slab()])
        var items = [try #require(pieces.next())]
        snapshot.settle()
        state.change()
        while let item = items.popLast() {
            #expect(item.bytes.elementsEqual(old.bytes(item.piece)))
            #expect(item.digest == Digest.sha256(of: old.bytes(item.piece)))
            pieces.finish(item)
            if let next = pieces.next() { items.append(next) }
        }
        #expect(snapshot.left.all == 0)
    }

    @Test func `a cancelled snapshot ends all writers`() async throws {
        let state = try State(Array(repeating: 1000, count: 50))
        let snapshot = state.snapshot()
        let pieces = HashedPieces(snapshot, slabs: [HashedPieces.slab()])
        let count = Atomic(0)
        await Self.write(pieces, threads: 2) { _ in
            if count.add(1, ordering: .relaxed).newValue == 1 { snapshot.cancel() }
        }
        #expect(count.load(ordering: .relaxed) < snapshot.pieces.count)
        #expect(pieces.next() == nil && snapshot.take(1).isEmpty)
    }
}
