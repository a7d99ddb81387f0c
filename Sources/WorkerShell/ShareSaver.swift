import CSystem
import Checkpoints
import Dispatch
import Foundation
import Glibc
import Hashing
import Kernels
import StorageShell
import Synchronization
import Terms
import Wire

/// Brings snapshots out of a worker, beside training: into the store itself where its folder is at hand, else to the
/// coordinator.
final class ShareSaver: Sendable {
    /// The job's checkpoint folder; nil = it is on another machine.
    private let root: String?
    private let node: NodeID
    private let post: @Sendable (Engine.Outcome) -> Void
    /// Bytes a second at which the newest large share left, a guess at first.
    private let rate = Mutex(5e8)
    /// What pieces are copied to, kept for the next snapshot: memory that was never used before is dear. Huge pages:
    /// the disk takes its bytes from a few long runs of memory.
    private let slabs = Mutex<[FloatBuffer]>([])

    /// Below this many bytes a copy takes no time worth saving.
    private static let small = 16 << 20
    /// Writing threads: what waits for the disk leaves the core to others.
    private static let threads = 4
    /// Slabs for their pieces; those for many pieces are large, 64 MiB, and two are enough.
    private static let slabCount = HashedPieces.width > 2 ? 2 : threads
    /// The part of what is left of a step in which a share is believed to leave at its rate so far.
    private static let margin = 0.8
    /// Bytes a second that one thread copies beside training, at least.
    private static let copyRate = 5e8
    /// Seconds that the boundary has for itself: a member that comes to it a little later is still at its update.
    private static let headStart = 0.02
    /// Left free on the disk: the journal beside must not run dry.
    private static let reserve = 8 << 20

    init(root: String?, node: NodeID, post: @escaping @Sendable (Engine.Outcome) -> Void) {
        self.root = root
        self.node = node
        self.post = post
    }

    /// Gets memory ready for the snapshots of a state of so many bytes, beside what goes on; a state that is smaller than
    /// that memory has no need of it.
    func prepare(bytes: Int) {
        guard root != nil, bytes > Self.slabCount * HashedPieces.slabBytes else { return }
        start { [self] in
            let made = takeSlabs()
            for slab in made { for place in stride(from: 0, to: slab.count, by: 1024) { slab.pointer[place] = 0 } }
            slabs.withLock { $0 = made }
        }
    }

    private func takeSlabs() -> [FloatBuffer] {
        let kept = slabs.withLock { kept in
            defer { kept = [] }
            return kept
        }
        return kept.isEmpty ? (0..<Self.slabCount).map { _ in HashedPieces.slab() } : kept
    }

    /// Gives memory back that only another snapshot would need.
    func release() { slabs.withLock { $0 = [] } }

    /// Takes a snapshot that stands at its boundary; `step` is about how long the state stays as it is.
    func save(_ snapshot: Snapshot, step: Double) {
        guard let root else {
            return start { [post] in
                snapshot.settle()
                if !snapshot.isCancelled { post(.snapshot(snapshot)) }
            }
        }
        if snapshot.bytes <= Self.small {
            snapshot.settle()
        } else {
            // What it copies, the update would wait for: no lower priority.
            start(yielding: 0) { [self] in keep(snapshot, step) }
        }
        start { [self] in write(snapshot, root) }
    }

    /// Runs `body` in a thread of its own that yields to training; `yielding` = by so many steps of nice.
    private func start(yielding: Int32 = 5, _ body: @escaping @Sendable () -> Void) {
        let thread = Thread {
            // This thread's alone, on Linux.
            if yielding > 0 { _ = setpriority(Int32(PRIO_PROCESS.rawValue), 0, yielding) }
            body()
        }
        thread.stackSize = 1 << 20
        thread.name = "checkpoint"
        thread.start()
    }

    /// Copies what will not be out when the update comes, beside the step, so that the update need not wait.
    ///
    /// A piece is copied at the latest moment at which all that will be late can still be copied: by then it shows how
    /// quickly the share leaves, and memory that was never used before is dear.
    private func keep(_ snapshot: Snapshot, _ step: Double) {
        let begin = DispatchTime.now().uptimeNanoseconds
        let guess = rate.withLock { $0 }
        while !snapshot.isCancelled, case let left = snapshot.left, left.open > 0 {
            let passed = Double(DispatchTime.now().uptimeNanoseconds - begin) / 1e9
            let rest = max(0, step - passed)
            let measured = passed < 0.2 * step ? guess : Double(snapshot.bytes - left.all) / passed
            let late = Double(left.open) - Self.margin * measured * rest
            if late > 0, late >= Self.copyRate * rest {
                guard snapshot.keep() != nil else { return }
            } else {
                Thread.sleep(forTimeInterval: 0.01)
            }
        }
    }

    private func write(_ snapshot: Snapshot, _ root: String) {
        if snapshot.bytes > Self.small { Thread.sleep(forTimeInterval: Self.headStart) }
        let begin = DispatchTime.now().uptimeNanoseconds
        let objects: ObjectStore
        do { objects = try .beside(root, staging: "\(node.hex)-\(snapshot.order.attempt)") } catch {
            return post(.storeFailed(snapshot.order, problem: "\(error)"))
        }
        let memory = takeSlabs()
        let pieces = HashedPieces(snapshot, slabs: memory)
        let count = min(Self.threads, snapshot.pieces.count)
        let group = DispatchGroup()
        for place in 0..<count {
            group.enter()
            start { [self] in
                // Else the system leaves them where the disk's interrupts are, and one core trains slower than the other.
                csys_spread_thread(UInt32(place), UInt32(count))
                while let item = pieces.next() {
                    store(item, snapshot, objects)
                    pieces.finish(item)
                }
                group.leave()
            }
        }
        group.wait()
        objects.close()
        slabs.withLock { $0 = memory }
        let seconds = Double(DispatchTime.now().uptimeNanoseconds - begin) / 1e9
        if snapshot.bytes > Self.small, !snapshot.isCancelled {
            rate.withLock { $0 = Double(snapshot.bytes) / max(seconds, 1e-3) }
        }
    }

    private func store(_ item: HashedPieces.Item, _ snapshot: Snapshot, _ objects: ObjectStore) {
        guard !snapshot.isCancelled else { return }
        do {
            let space = try objects.fileSystem.space(objects.root).available
            guard space >= item.bytes.count + Self.reserve else {
                throw StorageError.file(.noSpace(path: objects.root))
            }
            try objects.put(
                item.bytes, named: item.digest, readingBack: snapshot.order.isReadBack ? .all : .sample)
            post(.stored(snapshot.order, item.piece, item.digest))
        } catch {
            snapshot.cancel()
            post(.storeFailed(snapshot.order, problem: "\(error)"))
        }
    }
}
