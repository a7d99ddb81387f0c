package import Budgeting
import Checkpoints
package import Coordination
import Datasets
import Foundation
import Logging
package import Recipes
import StorageShell
package import Terms
import ZeroMQShell

extension CoordinatorService {
    func desk(_ id: JobID) -> JobDesk? { desks.first { $0.id == id }?.desk }

    /// Takes in a job: its folder first, then the journal.
    func submit(_ description: JobDescription, request: RequestKey? = nil) throws {
        try requireReserve()
        let id = core.nextJob
        let job = Job(description: description, index: try Self.sequenceIndex(description))
        try opening(id) {
            try openDesk(id, job, keepingThrough: description.branch?.step ?? 0)
            if let branch = description.branch { try begin(id, with: branch) }
        }
        try feed(.submitted(job, request: request))
    }

    /// A job's first checkpoint is the copy that it begins with: what was copied was read back.
    private func begin(_ id: JobID, with branch: JobDescription.Branch) throws {
        guard let checkpoints = desk(id)?.checkpoints else { return }
        let records = try checkpoints.store.scan(CheckpointDesk.run).records
        guard let record = records.first(where: { $0.manifest.step == branch.step }) else {
            throw DeskError(description: "the checkpoint of step \(branch.step) that job \(id) begins with is gone")
        }
        checkpoints.store.note(record, .verified)
        checkpoints.goBack(to: branch.step)
    }

    /// Does what opens a job; when that fails, the job is closed again.
    private func opening(_ id: JobID, _ body: () throws -> Void) throws {
        do { try body() } catch {
            closeDesk(id)
            throw error
        }
    }

    func closeDesk(_ id: JobID) { desks.removeAll { $0.id == id } }

    private func openDesk(_ id: JobID, _ job: Job, keepingThrough step: Step) throws {
        let folder = options.jobFolder(id)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let checkpoints = try CheckpointDesk(
            folder: "\(folder)/checkpoints", job: id, description: job.description, wake: { [waker] in waker.wake() },
            tell: { [weak self] text in
                self?.order(.goOn { $0.tell(.trouble(id, node: nil, text: text)) })
            }
        ) { [weak self] in self?.post($0) }
        // Opened again, it has those that this start has made itself.
        try checkpoints.refuseLater(
            than: opened.contains(id) ? core.epoch + 1 : core.epoch,
            postings: core.job(id)?.ledger?.postingsCount ?? 0)
        opened.insert(id)
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
        // They are among the newest entries, but nobody knows how far back.
        var count = 1024
        repeat {
            count *= 4
            try journal.replay(from: max(1, journal.lastSequence - count)) { _, stored in
                guard stored.job == id, case .committed(_, let committed)? = try? CoreJournal.entry(stored),
                    committed.step > logged, committed.step <= step
                else { return }
                missing[committed.step] = committed
            }
        } while missing[logged + 1] == nil && count < journal.lastSequence
        for number in stride(from: logged + 1, through: step, by: 1) {
            guard let committed = missing[number], desk.isLogged(number, of: run) else { continue }
            try desk.log.append(desk.events.missed(committed, tokens: run.tokens(after: number)))
        }
    }

    /// Lengths of the training sequences, from the job's data file.
    package static func sequenceIndex(_ description: JobDescription) throws -> SequenceIndex {
        guard let file = description.files.first(where: { $0.kind == .data }) else {
            throw DeskError(description: "the job names no data")
        }
        let cache = try TokenCache(path: file.path, verifying: false)
        let range = 0..<cache.train.sequenceCount
        let index = SequenceIndex(
            tokens: range.map { Int32(cache.train.tokens($0)) },
            trained: range.map { Int32(cache.train.trainedTokens($0)) })
        if let path = cache.changedFile() { throw DatasetError.changed(path: path) }
        return index
    }

    /// Gives the core what the journal says.
    func restoreJobs() throws {
        _ = try adjust { core in
            try facts.restore(&core, at: Self.now())
            return nil
        }
    }

    /// Opens the jobs that were not at rest when the coordinator ended; their workers come back by themselves. A job
    /// that can't be opened fails, with the reason, and can be resumed once that is mended.
    package func continueJobs() throws {
        for run in core.jobs where !run.state.isAtRest {
            do { try opening(run.id) { try goOn(with: run) } } catch let lost as JournalLost { throw lost } catch {
                giveUp(run.id, "it can't go on: \(error)", for: error)
            }
        }
        try restTroubled()
    }

    private func goOn(with known: JobRun) throws {
        // With a limit of money the core holds the job and says why.
        if known.limits[.money] == nil { try refuseOtherCurrency(known) }
        let run = try located(known)
        let job = Job(description: run.description, index: try Self.sequenceIndex(run.description))
        try openDesk(run.id, job, keepingThrough: run.committed)
        let found = try desk(run.id)?.checkpoints.recover(of: run, at: Self.wallClock)
        let output = adjust { core in
            core.attach(job.plan.index, to: run.id)
            return core.noteFound(found?.step ?? 0, of: run.id)
        }
        if let output { try carryOut(output) }
    }

    /// Readies a job of the journal to run again in this process, from its newest sound checkpoint; when its budget ran
    /// out, from `point`, if what was granted since allows anything useful.
    ///
    /// One that is done goes on only when its last checkpoint is lost; one that is over otherwise stays as it is.
    ///
    /// - Parameters:
    ///   - amended: the job with other run keys, nil = as it was; what decides the result stays, whatever it says of that.
    ///   - units: of which `amended` tells new limits; the other limits stay as they are in force.
    /// - Returns: the step it goes on from, and checkpoints that had to be passed over. Throws before anything is written
    ///   when the job can't go on as amended.
    package func reopen(
        _ id: JobID, amended: JobDescription? = nil, limiting units: [BudgetUnit] = [],
        from point: ResumePoint = .trunk
    ) throws -> (step: Step, rejected: [String]) {
        guard let known = core.job(id) else { throw DeskError(description: "the journal knows no job \(id)") }
        if amended != nil { try refuseOtherCurrency(known) }
        let run = amended == nil ? try located(known) : known
        let description = amended.map { run.description.amended(by: $0) } ?? run.description
        let job = Job(description: description, index: try Self.sequenceIndex(description))
        desks.removeAll { $0.id == id }
        try openDesk(id, job, keepingThrough: run.committed)
        guard let desk = desk(id), run.state != .cancelled, run.state != .diverged else { return (run.committed, []) }
        if amended != nil { try amend(id, to: description, limiting: units) }
        _ = adjust { core in
            core.attach(job.plan.index, to: id)
            return nil
        }
        if run.state == .budgetExhausted { return try goOn(id, from: point) }
        let found = try desk.checkpoints.recover(of: run, at: Self.wallClock)
        if let output = adjust({ core in core.rewind(id, to: found.step) }) { try carryOut(output) }
        return found
    }

    /// A job whose budget ran out: the checkpoint to go on from must be sound before its line is left.
    private func goOn(_ id: JobID, from point: ResumePoint) throws -> (step: Step, rejected: [String]) {
        guard let run = core.jobWithShare(id) else { return (0, []) }
        var found: (step: Step, rejected: [String]) = (run.committed, [])
        if run.canGoOn(from: point, at: Self.now()) {
            found = try recover(run, at: point)
        } else if let desk = desk(id) {
            found = try desk.checkpoints.recover(of: run, at: Self.wallClock)
            if try recompute(run, from: found.step) { return found }
        }
        try feed(.ordered(point == .trunk ? .resume : .resumeAnnealed, id))
        return found
    }

    /// Makes the checkpoint of `point` the one that the next continues; throws when it can't be used.
    func recover(_ run: JobRun, at point: ResumePoint) throws -> (step: Step, rejected: [String]) {
        let target = point == .trunk ? run.branchPoint : run.committed
        guard let desk = desk(run.id) else { return (target, []) }
        do { return try desk.checkpoints.recover(step: target, of: run, at: Self.wallClock) } catch {
            let other = point == .trunk ? "annealed" : "trunk"
            throw DeskError(
                description: "the \(point.rawValue) checkpoint of step \(target) can't be used: \(error); "
                    + "go on from the other one with --from \(other)")
        }
    }

    /// Opens a job at rest, so that it can be set going again; one that is over goes on when its last state is lost.
    func wake(_ id: JobID) throws {
        guard let known = core.job(id), known.state.isAtRest else { return }
        let run = try located(known)
        let isOver = run.state == .done || run.state == .budgetExhausted
        guard desk(id) == nil || isOver else { return }
        if desk(id) == nil {
            let job = Job(description: run.description, index: try Self.sequenceIndex(run.description))
            try opening(id) { try openDesk(id, job, keepingThrough: run.committed) }
            _ = adjust { core in
                core.attach(job.plan.index, to: id)
                return nil
            }
        }
        guard run.state != .cancelled, let desk = desk(id) else { return }
        if run.state == .budgetExhausted, core.jobWithShare(id)?.canGoOn(from: .trunk, at: Self.now()) == true {
            return
        }
        let found: Step
        do { found = try desk.checkpoints.recover(of: run, at: Self.wallClock).step } catch {
            if !isOver { closeDesk(id) }
            throw error
        }
        if isOver { return _ = try recompute(run, from: found) }
        // Whoever held a newer state is gone.
        if found != run.saved, let output = adjust({ core in core.noteFound(found, of: id) }) { try carryOut(output) }
    }

    /// Sets a job that is over going again from `step`, the newest sound checkpoint's, when that is not its last; false
    /// = there is nothing to do.
    private func recompute(_ run: JobRun, from step: Step) throws -> Bool {
        guard step < run.committed else { return false }
        guard run.mayRecompute else {
            throw DeskError(
                description:
                    "the checkpoint of step \(run.committed), the last of job \(run.id), can't be used, and its "
                    + "budget leaves nothing to compute it again from step \(step): grant more with `drover budget add`, "
                    + "then it goes on from its trunk")
        }
        if let output = adjust({ core in core.rewind(run.id, to: step) }) { try carryOut(output) }
        return true
    }

    static var wallClock: Int { Int(Date().timeIntervalSince1970 * 1000) }

    /// The job's place in its ledger, for manifests.
    static func position(_ run: JobRun) -> JSONValue {
        guard let ledger = run.ledger else { return .members(["tokens": .int(run.tokens)]) }
        return .members([
            "tokens": .int(run.tokens), "ledger_head": ledger.head.map { .string($0.hex) } ?? .null,
            "postings": .int(ledger.postingsCount),
            "spent": .object(JSONObject(BudgetUnit.allCases.map { ($0.key, .int(Int(ledger.spent[$0]))) })),
        ])
    }

    /// Tells everybody who listens; keeps the log. A job whose folder takes nothing in fails; the others go on.
    func tell(_ notice: Notice) {
        var event = JobEvents.event(notice, ledger: notice.job.flatMap(core.job)?.ledger)
        do { try keep(notice, &event) } catch {
            if let job = notice.job { giveUp(job, "its folder can't be written: \(error)", for: error) }
        }
        guard let event else { return }
        distribute(notice.job, event)
        if case .state(let id, let state, _) = notice, state.isAtRest { distribute(id, end(id)) }
    }

    /// Writes down what a notice says; makes the event of a step.
    private func keep(_ notice: Notice, _ event: inout JSONValue?) throws {
        let now = Self.now()
        switch notice {
        case .committed(let id, let step):
            guard let desk = desk(id), let run = core.job(id) else { return }
            let line = desk.events.step(step, tokens: run.tokens(after: step.step), of: run, at: now)
            event = Self.tagged("step", line)
            if desk.isLogged(step.step, of: run) { try desk.log.append(line) }
        case .rewound(let id, let step):
            try desk(id)?.rewind(to: step, at: now)
            if let log = desk(id)?.log { cutFollowers(of: id, to: log.bytes) }
            desk(id)?.checkpoints.goBack(to: step)
        case .planned(let id, _): try desk(id)?.write(core.job(id)?.plan ?? [])
        case .state(let id, _, let reason): desk(id)?.lastReason = reason
        case .evaluated(let id, let step, let loss, let targets):
            guard let desk = desk(id), let run = core.job(id) else { return }
            desk.events.startTiming(at: now)
            // Over no tokens there is no loss.
            guard targets > 0 else { return }
            let tokens = run.tokens(after: min(step, run.committed))
            try desk.keep(
                evaluation: desk.events.evaluation(
                    step, loss: loss, targets: targets, tokens: tokens, ledger: run.ledger, at: now))
        case .generation(let id, _, _, _):
            desk(id)?.events.startTiming(at: now)
            desk(id)?.checkpoints.forgetRestored()
        default: break
        }
    }

    /// A job as the journal knows it, nil = it knows none of that number.
    package func job(_ id: JobID) -> JobRun? { core.job(id) }

    /// Whether a job rests: it is done, or nothing can set it going again.
    package func isAtRest(_ id: JobID) -> Bool { core.job(id)?.state.isAtRest ?? true }

    /// The last line of a job's stream.
    package func end(_ id: JobID) -> JSONValue {
        guard let run = core.job(id) else { return .null }
        let digest = modelDigest(of: run)
        let energy = run.ledger.flatMap { $0.spent.energy > 0 ? $0 : nil }
        return .members([
            "event": .string("end"), "state": .string(run.state.rawValue),
            "reason": .string(desk(id)?.lastReason ?? run.reason),
            "steps": .int(run.committed), "tokens": .int(run.tokens),
            "loss": run.newest.map { .double($0.loss) } ?? .null,
            "model_sha256": digest.map { .string($0.hex) } ?? .null, "trunk": run.trunk.map(JSONValue.int) ?? .null,
            "core_hours": JobEvents.coreHours(run.ledger),
            // Whose limit it was that ended it.
            "limiting_project": run.state == .budgetExhausted
                ? run.endingProject.map(JSONValue.string) ?? .null : .null,
            // Millijoules; null where nothing measures or declares them.
            "energy_wh": energy.map { .double(Double($0.spent.energy) / 3.6e6) } ?? .null,
            "energy_method": energy.map { .string(EnergyMethod.text($0.energyMethods)) } ?? .null,
        ])
    }

    /// `model_sha256` of the checkpoint of the newest committed step, nil = there is none.
    private func modelDigest(of run: JobRun) -> Digest? {
        guard let (store, record) = record(of: run, at: run.committed) else { return nil }
        if let known = record.manifest.modelDigest ?? models[record.digest] { return known }
        do {
            let digest = try store.modelDigest(of: record)
            models[record.digest] = digest
            return digest
        } catch {
            log.error("the checkpoint of step \(run.committed) of job \(run.id) can't be read: \(error)")
            return nil
        }
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
        case .joined, .left, .refused, .suspected: nil
        case .generation(let id, _, _, _), .ready(let id, _, _), .committed(let id, _), .evaluated(let id, _, _, _),
            .saved(let id, _, _, _, _),
            .saveFailed(let id, _, _), .rewound(let id, _), .planned(let id, _), .warned(let id, _, _, _),
            .projectWarned(let id, _, _, _, _), .trouble(let id, _, _), .state(let id, _, _):
            id
        }
    }
}
