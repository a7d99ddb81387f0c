import Budgeting
import Collectives
import Coordination
import Recipes
import Terms
import Wire

// MARK: The journal
extension SimulatedCluster {
    /// Makes an entry durable, after holding it against what is on record.
    func append(_ entry: JournalEntry) {
        guard let again = try? JournalEntry(job: entry.job, kind: entry.kind, payload: entry.encoded()), again == entry else {
            return fail("a journal entry does not survive its bytes: \(entry)")
        }
        head.journal.append(entry)
        do { try head.mirror.restore(entry, at: now) } catch { return fail("a journal entry can't be replayed: \(error)") }
        if case .submitted(let id, let bytes) = entry {
            guard let description = try? JobDescription(decoding: bytes), let place = description.training["sim"]?.int else {
                return fail("a journalled job description does not decode")
            }
            if head.records.contains(where: { $0.id == id }) { return fail("the number of job \(id) is given twice") }
            head.records.append(.init(id: id, reference: place))
            return
        }
        guard let record = record(entry.job) else { return fail("a journal entry of an unknown job") }
        // The mirror has taken the entry already.
        guard let run = head.mirror.job(entry.job) else { return fail("the mirror knows no job \(entry.job)") }
        check(entry, run, &head.records[record])
    }

    /// Holds an entry against what is on record and against the undisturbed run; `run` is what a replay gives.
    private func check(_ entry: JournalEntry, _ run: JobRun, _ record: inout SimulatedCoordinator.JobRecord) {
        let reference = references[record.reference]
        switch entry {
        case .submitted, .amended, .projectLimited, .profile: break
        case .state(let id, let state, let reason):
            tell("job \(id): \(state.rawValue) (\(reason))")
            if !record.state.mayBecome(state) {
                fail("job \(id) goes from \(record.state.rawValue) to \(state.rawValue): \(reason)")
            }
            record.state = state
            checkEnding(record, run, reason)
        case .generation(let id, let generation):
            if generation != record.generation.next { fail("job \(id): generation \(generation) after \(record.generation)") }
            record.generation = generation
        case .recipe(let id, let step, let bytes):
            if step <= record.recipes.count {
                if record.recipes[step - 1] != bytes { fail("job \(id): the recipe of step \(step) is issued with other contents") }
            } else {
                if step != record.recipes.count + 1 { fail("job \(id): the recipe of step \(step) leaves a gap") }
                record.recipes.append(bytes)
            }
            if bytes != reference.line(step).bytes { fail("job \(id): the recipe of step \(step) is not the job's") }
        case .committed(_, let step): check(step, run, &record)
        case .evaluated(let id, let step, let lossSum, let tokens):
            let parts = (0..<reference.description.evaluationShards).map {
                Reference.evaluation($0, state: reference.digest(step))
            }
            if lossSum != parts.reduce(0, { $0 + $1.loss }) || tokens != Int(parts.reduce(0) { $0 + $1.tokens }) {
                fail("job \(id): the held-out loss after step \(step) is wrong")
            }
        case .published(let id, let step):
            if step > record.committed { fail("job \(id): a checkpoint of step \(step) before that step counts") }
            if !record.checkpoints.contains(where: { $0.step == step && $0.digest == reference.digest(step) }) {
                fail("job \(id): the journal names a checkpoint of step \(step) that the store does not hold")
            }
        case .rewound(_, let step): record.committed = min(record.committed, step)
        case .planned(let id, let event):
            // B10: what was issued stays as it is.
            if !event.isWellFormed || event.after < record.recipes.count { fail("job \(id): a plan changes the past: \(event)") }
            reference.adopt(event)
        case .ledger(_, let entry, _): check(entry, run, &record)
        case .branched(let id, let step):
            if record.state != .budgetExhausted { fail("job \(id) leaves its line while it is \(record.state.rawValue)") }
            if step > 0, !record.checkpoints.contains(where: { $0.step == step && $0.digest == reference.digest(step) }) {
                fail("job \(id): goes back to step \(step), of which there is no checkpoint")
            }
            record.recipes.removeSubrange(min(step, record.recipes.count)...)
            record.committed = min(record.committed, step)
        case .trunk(let id, let step):
            if !record.checkpoints.contains(where: { $0.step == step && $0.kind == .trunk }) {
                fail("job \(id): its trunk of step \(step) is not in the store")
            }
        }
    }

    /// Invariants B1–B9 of a job's ledger (its mirror has taken the entry, and with it the chain, already).
    private func check(_ entry: LedgerEntry, _ run: JobRun, _ record: inout SimulatedCoordinator.JobRecord) {
        guard let ledger = run.ledger else { return fail("job \(run.id): its ledger is not replayed") }
        func wrong(_ what: String) { fail("job \(run.id), ledger entry \(entry.sequence): \(what)") }
        if let fault = ledger.conservationFault { wrong(fault) }
        for unit in BudgetUnit.allCases where unit.isExact {
            if let limit = ledger.budget[unit], ledger.spent[unit] > limit { wrong("more \(unit.key) are spent than allowed") }
        }
        for unit in BudgetUnit.allCases where !unit.isExact {
            if ledger.spent[unit] < record.spent[unit] { wrong("\(unit.key) that was spent is forgotten") }
            record.spent[unit] = ledger.spent[unit]
        }
        if case .covered(let step) = entry.event, !record.checkpoints.contains(where: { $0.step >= step }) {
            wrong("covers step \(step) without a checkpoint")
        }
    }

    private func check(_ step: CommittedStep, _ run: JobRun, _ record: inout SimulatedCoordinator.JobRecord) {
        let line = references[record.reference].line(step.step)
        func wrong(_ what: String) { fail("job \(record.id), step \(step.step): \(what)") }
        if step.step != record.committed + 1 { wrong("counts after step \(record.committed)") }
        if step.digest != line.digest { wrong("the state is not the undisturbed run's") }
        if step.lossSum != line.root.loss { wrong("the loss is not the undisturbed run's") }
        if step.inputTokens != line.recipe.inputTokens || step.trainedTokens != line.recipe.trainedTokens { wrong("tokens") }
        if step.learningRate != line.recipe.learningRate { wrong("learning rate") }
        if step.generation > record.generation || step.workers == 0 { wrong("counts in no generation") }
        if step.step > record.recipes.count { wrong("counts before its recipe is durable") }
        if record.state.isAtRest { wrong("counts while the job is \(record.state.rawValue)") }
        if let limit = run.limits[.steps], step.step > limit { wrong("is beyond the limit of \(limit) steps") }
        if let limit = run.limits[.tokens], line.tokens > limit { wrong("is beyond the limit of \(limit) tokens") }
        if run.ledger?.position != step.step { wrong("is not charged") }
        record.committed = step.step
    }

    /// What must be true of a job that came to rest.
    private func checkEnding(_ record: SimulatedCoordinator.JobRecord, _ run: JobRun, _ reason: String) {
        let reference = references[record.reference]
        let newest = record.checkpoints.last?.step ?? 0
        func wrong(_ what: String) { fail("job \(record.id) is \(record.state.rawValue): \(what) (\(reason))") }
        switch record.state {
        case .done:
            if record.committed != reference.plannedSteps { wrong("only \(record.committed) of \(reference.plannedSteps) steps count") }
            if newest != record.committed { wrong("its newest checkpoint is of step \(newest)") }
        case .budgetExhausted:
            guard let event = run.plan.last else { return wrong("it has no plan") }
            if event.limit == nil { wrong("no limit ends it") }
            if record.committed >= reference.plannedSteps { wrong("all steps were done") }
            if record.committed > 0, newest != record.committed { wrong("its newest checkpoint is of step \(newest)") }
            if record.committed != max(event.end, event.after) { wrong("it ends at step \(record.committed), its plan at \(event.end)") }
            // B6: what it goes on from is there.
            if event.trunk > 0, event.trunk < event.end, !record.checkpoints.contains(where: { $0.step == event.trunk }) {
                wrong("its trunk of step \(event.trunk) is not in the store")
            }
        case .paused: if !plan.canPauseJobs, !isScripted { wrong("nobody asked for it") }
        case .failed: if !plan.canFailJobs, !isScripted { wrong("without a cause") }
        case .diverged: if plan.nonFinite == 0, !isScripted { wrong("without a cause") }
        case .cancelled: if !record.cancelled { wrong("nobody asked for it") }
        case .queued, .starting, .running, .waitingForWorkers: break
        }
    }

    /// A story that a test writes by hand gives its own causes.
    private var isScripted: Bool { plan.intervals.isEmpty && plan.until == Instant(nanoseconds: 0) }

    /// Invariant: replaying the journal gives what the live core knows.
    func compareWithMirror(_ place: String) {
        guard let core = head.core else { return }
        guard core.jobs.count == head.mirror.jobs.count else { return fail("the journal knows other jobs than the core \(place)") }
        for (live, replayed) in zip(core.jobs, head.mirror.jobs) {
            if let ledger = live.ledger, ledger.position != live.committed {
                return fail("job \(live.id): its ledger stands at step \(ledger.position), the job at \(live.committed) \(place)")
            }
            if let difference = live.durableDifference(from: replayed) {
                return fail("job \(live.id): the journal gives another \(difference) than the core has \(place)")
            }
        }
    }
}

// MARK: Messages and workers
extension SimulatedCluster {
    /// Invariant: nothing leaves before the journal entry that justifies it is durable.
    func check(_ message: Message) {
        switch message {
        case .lease(let lease):
            guard let place = record(lease.job) else { return fail("a lease of an unknown job") }
            let record = head.records[place]
            if lease.generation != record.generation { fail("a lease of generation \(lease.generation) in \(record.generation)") }
            for bytes in lease.recipes {
                // The step stands behind the version, as a little-endian u64.
                var reader = ByteReader(bytes[2...])
                guard let step = try? Int(clamping: reader.integer(UInt64.self)), record.recipes.indices.contains(step - 1),
                    record.recipes[step - 1] == bytes
                else { return fail("a lease leaves before its recipe is durable") }
            }
        case .prepare(let id, let generation):
            guard let place = record(id), head.records[place].generation == generation else {
                return fail("a generation is opened before it is durable")
            }
        case .begin(let roster): check(roster)
        default: break
        }
    }

    private func check(_ roster: Roster) {
        guard let place = record(roster.job) else { return fail("a roster of an unknown job") }
        let record = head.records[place]
        let reference = references[record.reference]
        let shards = roster.members.flatMap { Array($0.shards.lower..<$0.shards.upper) }
        let first = roster.members.flatMap { $0.firstShards.flatMap { Array($0.lower..<$0.upper) } }
        if shards != Array(0..<reference.description.virtualShards) || first.sorted() != shards {
            fail("generation \(roster.generation) does not share out every shard once")
        }
        if Step(roster.target) > record.committed { fail("generation \(roster.generation) starts beyond what counts") }
        if roster.target > 0, roster.digest != reference.digest(Step(roster.target)) {
            fail("generation \(roster.generation) starts from another state than the job's")
        }
    }

    func check(_ roster: Roster, _ rank: Int, _ worker: SimulatedWorker) {
        if !roster.members.indices.contains(rank) || roster.members[rank].node != worker.node {
            fail("w\(worker.index) enters generation \(roster.generation) at a wrong rank")
        }
    }

    /// Invariant: the sum of a step is the canonical tree over exactly V shards, each once.
    func check(root: Reference.Sum, _ step: Step, _ tag: UInt64, _ worker: SimulatedWorker) {
        guard let loaded = worker.loaded else { return }
        if !references[loaded.job].lines(step).contains(where: { $0.tag == tag && $0.root == root }) {
            fail("w\(worker.index): the sum of step \(step) is not the tree over all shards")
        }
    }

    /// The shell has one buffer for the finished sum: the next one must not arrive while the update reads it.
    func checkRootBuffer(_ worker: SimulatedWorker, _ step: Step) {
        for case .apply(_, _, let recipe, _, _) in worker.tasks where recipe.step < step {
            fail("w\(worker.index): the sum of step \(step) arrives while step \(recipe.step) is applied")
        }
    }

    func checkApplied(_ worker: SimulatedWorker, _ step: Step, _ digest: UInt64) {
        guard let loaded = worker.loaded else { return }
        if step > 0, !references[loaded.job].lines(step).contains(where: { $0.digest == digest }) {
            fail("w\(worker.index): the state after step \(step) is not the undisturbed run's")
        }
    }

    func check(_ notice: Notice) {
        guard keepsStory else { return }
        switch notice {
        case .generation(let id, let generation, let nodes, let step):
            let names = nodes.map { node in "w\(workers.firstIndex { $0.node == node } ?? -1)" }
            tell("job \(id): generation \(generation) of \(names.joined(separator: " ")) from step \(step)")
        case .committed(let id, let step): tell("job \(id): step \(step.step) counts")
        case .saved(let id, let step, let kind, _, _): tell("job \(id): \(kind.rawValue) checkpoint of step \(step)")
        case .saveFailed(let id, let step, _): tell("job \(id): no checkpoint of step \(step)")
        case .evaluated(let id, let step, _, _): tell("job \(id): evaluated after step \(step)")
        case .rewound(let id, let step): tell("job \(id): goes back to step \(step)")
        case .trouble(let id, _, let text): tell("job \(id): trouble: \(text)")
        case .joined(_, let name, _): tell("\(name) joined")
        case .left(_, let name, let reason): tell("\(name) left: \(reason)")
        case .refused(let name, let reason): tell("\(name) refused: \(reason)")
        case .planned(let id, let event): tell("job \(id): plan \(event.json.canonicalText)")
        case .warned(let id, let unit, let spent, let limit): tell("job \(id): \(spent) of \(limit) \(unit.key) are spent")
        case .state: break
        }
    }
}
