import Checkpoints
import Coordination
import CoordinatorShell
import Foundation
import ModelFiles
import Recipes
import StorageShell
import Terms

/// The checkpoint of another run on this machine that a new one begins with.
struct BranchOrigin {
    private let branch: CheckpointBranch
    /// The step of that checkpoint.
    let step: Step

    /// `RUN`, `RUN@STEP` or the path of a manifest; every byte is read and checked.
    init(_ path: String) throws {
        let (run, wanted) = try RunFolder.split(path)
        let folder = joinPath(run, "checkpoints")
        guard Disk.hasFolder(folder) else { throw Failure.input("\(path): there are no checkpoints to begin with") }
        let store = try CheckpointStore.openReading(folder)
        let now = Int(Date().timeIntervalSince1970 * 1000)
        let record: CheckpointRecord
        switch wanted {
        case .named(let name): record = try store.record(RunFolder.run, name)
        case .step(let step):
            guard let found = try store.recover(RunFolder.run, step: step, at: now) else {
                throw Failure.input("\(run) has no checkpoint of step \(step)")
            }
            record = found.record
        case .newest, .state:
            guard let found = try store.recover(RunFolder.run, at: now) else {
                throw Failure.input("\(run) has no checkpoint yet")
            }
            record = found.record
        }
        step = record.manifest.step
        do { branch = try CheckpointBranch(record, of: store, origin: path) } catch let refusal
            as CheckpointBranch.Refusal
        {
            throw Failure.failed(refusal.description)
        }
    }

    /// Copies the state into the new run's own store, with where it comes from.
    func plant(in folder: String, _ description: JobDescription) throws -> JobDescription.Branch {
        do { return try branch.plant(in: folder, as: RunDoor.job, description) } catch let refusal
            as CheckpointBranch.Refusal
        { throw Failure.input(refusal.description) }
    }
}

/// A plan log: one plan event a line, as every run writes it.
enum PlanLog {
    /// The events of the log at `path`, at least one.
    static func read(_ path: String) throws -> [PlanEvent] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure.input("--plan \(path): can't be read")
        }
        var events: [PlanEvent] = []
        for (number, line) in data.split(separator: 0x0A).enumerated() {
            guard let event = (try? JSONValue.parse(Array(line))).flatMap(PlanEvent.init) else {
                throw Failure.input("--plan \(path): line \(number + 1) is no plan event")
            }
            events.append(event)
        }
        guard !events.isEmpty else { throw Failure.input("--plan \(path): holds no plan event") }
        return events
    }

    /// Refuses a log that ends where the job can't: it would stop before, without the ending that the log plans.
    static func refuse(_ events: [PlanEvent], of path: String, for description: JobDescription) throws {
        guard let end = events.last?.end else { return }
        let planned = description.plannedSteps
        if let limit = description.stepLimit, end > limit {
            throw Failure.input(
                "--plan \(path): ends after step \(end), budget.steps allows \(limit): set budget.steps to \(end) or more, "
                    + "or leave it out")
        }
        guard end <= planned else {
            throw Failure.input("--plan \(path): ends after step \(end), the job has only \(planned) steps")
        }
    }
}
