import Coordination
import Logging
import Terms

/// An end that the workers outlive: a service that is started again, a machine that is.
extension CoordinatorService {
    /// What is waited for before the end.
    struct Retirement {
        var until: Instant
        /// Jobs with progress that no checkpoint held, and how far they were.
        var unsaved: [(job: JobID, step: Step)]
    }

    /// Asks every running job with unsaved progress for a checkpoint; the loop ends when they are there, or at the
    /// latest after `span`.
    func retire(within span: Span) throws {
        let unsaved = core.jobs.filter { !$0.state.isAtRest && $0.workerCount > 0 && $0.committed > $0.saved }
        retirement = Retirement(until: Self.now() + span, unsaved: unsaved.map { ($0.id, $0.committed) })
        if !unsaved.isEmpty, span > .seconds(0) {
            log.info("saving \(unsaved.count) running job\(unsaved.count == 1 ? "" : "s") before the end")
        }
        for run in unsaved { try feed(.ordered(.secure, run.id)) }
    }

    /// True when nothing is worth waiting for any more.
    var hasRetired: Bool {
        guard let retirement else { return false }
        if Self.now() >= retirement.until { return true }
        return retirement.unsaved.allSatisfy { wanted in
            guard let run = core.job(wanted.job) else { return true }
            return run.saved >= wanted.step || run.state.isAtRest || run.workerCount == 0
        }
    }
}
