package import Coordination
import Datasets
import Foundation
import Logging
import Recipes
import StorageShell
package import Terms

extension CoordinatorService {
    func desk(_ id: JobID) -> JobDesk? { desks.first { $0.id == id }?.desk }

    /// Takes in a job: its folder first, then the journal.
    func submit(_ description: JobDescription) throws {
        let id = core.nextJob
        let job = Job(description: description, index: try Self.sequenceIndex(description))
        try openDesk(id, job, keepingThrough: 0)
        try feed(.submitted(job))
    }

    private func openDesk(_ id: JobID, _ job: Job, keepingThrough step: Step) throws {
        let folder = options.jobFolder(id)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let checkpoints = try CheckpointDesk(
            folder: "\(folder)/checkpoints", job: id, description: job.description) { [weak self] in self?.post($0) }
        let desk = try JobDesk(
            folder: folder, job: job, checkpoints: checkpoints, keepingThrough: step, at: Self.now())
        desks.append((id, desk))
        try completeLog(of: id, desk, through: step)
    }

    /// Logs what the journal knows and the log does not: the process ended between the two.
    private func completeLog(of id: JobID, _ desk: JobDesk, through step: Step) throws {
        let logged = desk.log.lastStep ?? 0
        guard step - logged >= desk.description.loggingSteps, let run = core.job(id) else { return }
        var missing: [Step: CommittedStep] = [:]
        try journal.replay { _, stored in
            guard stored.job == id, let entry = try? Coordination.JournalEntry(
                job: stored.job, kind: Int(stored.kind), payload: stored.payload),
                case .committed(_, let committed) = entry, committed.step > logged, committed.step <= step
            else { return }
            missing[committed.step] = committed
        }
        for number in stride(from: logged + 1, through: step, by: 1) {
            guard let committed = missing[number], desk.isLogged(number, of: run) else { continue }
            try desk.log.append(desk.events.missed(committed, tokens: run.tokens(after: number)))
        }
    }

    /// Lengths of the training sequences, from the job's data file.
    static func sequenceIndex(_ description: JobDescription) throws -> SequenceIndex {
        guard let file = description.files.first(where: { $0.kind == .data }) else {
            throw DeskError(description: "the job names no data")
        }
        let cache = try TokenCache(path: file.path, verifying: false)
        let range = 0..<cache.train.sequenceCount
        return SequenceIndex(
            tokens: range.map { Int32(cache.train.tokens($0)) }, trained: range.map { Int32(cache.train.trainedTokens($0)) })
    }

    /// Replays the journal into the core.
    func restoreJobs() throws {
        var failure: (any Error)?
        var entries: [Coordination.JournalEntry] = []
        try journal.replay { _, stored in
            do {
                entries.append(try Coordination.JournalEntry(
                    job: stored.job, kind: Int(stored.kind), payload: stored.payload))
            } catch { failure = failure ?? error }
        }
        if let failure { throw DeskError(description: "the journal holds an entry that this release can't read: \(failure)") }
        let now = Self.now()
        _ = try adjust { core in
            for entry in entries { try core.restore(entry, at: now) }
            return nil
        }
    }

    /// Opens the jobs that were not at rest when the coordinator ended; their workers come back by themselves.
    package func continueJobs() throws {
        for run in core.jobs where !run.state.isAtRest {
            do {
                let job = Job(description: run.description, index: try Self.sequenceIndex(run.description))
                try openDesk(run.id, job, keepingThrough: run.committed)
                let found = try desk(run.id)?.checkpoints.recover(at: Int(Date().timeIntervalSince1970 * 1000))
                _ = adjust { core in
                    core.attach(job.plan.index, to: run.id)
                    core.noteSaved(found?.step ?? 0, of: run.id)
                    return nil
                }
            } catch { log.error("job \(run.id) can't go on: \(error)") }
        }
    }

    /// Readies a job of the journal to run again in this process, from its newest sound checkpoint.
    ///
    /// - Parameter amended: the job with other run keys, nil = as it was.
    /// - Returns: the step it goes on from, and checkpoints that had to be passed over.
    package func reopen(_ id: JobID, amended: JobDescription? = nil) throws -> (step: Step, rejected: [String]) {
        guard let run = core.job(id) else { throw DeskError(description: "the journal knows no job \(id)") }
        let description = amended ?? run.description
        let job = Job(description: description, index: try Self.sequenceIndex(description))
        try openDesk(id, job, keepingThrough: run.committed)
        guard let desk = desk(id) else { return (0, []) }
        let found = try desk.checkpoints.recover(at: Int(Date().timeIntervalSince1970 * 1000))
        if let output = adjust({ core in core.amend(id, to: description) }) { try carryOut(output) }
        _ = adjust { core in
            core.attach(job.plan.index, to: id)
            return nil
        }
        if let output = adjust({ core in core.rewind(id, to: found.step) }) { try carryOut(output) }
        return found
    }

    /// Tells everybody who listens; keeps the log.
    func tell(_ notice: Notice) throws {
        let now = Self.now()
        switch notice {
        case .committed(let id, let step):
            guard let desk = desk(id), let run = core.job(id) else { return }
            let line = desk.events.step(step, tokens: run.tokens(after: step.step), at: now)
            if desk.isLogged(step.step, of: run) { try desk.log.append(line) }
            distribute(id, Self.tagged("step", line))
            return
        case .rewound(let id, let step): try desk(id)?.rewind(to: step, at: now)
        case .evaluated(let id, _, let loss, _):
            desk(id)?.evaluationLoss = loss
            desk(id)?.events.startTiming(at: now)
        case .generation(let id, _, _, _):
            desk(id)?.events.startTiming(at: now)
            desk(id)?.checkpoints.forgetRestored()
        default: break
        }
        guard let event = JobEvents.event(notice) else { return }
        distribute(notice.job, event)
        if case .state(let id, let state, _) = notice, state.isAtRest { distribute(id, end(id)) }
    }

    /// Whether a job rests: it is done, or nothing can set it going again.
    package func isAtRest(_ id: JobID) -> Bool { core.job(id)?.state.isAtRest ?? true }

    /// The last line of a job's stream.
    package func end(_ id: JobID) -> JSONValue {
        guard let run = core.job(id) else { return .null }
        let digest = desk(id)?.checkpoints.modelDigest(at: run.committed)
        return .members([
            "event": .string("end"), "state": .string(run.state.rawValue), "reason": .string(run.reason),
            "steps": .int(run.committed), "tokens": .int(run.tokens),
            "loss": run.newest.map { .double($0.loss) } ?? .null,
            "model_sha256": digest.map { .string($0.hex) } ?? .null,
        ])
    }

    /// `{"event": name, …}` before the members of `line`.
    static func tagged(_ name: String, _ line: JSONValue) -> JSONValue {
        .object(JSONObject([(key: "event", value: .string(name))] + (line.object?.members ?? [])))
    }
}

extension Notice {
    /// The job it is about, nil = the cluster.
    var job: JobID? {
        switch self {
        case .joined, .left, .refused: nil
        case .generation(let id, _, _, _), .committed(let id, _), .evaluated(let id, _, _, _), .saved(let id, _, _),
            .saveFailed(let id, _, _), .rewound(let id, _), .trouble(let id, _, _), .state(let id, _, _):
            id
        }
    }
}
