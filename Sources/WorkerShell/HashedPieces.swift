import Checkpoints
import Foundation
import Hashing
import Kernels
import Terms

/// A snapshot's pieces with their digests, for the threads that write them.
///
/// Whoever finds none that is ready hashes the next ones, as many as go quickest at once, on the way to a free slab;
/// meanwhile the others write. So two slabs keep any number of writers busy.
final class HashedPieces: @unchecked Sendable {
    /// A piece to be written; its bytes stay until it is given back.
    struct Item {
        let piece: SavePlan.Piece
        let bytes: UnsafeRawBufferPointer
        let digest: Digest
        /// Owns the bytes, unless they lie in the slab.
        fileprivate let memory: AnyObject?
        fileprivate let slab: Int
    }

    /// Pieces that are hashed at once.
    static let width = HashInstructions.found.width
    /// Bytes for each piece.
    private static let room = RepositoryLayout.chunkLimit

    private let snapshot: Snapshot
    private let slabs: [FloatBuffer]
    private let changed = NSCondition()

    // MARK: Guarded by `changed`
    /// Hashed, and not taken by a writer yet; the next one last.
    private var ready: [Item] = []
    /// By slab: its pieces that are not written yet, and one more while they are being hashed.
    private var users: [Int]
    /// Whether the snapshot has nothing more.
    private var isOut = false

    /// The pieces of `snapshot`, on their way through `slabs`, one or more of those that `slab` makes.
    init(_ snapshot: Snapshot, slabs: [FloatBuffer]) {
        precondition(!slabs.isEmpty, "pieces lie somewhere until they are written")
        self.snapshot = snapshot
        self.slabs = slabs
        users = slabs.map { _ in 0 }
    }

    /// Room for the pieces that are hashed at once.
    static let slabBytes = width * room
    static func slab() -> FloatBuffer { FloatBuffer(count: slabBytes / 4) }

    /// A piece to be written, and given back by `finish`; nil = all were taken, or the snapshot was cancelled.
    func next() -> Item? {
        changed.lock()
        defer { changed.unlock() }
        while true {
            if let item = ready.popLast() { return item }
            if !isOut, let free = users.firstIndex(of: 0) {
                users[free] = 1
                changed.unlock()
                let items = hash(into: free)
                changed.lock()
                users[free] = items.count
                ready = items.reversed() + ready
                if items.isEmpty { isOut = true }
                changed.broadcast()
            } else if isOut, users.allSatisfy({ $0 == 0 }) {
                return nil
            } else {
                changed.wait()
            }
        }
    }

    /// The item is written, or nobody needs it any more.
    func finish(_ item: Item) {
        changed.withLock {
            users[item.slab] -= 1
            if users[item.slab] == 0 { changed.broadcast() }
        }
    }

    private func hash(into slab: Int) -> [Item] {
        let taken = snapshot.take(Self.width)
        let start = UnsafeMutableRawPointer(slabs[slab].pointer)
        let copies = taken.indices.map { taken[$0].memory == nil ? start + $0 * Self.room : nil }
        let digests = Digest.sha256(ofAll: taken.map(\.bytes), copies: copies)
        snapshot.release(taken)
        return taken.indices.map { place in
            let (piece, bytes, memory) = taken[place]
            let copy = copies[place].map { UnsafeRawBufferPointer(start: $0, count: bytes.count) }
            return Item(piece: piece, bytes: copy ?? bytes, digest: digests[place], memory: memory, slab: slab)
        }
    }
}
