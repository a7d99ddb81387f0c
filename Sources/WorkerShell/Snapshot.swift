import Checkpoints
import Dispatch
import Foundation
import Kernels
import Synchronization
import Training
import Wire

/// One worker's share of the state at a step boundary, on its way to a checkpoint while training goes on.
///
/// The state changes in the optimizer pass only. Until then pieces are read straight from it; `settle`, before the pass,
/// copies what nobody has read yet. So saving costs training no standstill where a step takes longer than writing.
final class Snapshot: @unchecked Sendable {
    let order: SaveOrder
    /// The share: every piece whose first element lies in the order's range.
    let pieces: [SavePlan.Piece]
    /// Bytes of the share.
    let bytes: Int
    private let trainer: Trainer
    private let changed = NSCondition()
    private let cancelled = Atomic(false)

    private enum Phase { case live, copying, settled }
    // MARK: Guarded by `changed`
    private var phase = Phase.live
    private var next = 0
    /// Pieces that are being read from the state right now.
    private var reading = 0
    /// What was copied: the pieces from `keptFrom` on, back to back.
    private var kept: FloatBuffer?
    private var keptFrom = Int.max
    private var starts: [Int] = []

    init(_ order: SaveOrder, _ plan: SavePlan, _ trainer: Trainer) {
        self.order = order
        self.trainer = trainer
        let range = Int(clamping: order.range.lowerBound)..<Int(clamping: order.range.upperBound)
        pieces = plan.pieces(startingIn: range).map { plan.pieces[$0] }
        bytes = pieces.reduce(0) { $0 + $1.bytes }
    }

    /// The next piece, its bytes in `buffer` of 4 MiB; nil = all are out, or the snapshot was cancelled.
    func take(into buffer: UnsafeMutableRawPointer) -> SavePlan.Piece? {
        changed.lock()
        while phase == .copying, !isCancelled { changed.wait() }
        guard !isCancelled, next < pieces.count else {
            changed.unlock()
            return nil
        }
        let index = next
        next += 1
        if phase == .settled, index >= keptFrom {
            changed.unlock()
            buffer.copyMemory(from: keptBytes(index), byteCount: pieces[index].bytes)
            return pieces[index]
        }
        reading += 1
        changed.unlock()
        copy(pieces[index], to: buffer)
        changed.withLock {
            reading -= 1
            changed.broadcast()
        }
        return pieces[index]
    }

    /// Copies what was not taken yet; when this returns, the state may change. Doing it again does nothing.
    func settle() {
        changed.lock()
        while phase == .copying { changed.wait() }
        let isDue = phase == .live && !isCancelled && next < pieces.count
        phase = isDue ? .copying : .settled
        if isDue { keptFrom = next }
        changed.unlock()
        let rest = isDue ? copyRest() : nil
        changed.withLock {
            if let rest {
                kept = rest
                phase = .settled
                changed.broadcast()
            }
            while reading > 0 { changed.wait() }
        }
    }

    /// The pieces from `keptFrom` on, copied by every core: the update waits, or soon will.
    private func copyRest() -> FloatBuffer {
        var elements = 0
        starts = pieces[keptFrom...].map { piece in
            defer { elements += piece.elements }
            return elements
        }
        let buffer = FloatBuffer(count: elements)
        DispatchQueue.concurrentPerform(iterations: starts.count) { [self] place in
            guard !isCancelled else { return }
            copy(pieces[keptFrom + place], to: UnsafeMutableRawPointer(buffer.pointer + starts[place]))
        }
        return buffer
    }

    /// Gives the rest up; when this returns, nothing reads the state any more.
    func cancel() {
        cancelled.store(true, ordering: .relaxed)
        changed.withLock {
            changed.broadcast()
            while reading > 0 || phase == .copying { changed.wait() }
        }
    }

    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

    /// Where piece `index` lies in the copy, as long as this object lives; it was settled before anything was taken.
    func keptBytes(_ index: Int) -> UnsafeRawPointer {
        guard let kept, index >= keptFrom else { preconditionFailure("only what was copied stays where it is") }
        return UnsafeRawPointer(kept.pointer + starts[index - keptFrom])
    }

    private func copy(_ piece: SavePlan.Piece, to target: UnsafeMutableRawPointer) {
        trainer.withState(Trainer.StateVector.allCases[piece.role.rank], piece.offset..<piece.offset + piece.elements) {
            target.copyMemory(from: $0.baseAddress!, byteCount: piece.bytes)
        }
    }
}
