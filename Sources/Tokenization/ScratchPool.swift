import Synchronization

/// Working memory of encoders, lent out one a call so that `encode` can run on any number of threads.
///
/// Only memory is reused and only equal answers are remembered: what is lent never shows in a result.
final class ScratchPool: Sendable {
    /// What one call of `encode` works with.
    final class Scratch {
        let merging = MergeScratch()
        let words = WordCache()
        /// Words whose control tokens were taken apart.
        lazy var guardedWords = WordCache()
        let ids = TokenBuffer()
    }

    /// A scratch is reached by one thread at a time: either it is in the list or it is lent.
    private struct Idle: @unchecked Sendable {
        var scratches: [Scratch] = []
    }

    private let idle = Mutex(Idle())

    /// Lends working memory for the duration of `body`.
    func withScratch<Result>(_ body: (Scratch) -> Result) -> Result {
        let lent = idle.withLock { $0.scratches.popLast() } ?? Scratch()
        defer { idle.withLock { $0.scratches.append(lent) } }
        return body(lent)
    }
}
