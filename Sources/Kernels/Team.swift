internal import CKernels
internal import Synchronization

/// A fixed team of threads; every op cuts its work in blocks whose bounds depend on the shape alone.
///
/// Which thread runs which block is left to chance and cannot change a result. One team serves one caller at a time.
package final class Team: @unchecked Sendable {
    /// How many threads work, the caller among them; at least 1.
    package let threads: Int
    private let team: OpaquePointer
    private let busy = Atomic(false)
    /// Memory that an op's phases share; an op holds it until it returns.
    let scratch = Workspace()

    /// Starts `threads - 1` threads, which sleep while there is no work.
    package init(threads: Int) {
        precondition(threads >= 1, "a team needs at least one thread")
        guard let team = dk_team_create(Int32(threads)) else {
            preconditionFailure("the system refused to start \(threads - 1) threads")
        }
        self.threads = threads
        self.team = team
    }

    deinit { dk_team_destroy(team) }

    /// Runs `body(0 ..< count)`, each index once, on whichever thread is free; returns when all are done. Not
    /// reentrant.
    package func run(_ count: Int, _ body: @Sendable (Int) -> Void) { share(count, body) }

    /// As `run`, for bodies that write through pointers: each index must write memory of its own.
    func share(_ count: Int, _ body: (Int) -> Void) {
        precondition(
            !busy.exchange(true, ordering: .acquiring), "a team serves one caller at a time, and no body runs a loop")
        defer { busy.store(false, ordering: .releasing) }
        withoutActuallyEscaping(body) { escapable in
            var escapable = escapable
            withUnsafeMutablePointer(to: &escapable) { context in
                dk_team_run(
                    team, count,
                    { context, index in context!.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index) }, context
                )
            }
        }
    }

    /// Shares `0 ..< count` cut in blocks of `size`; the last block may be shorter.
    func share(_ count: Int, by size: Int, _ body: (Range<Int>) -> Void) {
        share(blocks(count, of: size)) { block in body(block * size..<min(count, (block + 1) * size)) }
    }
}

/// How many blocks of `size` cover `count`.
func blocks(_ count: Int, of size: Int) -> Int { (count + size - 1) / size }

/// `count` rounded up to a multiple of `unit`.
func padded(_ count: Int, to unit: Int) -> Int { blocks(count, of: unit) * unit }
