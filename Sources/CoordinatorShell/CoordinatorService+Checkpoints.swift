import Coordination
import Foundation
import Terms

/// Clients' questions about a job's checkpoints.
extension CoordinatorService {
    /// `{"op": "checkpoints", "job": J, "do": …}` begins what `CheckpointInquiry` answers, and names it: `{"task": N}`.
    func checkpoints(_ job: JobID, _ request: JSONValue) -> JSONValue {
        guard let run = core.job(job) else { return Self.problem("no job \(job)") }
        let folder = "\(options.jobFolder(job))/checkpoints"
        guard FileManager.default.fileExists(atPath: folder) else {
            return Self.problem("job \(job) has no checkpoints yet")
        }
        // A save may have put objects that no manifest names yet.
        guard request["do"]?.string != "prune" || request["dry_run"]?.bool == true || run.state.isAtRest else {
            return Self.problem(
                "job \(job) is \(run.state.rawValue) and prunes by itself after each save: pause it first")
        }
        let inquiry = CheckpointInquiry(
            folder: folder, store: desk(job)?.checkpoints.store, policy: run.description.retention,
            isAtRest: run.state.isAtRest)
        return tasks.begin {
            do { return try inquiry.answer(request) } catch { return Self.problem("\(error)") }
        }
    }
}
