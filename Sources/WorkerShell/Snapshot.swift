import Checkpoints
import Dispatch
import Foundation
import Kernels
import Synchronization
import Wire

/// One worker's share of the state at a step boundary, on its way to a checkpoint while training goes on.
///
/// The state changes in the optimizer pass only. Until then pieces are taken straight from it, first to last, by those
/// who store them; `keep` meanwhile copies pieces from the last one on, for as many as will not be out in time. What is
/// left when the pass comes is copied by `settle`, for which training stands still.
final class Snapshot: @unchecked Sendable {
    let order: SaveOrder
    /// The share: every piece whose first element lies in the order's range, long ones first, so that those taken one
    /// after the other are about equally long: what is hashed at once should be.
    let pieces: [SavePlan.Piece]
    /// Bytes of the share.
    let bytes: Int
    /// Where a piece lies in the present state.
    private let place: @Sendable (SavePlan.Piece) -> UnsafeRawPointer
    private let changed = NSCondition()
    private let cancelled = Atomic(false)

    // MARK: Guarded by `changed`
    /// Pieces before this one were taken.
    private var next = 0
    /// Pieces from this one on are copied, or being copied, and `kept` has them until they are taken.
    private var keptFrom: Int
    private var kept: [FloatBuffer?]
    /// Pieces that are being read from the state right now.
    private var reading = 0

    init(
        _ order: SaveOrder, _ plan: SavePlan, place: @escaping @Sendable (SavePlan.Piece) -> UnsafeRawPointer
    ) {
        self.order = order
        self.place = place
        let range = Int(clamping: order.range.lowerBound)..<Int(clamping: order.range.upperBound)
        pieces = plan.pieces(startingIn: range).sorted { one, other in
            (plan.pieces[other].bytes, one) < (plan.pieces[one].bytes, other)
        }.map { plan.pieces[$0] }
        bytes = pieces.reduce(0) { $0 + $1.bytes }
        keptFrom = pieces.count
        kept = Array(repeating: nil, count: pieces.count)
    }

    /// A piece and its bytes, which lie in the present state or in what `memory` owns.
    typealias Taken = (piece: SavePlan.Piece, bytes: UnsafeRawBufferPointer, memory: AnyObject?)

    /// The next pieces, `most` at most; none = all are out, or the snapshot was cancelled. They are to be given back
    /// by `release` as soon as they were read: the update waits for that.
    func take(_ most: Int) -> [Taken] {
        changed.withLock {
            while !isCancelled, next < pieces.count, next >= keptFrom, kept[next] == nil { changed.wait() }
            var taken: [Taken] = []
            while !isCancelled, taken.count < most, next < pieces.count, next < keptFrom || kept[next] != nil {
                let piece = pieces[next]
                let start = kept[next].map { UnsafeRawPointer($0.pointer) } ?? place(piece)
                taken.append((piece, UnsafeRawBufferPointer(start: start, count: piece.bytes), kept[next]))
                if kept[next] == nil { reading += 1 }
                kept[next] = nil
                next += 1
            }
            return taken
        }
    }

    /// Nothing reads these from the state any more.
    func release(_ taken: [Taken]) {
        changed.withLock {
            reading -= taken.count { $0.memory == nil }
            changed.broadcast()
        }
    }

    /// Copies the last piece that is neither out nor copied, and returns its bytes; nil = there is none.
    func keep() -> Int? {
        changed.lock()
        guard !isCancelled, keptFrom > next else {
            changed.unlock()
            return nil
        }
        keptFrom -= 1
        reading += 1
        let (index, piece) = (keptFrom, pieces[keptFrom])
        changed.unlock()
        let buffer = FloatBuffer(count: piece.elements)
        UnsafeMutableRawPointer(buffer.pointer).copyMemory(from: place(piece), byteCount: piece.bytes)
        changed.withLock {
            kept[index] = buffer
            reading -= 1
            changed.broadcast()
        }
        return piece.bytes
    }

    /// Bytes that were not taken yet, and how many of them are not copied either.
    var left: (all: Int, open: Int) {
        changed.withLock {
            let all = pieces[next...].reduce(0) { $0 + $1.bytes }
            return (all, keptFrom > next ? pieces[next..<keptFrom].reduce(0) { $0 + $1.bytes } : 0)
        }
    }

    /// Copies what is left, by every core; when this returns, the state may change. Doing it again does nothing.
    func settle() {
        if changed.withLock({ !isCancelled && keptFrom > next }) {
            DispatchQueue.concurrentPerform(iterations: ProcessInfo.processInfo.activeProcessorCount) { _ in
                while keep() != nil {}
            }
        }
        changed.withLock {
            while reading > 0 { changed.wait() }
        }
    }

    /// Gives the rest up; when this returns, nothing reads the state any more.
    func cancel() {
        cancelled.store(true, ordering: .relaxed)
        changed.withLock {
            changed.broadcast()
            while reading > 0 { changed.wait() }
        }
    }

    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

    /// Where piece `index` was copied to, as long as this object lives; for a snapshot that was settled before anything
    /// was taken.
    func keptBytes(_ index: Int) -> UnsafeRawPointer {
        guard let copied = changed.withLock({ kept[index] }) else {
            preconditionFailure("only what was copied stays where it is")
        }
        return UnsafeRawPointer(copied.pointer)
    }
}
