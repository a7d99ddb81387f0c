import Checkpoints
import Coordination
import Dispatch
import Foundation
import StorageShell
import Terms

/// Jobs that begin with another job's checkpoint. Its state is copied beside the loop, which goes on for everybody
/// else.
extension CoordinatorService {
    /// A job that a client has submitted.
    struct NewJob: Sendable {
        var description: JobDescription
        /// Its job file.
        var yaml: String
        /// The request's own name.
        var name: RequestKey?
    }

    /// A submission whose state is being copied.
    struct Planting {
        var name: RequestKey?
        var task: Int
    }

    /// Where states are copied to before their jobs have a number.
    private var nursery: String { "\(options.state)/planting" }

    /// What a start finds there is of tasks that nobody waits for any more.
    func clearNursery() { try? FileManager.default.removeItem(atPath: nursery) }

    /// `{"job": J, "step": S}`: begins to copy the state of that checkpoint; `{"task": N}` has the new job as its
    /// answer.
    func plant(_ origin: JSONValue, for new: NewJob) throws -> JSONValue {
        guard let job = origin["job"]?.int.flatMap({ UInt32(exactly: $0) }).map({ JobID($0) }), core.job(job) != nil,
            let step = origin["step"]?.int, step > 0
        else { throw DeskError(description: "a branch names a `job` and a `step`") }
        // Asked again by a client that heard nothing it goes on.
        if let name = new.name, let known = plantings.first(where: { $0.name == name }) {
            return .members(["task": .int(known.task)])
        }
        guard let task = tasks.open() else { return TaskDesk.isFull }
        plantings.append(Planting(name: new.name, task: task))
        let (store, folder) = ("\(options.jobFolder(job))/checkpoints", "\(nursery)/\(task)")
        DispatchQueue.global(qos: .utility).async { [weak self] in
            let copied = Result { try Self.copy("job \(job)", step, store, to: folder, for: new.description) }
            self?.order(.goOn { try $0.planted(copied, in: folder, new, task) })
        }
        return .members(["task": .int(task)])
    }

    private static func copy(
        _ job: String, _ step: Step, _ path: String, to folder: String, for description: JobDescription
    ) throws -> CheckpointBranch {
        let store = try CheckpointStore.openReading(path)
        guard let record = try store.scan(CheckpointDesk.run).records.first(where: { $0.manifest.step == step }) else {
            throw DeskError(description: "\(job) has no checkpoint of step \(step)")
        }
        let branch = try CheckpointBranch(record, of: store, origin: "\(job)@\(step)")
        try branch.copy(to: folder, for: description)
        return branch
    }

    /// The state of a new job is in `folder`: the job gets its number.
    private func planted(
        _ copied: Result<CheckpointBranch, any Error>, in folder: String, _ new: NewJob, _ task: Int
    ) throws {
        defer {
            plantings.removeAll { $0.task == task }
            try? FileManager.default.removeItem(atPath: folder)
        }
        do {
            let branch = try copied.get()
            let answer = try take(new) { id, home in
                try FileManager.default.moveItem(atPath: "\(folder)/checkpoints", toPath: "\(home)/checkpoints")
                return try branch.name(in: home, as: id, new.description)
            }
            tasks.close(task, with: answer)
        } catch let lost as JournalLost { throw lost } catch { tasks.close(task, with: Self.problem("\(error)")) }
    }

    /// Takes a new job in; `begin` gives it the state that it begins with, nil = its model's.
    func take(
        _ new: NewJob, begin: ((JobID, String) throws -> JobDescription.Branch)? = nil
    ) throws -> JSONValue {
        let id = core.nextJob
        let home = options.jobFolder(id)
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        try AtomicFile.write("\(home)/resolved.yaml", Array(new.yaml.utf8))
        var description = new.description
        do {
            if let begin { description.branch = try begin(id, home) }
            try submit(description, request: new.name)
        } catch {
            // The next job of this number must not find another one's beginning.
            if begin != nil { try? FileManager.default.removeItem(atPath: "\(home)/checkpoints") }
            throw error
        }
        return core.job(id).map { status(of: $0) } ?? .null
    }
}
