import Coordination
import Logging
import Terms

/// The journal took no entry. What was decided is not on record, so that only a new start can tell what is true: the
/// one failure that ends a coordinator.
struct JournalLost: Error, CustomStringConvertible {
    let cause: any Error
    var description: String { "\(cause)" }
}

/// What one job's trouble costs: that job's life, until somebody resumes it, and nobody else's.
extension CoordinatorService {
    /// Notes that this process can't go on with a job, in the middle of whatever it does.
    func giveUp(_ id: JobID, _ reason: String) {
        guard !troubled.contains(where: { $0.job == id }) else { return }
        log.error("job \(id): \(reason)")
        troubled.append((id, reason))
    }

    /// Fails the jobs that were given up. They are opened anew, from a sound checkpoint, when they are resumed.
    func failTroubled() throws {
        while !troubled.isEmpty {
            let (id, reason) = troubled.removeFirst()
            try feed(.failed(id, reason: reason))
            closeDesk(id)
        }
    }
}
