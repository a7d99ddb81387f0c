package import Terms

/// Where a job stands, in the words of `drover jobs`.
package enum JobState: String, Sendable, CaseIterable {
    case queued = "QUEUED"
    case starting = "STARTING"
    case running = "RUNNING"
    case waitingForWorkers = "WAITING_FOR_WORKERS"
    case paused = "PAUSED"
    case done = "DONE"
    case failed = "FAILED"
    case cancelled = "CANCELLED"
    case budgetExhausted = "BUDGET_EXHAUSTED"
    case diverged = "DIVERGED"

    /// Holds no workers, and does not start by itself.
    package var isAtRest: Bool {
        switch self {
        case .queued, .starting, .running, .waitingForWorkers: false
        case .paused, .done, .failed, .cancelled, .budgetExhausted, .diverged: true
        }
    }

    /// Whether a job that rests in this state after so many steps has trained something that is worth exporting: what a
    /// budget could buy is worth as much as a whole run's result.
    package func hasResult(steps: Step) -> Bool { self == .done || (self == .budgetExhausted && steps > 0) }

    /// The process exit code of a command that followed the job to this state (design §1).
    package var exitCode: Int32 {
        switch self {
        case .done: 0
        case .budgetExhausted: 3
        case .diverged: 4
        case .paused: 130
        default: 1
        }
    }

    /// Whether a job may go from this state to `next`: `DONE` and `CANCELLED` are for ever.
    package func mayBecome(_ next: JobState) -> Bool {
        switch self {
        case .queued: [.starting, .paused, .failed, .cancelled, .budgetExhausted].contains(next)
        case .starting:
            [.running, .waitingForWorkers, .queued, .paused, .failed, .cancelled, .budgetExhausted].contains(next)
        case .running:
            [.waitingForWorkers, .queued, .paused, .done, .failed, .cancelled, .budgetExhausted, .diverged].contains(
                next)
        case .waitingForWorkers:
            [.running, .queued, .paused, .failed, .cancelled, .budgetExhausted].contains(next)
        case .paused: [.queued, .cancelled].contains(next)
        case .failed, .budgetExhausted, .diverged: next == .queued
        case .done, .cancelled: false
        }
    }
}
