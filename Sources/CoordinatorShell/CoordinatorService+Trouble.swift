import Coordination
import Logging
import StorageShell
import Terms

/// The journal took no entry. What was decided is not on record, so that only a new start can tell what is true: the
/// one failure that ends a coordinator.
struct JournalLost: Error, CustomStringConvertible {
    let cause: any Error
    var description: String { "\(cause)" }
}

/// A job that this process can't go on with.
struct GivenUp {
    var job: JobID
    /// A sentence.
    var reason: String
    /// Somebody has only to make room: the job is paused, and not failed.
    var isForRoom: Bool
}

/// What one job's trouble costs: that job's life, until somebody resumes it, and nobody else's. A full disk costs no
/// life: what runs is paused.
extension CoordinatorService {
    /// Notes that this process can't go on with a job, in the middle of whatever it does.
    func giveUp(_ id: JobID, _ reason: String, for error: (any Error)? = nil) {
        guard !troubled.contains(where: { $0.job == id }) else { return }
        log.error("job \(id): \(reason)")
        troubled.append(GivenUp(job: id, reason: reason, isForRoom: error.map(Self.isFullDisk) ?? false))
    }

    /// Lets the jobs rest that were given up. They are opened anew, from a sound checkpoint, when they are resumed.
    func restTroubled() throws {
        while !troubled.isEmpty {
            let next = troubled.removeFirst()
            let (id, reason) = (next.job, next.reason)
            try feed(next.isForRoom ? .halted(id, reason: reason) : .failed(id, reason: reason))
            closeDesk(id)
        }
    }

    /// Makes entries durable. On a full disk the reserve makes room once more, for these and for saying that every job
    /// is paused.
    func keep(_ entries: [Coordination.JournalEntry]) throws(JournalLost) {
        do throws(StorageError) {
            do throws(StorageError) { try facts.append(entries, of: core) } catch {
                guard error.isFullDisk, reserve.release() else { throw error }
                try facts.append(entries, of: core)
                for run in core.jobs where !run.state.isAtRest {
                    giveUp(run.id, "the disk of \(options.state) is full: make room, then resume the job", for: error)
                }
            }
        } catch { throw JournalLost(cause: error) }
    }

    /// Refuses what would be written down where a full disk could not be told any more.
    func requireReserve() throws(FileError) {
        guard reserve.hold() else { throw .noSpace(path: options.state) }
    }

    private static func isFullDisk(_ error: any Error) -> Bool {
        (error as? StorageError)?.isFullDisk ?? (error as? FileError)?.isFullDisk ?? false
    }
}
