import Datasets
import Foundation
import ModelFiles
import Synchronization
import Terms

/// What is done before a job's first step.
enum DataProgress {
    case reading(DataDigests.Progress)
    case tokenising(BuildProgress)
}

/// The SHA-256 of data files, taken on as many cores as there are files.
enum DataDigests {
    /// How far the reading is.
    struct Progress {
        /// Bytes.
        var done: Int
        var total: Int
        var seconds: Double
        /// Bytes a second.
        var rate: Double { seconds > 0 ? Double(done) / seconds : 0 }
        var secondsLeft: Double { rate > 0 ? Double(max(0, total - done)) / rate : 0 }
    }

    /// What the threads share.
    private final class Work: Sendable {
        let done = Atomic<Int>(0)
        let next = Atomic<Int>(0)
        let isStopped = Atomic<Bool>(false)
        let results: Mutex<[Result<Digest, any Error>?]>
        init(_ count: Int) { results = Mutex([Result<Digest, any Error>?](repeating: nil, count: count)) }
    }

    /// Reads that take less are not told of.
    static let quietSeconds = 2.0

    /// The digests of files, in their order.
    ///
    /// - Parameters:
    ///   - dropsBehind: whether the system need not keep what was read in its cache, since hardly any of it is read
    ///     again.
    ///   - quiet: seconds before the first call of `progress`.
    ///   - progress: called on this thread, ten times a second.
    /// - Throws: `CancellationError` when the process is asked to stop.
    static func digests(
        of paths: [String], dropsBehind: Bool, quiet: Double = quietSeconds, progress: (Progress) -> Void
    ) throws -> [Digest] {
        let total = try paths.reduce(0) { $0 + (try FileState(path: $1).size) }
        let start = Date()
        let work = Work(paths.count)
        let group = DispatchGroup()
        for _ in 0..<min(paths.count, ProcessInfo.processInfo.activeProcessorCount) {
            DispatchQueue.global().async(group: group) { read(paths, work, dropsBehind) }
        }
        while group.wait(timeout: .now() + .milliseconds(100)) == .timedOut {
            if Signals.stopRequested { work.isStopped.store(true, ordering: .relaxed) }
            let seconds = Date().timeIntervalSince(start)
            guard seconds > quiet else { continue }
            progress(Progress(done: work.done.load(ordering: .relaxed), total: total, seconds: seconds))
        }
        guard !work.isStopped.load(ordering: .relaxed) else { throw CancellationError() }
        return try work.results.withLock { results in try results.compactMap { try $0?.get() } }
    }

    private static func read(_ paths: [String], _ work: Work, _ dropsBehind: Bool) {
        while true {
            let number = work.next.add(1, ordering: .relaxed).oldValue
            guard number < paths.count, !work.isStopped.load(ordering: .relaxed) else { return }
            let result = Result {
                try Disk.digest(ofFile: paths[number], dropsBehind: dropsBehind) { count in
                    work.done.add(count, ordering: .relaxed)
                    return !work.isStopped.load(ordering: .relaxed)
                }
            }
            work.results.withLock { $0[number] = result }
        }
    }
}
