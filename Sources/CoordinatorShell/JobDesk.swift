import Coordination
import Foundation
import Terms

/// One job's folder on the coordinator's machine: log and checkpoints, and what its event lines need.
final class JobDesk {
    let description: JobDescription
    let checkpoints: CheckpointDesk
    let log: StepLog
    var events: JobEvents
    /// The newest held-out loss, for the manifest.
    var evaluationLoss: Double?

    init(description: JobDescription, checkpoints: CheckpointDesk, log: StepLog, events: JobEvents) {
        self.description = description
        self.checkpoints = checkpoints
        self.log = log
        self.events = events
    }
}
