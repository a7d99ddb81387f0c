import Budgeting
import Coordination
import Recipes
import Terms

// MARK: The journal
extension SimulatedCluster {
    /// Makes an entry durable, after holding it against what is on record.
    func append(_ entry: JournalEntry) {
        guard let again = try? JournalEntry(job: entry.job, kind: entry.kind, payload: entry.encoded()), again == entry
        else {
            return fail(.i9, "a journal entry does not survive its bytes: \(entry)")
        }
        head.journal.append(entry)
        do { try head.mirror.restore(entry, at: clock(Self.headEnd)) } catch {
            let isLine = if case .ledger = entry { true } else { false }
            return fail(isLine ? .b8 : .i9, "a journal entry can't be replayed: \(error)")
        }
        if case .submitted(let id, let bytes) = entry { return open(id, bytes) }
        if case .projectLimited = entry { return }
        guard let record = record(entry.job) else { return fail(.i9, "a journal entry of an unknown job") }
        // The mirror has taken the entry already. It is asked before the record is opened for change.
        guard let run = head.mirror.job(entry.job) else { return fail(.i9, "the mirror knows no job \(entry.job)") }
        let isShared = !projectLimits.isUnlimited && run.description.project == Self.project
        let bounds = isShared ? head.mirror.projectLimits(Self.project) : Budget()
        if isShared { checkProject(entry, of: run, bounds) }
        if case .recipe(_, let step, _) = entry, step > head.records[record].recipes.count {
            checkBegun(step, of: run, bounds)
        }
        check(entry, run, in: bounds, &head.records[record])
    }

    /// Whether a limit, the job's own or its project's, forbids the step after a plan that ends a job right there.
    private func isForbidden(after event: PlanEvent, _ run: JobRun, _ bounds: Budget) -> Bool {
        guard event.end == event.after, event.cause == .limit, event.after >= run.committed,
            let reference = run.description.training["sim"]?.int.map({ references[$0] })
        else { return false }
        // A step that a measured limit gave up, which is used up but for what saving takes.
        if let unit = BudgetUnit.allCases.first(where: { !$0.isExact && $0.key == event.limit }),
            let ledger = run.ledger
        {
            let isUsedUp = bounds[unit] != nil || run.limits[unit].map { ledger.spent[unit] >= $0 } ?? false
            return event.after == run.committed && (isUsedUp || run.committed > 0)
        }
        // What others of the project have taken is looked at where steps are reserved.
        if bounds[.steps] != nil || bounds[.tokens] != nil { return true }
        let tokens = Int64(reference.line(event.end + 1).tokens)
        return run.limits[.steps].map { Int64(event.end) + 1 > $0 } ?? false
            || run.limits[.tokens].map { tokens > $0 } ?? false
    }

    /// Begins the record of a job that was submitted.
    private func open(_ id: JobID, _ bytes: [UInt8]) {
        guard let description = try? JobDescription(decoding: bytes), let place = description.training["sim"]?.int
        else {
            return fail(.i9, "a journalled job description does not decode")
        }
        if head.records.contains(where: { $0.id == id }) {
            return fail(.i3, "the number of job \(id) is given twice")
        }
        let isAsked = requests.contains {
            if case .submit(let reference) = $0.event { reference == place } else { false }
        }
        if isAsked, head.records.contains(where: { $0.reference == place }) {
            return fail(.i3, "a submission is carried out twice, as job \(id)")
        }
        head.records.append(.init(id: id, reference: place, keys: description, submittedAt: now, movedAt: now))
        if let branch = description.branch { plant(branch, head.records.count - 1) }
    }

    /// Holds an entry against what is on record and against the undisturbed run; `run` is what a replay gives.
    private func check(
        _ entry: JournalEntry, _ run: JobRun, in bounds: Budget, _ record: inout SimulatedCoordinator.JobRecord
    ) {
        let reference = references[record.reference]
        switch entry {
        case .amended: checkAmended(run, &record)
        case .submitted, .projectLimited, .answered, .profile, .snapshot: break
        case .state(let id, let state, let reason):
            tell("job \(id): \(state.rawValue) (\(reason))")
            if !record.state.mayBecome(state) {
                fail(.i8, "job \(id) goes from \(record.state.rawValue) to \(state.rawValue): \(reason)")
            }
            record.state = state
            record.movedAt = now
            if state.isAtRest { inspection.forgetLoads(of: id) }
            checkEnding(record, run, reason)
        case .generation(let id, let generation):
            if generation != record.generation.next {
                fail(.i1, "job \(id): generation \(generation) after \(record.generation)")
            }
            record.generation = generation
        case .recipe(let id, let step, let bytes):
            if step <= record.recipes.count {
                if record.recipes[step - 1] != bytes {
                    fail(.i5, "job \(id): the recipe of step \(step) is issued with other contents")
                }
            } else {
                if step != record.recipes.count + 1 { fail(.i5, "job \(id): the recipe of step \(step) leaves a gap") }
                record.recipes.append(bytes)
            }
            if bytes != reference.line(step).bytes {
                fail(.i5, "job \(id): the recipe of step \(step) is not the job's")
            }
        case .committed(_, let step): check(step, run, &record)
        case .evaluated(let id, let step, let lossSum, let tokens):
            let parts = (0..<reference.description.evaluationShards).map {
                Reference.evaluation($0, state: reference.digest(step))
            }
            if lossSum != parts.reduce(0, { $0 + $1.loss }) || tokens != Int(parts.reduce(0) { $0 + $1.tokens }) {
                fail(.i6, "job \(id): the held-out loss after step \(step) is wrong")
            }
        case .found: break
        case .published(let id, let step):
            if step > record.committed { fail(.c2, "job \(id): a checkpoint of step \(step) before that step counts") }
            if !record.checkpoints.contains(where: { $0.step == step }) {
                fail(.c2, "job \(id): the journal names a checkpoint of step \(step) that the store does not hold")
            } else if !record.checkpoints.contains(where: { $0.step == step && $0.digest == reference.digest(step) }) {
                fail(.c5, "job \(id): the checkpoint of step \(step) is not the state after it")
            }
        case .rewound(_, let step):
            record.committed = min(record.committed, step)
            record.passed = record.passed.filter { $0 <= step }
        case .planned(let id, let event):
            if !event.isWellFormed || (event.after < record.recipes.count && !isForbidden(after: event, run, bounds)) {
                fail(.b10, "job \(id): a plan changes the past: \(event)")
            }
            // What a lowered limit forbids is given up; going on, the job issues other recipes for it.
            record.recipes.removeSubrange(min(event.after, record.recipes.count)...)
            record.furthest = min(record.furthest, max(event.after, record.committed))
            reference.adopt(event)
        case .ledger(_, let entry, _): check(entry, run, in: bounds, &record)
        case .branched(let id, let step):
            if record.state != .budgetExhausted {
                fail(.b6, "job \(id) leaves its line while it is \(record.state.rawValue)")
            }
            if step > 0, !record.checkpoints.contains(where: { $0.step == step && $0.digest == reference.digest(step) })
            {
                fail(.b6, "job \(id): goes back to step \(step), of which there is no checkpoint")
            }
            record.recipes.removeSubrange(min(step, record.recipes.count)...)
            record.committed = min(record.committed, step)
            record.furthest = min(record.furthest, step)
        case .trunk(let id, let step):
            // The end of a budget may be the trunk of the next one; both kinds are kept.
            if !record.checkpoints.contains(where: { $0.step == step && ($0.kind == .trunk || $0.kind == .final) }) {
                fail(.c3, "job \(id): its trunk of step \(step) is not in the store")
            }
        }
    }

    private func check(_ step: CommittedStep, _ run: JobRun, _ record: inout SimulatedCoordinator.JobRecord) {
        let line = references[record.reference].line(step.step)
        func wrong(_ what: String) { fail(.i5, "job \(record.id), step \(step.step): \(what)") }
        if step.step != record.committed + 1 { wrong("counts after step \(record.committed)") }
        if step.digest != line.digest {
            guard step.step > record.furthest else {
                return fail(.c7, "job \(record.id), step \(step.step): computed again, the state is another one")
            }
            wrong("the state is not the undisturbed run's")
        }
        if step.lossSum != line.root.loss { wrong("the loss is not the undisturbed run's") }
        if step.inputTokens != line.recipe.inputTokens || step.trainedTokens != line.recipe.trainedTokens {
            wrong("tokens")
        }
        if step.learningRate != line.recipe.learningRate { wrong("learning rate") }
        if step.generation > record.generation || step.workers == 0 { wrong("counts in no generation") }
        if step.step > record.recipes.count { wrong("counts before its recipe is durable") }
        if record.state.isAtRest { wrong("counts while the job is \(record.state.rawValue)") }
        if let limit = run.limits[.steps], step.step > limit { wrong("is beyond the limit of \(limit) steps") }
        if let limit = run.limits[.tokens], line.tokens > limit { wrong("is beyond the limit of \(limit) tokens") }
        if run.ledger?.position != step.step { wrong("is not charged") }
        if let atRisk = run.ledger?.balance(.atRisk).steps, atRisk > Int64(step.step - min(run.saved, step.step)) {
            fail(.b5, "job \(record.id), step \(step.step): \(atRisk) steps at risk, a checkpoint is of \(run.saved)")
        }
        record.committed = step.step
        record.furthest = max(record.furthest, step.step)
        record.movedAt = now
    }

    /// What must be true of a job that came to rest.
    private func checkEnding(_ record: SimulatedCoordinator.JobRecord, _ run: JobRun, _ reason: String) {
        let reference = references[record.reference]
        let newest = record.checkpoints.last?.step ?? 0
        func wrong(_ what: String) { fail(.i8, "job \(record.id) is \(record.state.rawValue): \(what) (\(reason))") }
        switch record.state {
        case .done:
            if record.committed != reference.plannedSteps {
                wrong("only \(record.committed) of \(reference.plannedSteps) steps count")
            }
            if newest != record.committed { wrong("its newest checkpoint is of step \(newest)") }
        case .budgetExhausted: checkExhausted(record, run, reason)
        case .paused: if !plan.canPauseJobs, !isScripted { wrong("nobody asked for it") }
        case .failed: if !plan.canFailJobs, !isScripted { wrong("without a cause") }
        case .diverged: if plan.nonFinite == 0, !isScripted { wrong("without a cause") }
        case .cancelled: if !record.cancelled { wrong("nobody asked for it") }
        case .queued, .starting, .running, .waitingForWorkers: break
        }
    }

    /// What must be true of a job whose budget has ended.
    private func checkExhausted(_ record: SimulatedCoordinator.JobRecord, _ run: JobRun, _ reason: String) {
        let reference = references[record.reference]
        func wrong(_ invariant: Invariant, _ what: String) {
            fail(invariant, "job \(record.id) is \(record.state.rawValue): \(what) (\(reason))")
        }
        let ends = record.checkpoints.filter {
            $0.step == record.committed && $0.digest == reference.digest(record.committed)
        }
        if record.committed > 0, ends.isEmpty { wrong(.b6, "no checkpoint is of step \(record.committed)") }
        guard let event = run.plan.last else { return wrong(.i8, "it has no plan") }
        // What was done before the limits left no room for anything is in whatever checkpoint there was.
        let isHeld = reason.hasPrefix("held: ")
        // One of an earlier life is taken as it is: nobody knows any more what it was made for.
        let isLast = ends.contains { $0.isPinned && $0.isVerified || $0.life < rateRange.lives }
        if record.committed > 0, !isHeld, !isLast {
            wrong(.b6, "no checkpoint of step \(record.committed) is a last one that was read back")
        }
        if isHeld, isUncounted(run) { return }
        // Workers that have gone on from it can't make it again.
        let isKept =
            record.passed.contains(event.trunk)
            || record.checkpoints.contains { $0.step == event.trunk && $0.isPinned }
        if event.trunk > 0, event.trunk <= record.committed, event.limit != nil, !isKept {
            wrong(.b6, "its trunk of step \(event.trunk) is not in the store")
        }
        if event.limit == nil { wrong(.i8, "no limit ends it") }
        if record.committed >= reference.plannedSteps { wrong(.i8, "all steps were done") }
        if record.committed != max(event.end, event.after) {
            wrong(.i8, "it ends at step \(record.committed), its plan at \(event.end)")
        }
    }

    /// A story that a test writes by hand gives its own causes.
    private var isScripted: Bool { plan.intervals.isEmpty && plan.until == Instant(nanoseconds: 0) }

    /// Invariant: replaying the journal gives what the live core knows.
    func compareWithMirror(_ place: String) {
        guard let difference = head.difference(inDetail: place == "at a restart") else { return }
        fail(difference.invariant, "\(difference.text) \(place)")
    }
}
