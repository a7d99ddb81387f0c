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
        guard let again = try? JournalEntry(job: entry.job, kind: entry.kind, payload: entry.encoded()), again == entry
        else {
            return fail(.i9, "a journal entry does not survive its bytes: \(entry)")
        }
        head.journal.append(entry)
        do { try head.mirror.restore(entry, at: clock(Self.headEnd)) } catch {
            return fail(.i9, "a journal entry can't be replayed: \(error)")
        }
        if case .submitted(let id, let bytes) = entry {
            guard let description = try? JobDescription(decoding: bytes), let place = description.training["sim"]?.int
            else {
                return fail(.i9, "a journalled job description does not decode")
            }
            if head.records.contains(where: { $0.id == id }) {
                return fail(.i3, "the number of job \(id) is given twice")
            }
            if requests.count(where: { if case .submit(let reference) = $0.event { reference == place } else { false } }
            ) > 0,
                head.records.contains(where: { $0.reference == place })
            {
                return fail(.i3, "a submission is carried out twice, as job \(id)")
            }
            head.records.append(.init(id: id, reference: place, submittedAt: now, movedAt: now))
            return
        }
        if case .projectLimited = entry { return }
        guard let record = record(entry.job) else { return fail(.i9, "a journal entry of an unknown job") }
        // The mirror has taken the entry already.
        guard let run = head.mirror.job(entry.job) else { return fail(.i9, "the mirror knows no job \(entry.job)") }
        if case .committed = entry { checkProject(of: run) }
        check(entry, run, &head.records[record])
    }

    /// Invariant: the jobs of a project together pass no exact limit of it.
    private func checkProject(of run: JobRun) {
        let limits = head.mirror.projectLimits(run.description.project)
        let spent = head.mirror.projectSpent(run.description.project)
        for unit in BudgetUnit.allCases where unit.isExact {
            guard let limit = limits[unit], spent[unit] > limit else { continue }
            fail(.b2, "job \(run.id): its project spends more \(unit.key) than allowed")
        }
    }

    /// Holds an entry against what is on record and against the undisturbed run; `run` is what a replay gives.
    private func check(_ entry: JournalEntry, _ run: JobRun, _ record: inout SimulatedCoordinator.JobRecord) {
        let reference = references[record.reference]
        switch entry {
        case .submitted, .amended, .projectLimited, .answered, .profile, .snapshot: break
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
        case .rewound(_, let step): record.committed = min(record.committed, step)
        case .planned(let id, let event):
            if !event.isWellFormed || event.after < record.recipes.count {
                fail(.b10, "job \(id): a plan changes the past: \(event)")
            }
            reference.adopt(event)
        case .ledger(_, let entry, _): check(entry, run, &record)
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

    /// Invariants of a job's ledger (its mirror has taken the entry, and with it the chain, already).
    private func check(_ entry: LedgerEntry, _ run: JobRun, _ record: inout SimulatedCoordinator.JobRecord) {
        guard let ledger = run.ledger else { return fail(.b8, "job \(run.id): its ledger is not replayed") }
        func wrong(_ invariant: Invariant, _ what: String) {
            fail(invariant, "job \(run.id), ledger entry \(entry.sequence): \(what)")
        }
        if let fault = ledger.conservationFault { wrong(.b1, fault) }
        for unit in BudgetUnit.allCases where unit.isExact {
            if let limit = ledger.budget[unit], ledger.spent[unit] > limit {
                wrong(.b2, "more \(unit.key) are spent than allowed")
            }
        }
        for unit in BudgetUnit.allCases where !unit.isExact {
            if ledger.spent[unit] < record.spent[unit] { wrong(.b9, "\(unit.key) that was spent is forgotten") }
            record.spent[unit] = ledger.spent[unit]
        }
        for unit in BudgetUnit.allCases where !unit.isExact {
            guard let limit = ledger.budget[unit] else { continue }
            let beyond = ledger.spent[unit] - limit
            if beyond > ledger.balance(.overrun)[unit] {
                wrong(.b7, "\(beyond) of \(unit.key) are spent beyond the limit, which no posting says")
            }
        }
        let ahead = ledger.leases.reduce(0) { $0 + Int($1.remaining.steps) }
        if ahead > JobRun.leaseMost + 4 { wrong(.b3, "\(ahead) steps are reserved") }
        if case .covered(let step) = entry.event, !record.checkpoints.contains(where: { $0.step >= step }) {
            wrong(.b4, "covers step \(step) without a checkpoint")
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
        case .budgetExhausted:
            guard let event = run.plan.last else { return wrong("it has no plan") }
            if event.limit == nil { wrong("no limit ends it") }
            if record.committed >= reference.plannedSteps { wrong("all steps were done") }
            // A top-up that is used up before its first step ends at the trunk; the end of the old budget is newer.
            if record.committed > 0, !record.checkpoints.contains(where: { $0.step == record.committed }) {
                wrong("its newest checkpoint is of step \(newest)")
            }
            if record.committed != max(event.end, event.after) {
                wrong("it ends at step \(record.committed), its plan at \(event.end)")
            }
            let isKept = record.checkpoints.contains {
                $0.step == event.trunk && ($0.kind == .trunk || $0.kind == .final)
            }
            if event.trunk > 0, event.trunk <= record.committed, !isKept {
                fail(.b6, "job \(record.id): its trunk of step \(event.trunk) is not in the store (\(reason))")
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
        guard let difference = head.difference(inDetail: place == "at a restart") else { return }
        fail(difference.invariant, "\(difference.text) \(place)")
    }
}

// MARK: Messages and workers
extension SimulatedCluster {
    /// Invariant: nothing leaves before the journal entry that justifies it is durable.
    func check(_ message: Message, to session: SessionID) {
        switch message {
        case .welcome(let welcome):
            let worker = workers[connections[head.connectionOfSession[Int(session.number) - 1]].worker]
            if worker.session?.hello.lastEpoch ?? 0 > welcome.epoch,
                connections[head.connectionOfSession[Int(session.number) - 1]].boot == worker.boot
            {
                fail(
                    .i2, "a coordinator of epoch \(welcome.epoch) takes in w\(worker.index), which has seen a newer one"
                )
            }
            newestEpoch = max(newestEpoch, welcome.epoch)
        case .assign(let assignment): checkLoadPause(assignment.job, session)
        case .lease(let lease):
            guard let place = record(lease.job) else { return fail(.i4, "a lease of an unknown job") }
            let record = head.records[place]
            check(end: lease, record)
            if lease.generation != record.generation {
                fail(.i1, "a lease of generation \(lease.generation) in \(record.generation)")
            }
            for bytes in lease.recipes {
                guard let step = Self.step(of: bytes), record.recipes.indices.contains(step - 1),
                    record.recipes[step - 1] == bytes
                else { return fail(.i4, "a lease leaves before its recipe is durable") }
            }
        case .prepare(let id, let generation):
            guard let place = record(id), head.records[place].generation == generation else {
                return fail(.i4, "a generation is opened before it is durable")
            }
        case .begin(let roster): check(roster)
        default: break
        }
    }

    /// The step of a recipe's bytes: it stands behind the version, as a little-endian u64.
    private static func step(of bytes: [UInt8]) -> Step? {
        var reader = ByteReader(bytes.dropFirst(2))
        return try? Int(clamping: reader.integer(UInt64.self))
    }

    /// Invariant: a lease never reaches beyond a step behind which something else is due.
    private func check(end lease: Lease, _ record: SimulatedCoordinator.JobRecord) {
        let description = references[record.reference].description
        let steps = lease.recipes.compactMap(Self.step)
        guard let first = steps.first, let last = steps.last else { return }
        func isBarrier(_ every: Int, _ step: Step) -> Bool { every > 0 && step % every == 0 }
        for step in first..<last
        where isBarrier(description.saveSteps, step)
            || (description.evaluationSequences > 0 && isBarrier(description.evaluationSteps, step))
        {
            fail(.i1, "job \(record.id): a lease of steps \(first) to \(last) goes past its end at \(step)")
        }
        if last > record.committed + JobRun.leaseMost + 4 {
            fail(.i1, "job \(record.id): step \(last) is leased when \(record.committed) count")
        }
    }

    /// Invariants on what one event brought about.
    func check(_ output: CoordinatorOutput, of event: CoordinatorEvent) {
        checkSilence(output)
        guard case .received(let message, let session, _) = event else { return }
        head.heardAt[Int(session.number) - 1] = now
        inspection.heardAt[connections[head.connectionOfSession[Int(session.number) - 1]].worker] = now
        switch message {
        case .report(let report):
            for case .committed(let id, let step) in output.journal {
                guard let place = record(id), head.records[place].generation != report.position.generation else {
                    continue
                }
                fail(.i7, "job \(id): step \(step.step) counts by a report of generation \(report.position.generation)")
            }
        case .assigned(let result) where !result.problem.isEmpty:
            let isNoted = output.notices.contains { if case .trouble = $0 { true } else { false } }
            if isNoted { inspection.loadFailed(session, result.job, now) }
        default: break
        }
    }

    /// The checkpoint that an event says has failed, unless it was given up before.
    func failedCheckpoint(_ event: CoordinatorEvent) -> (job: JobID, step: Step)? {
        guard case .publishFailed(let id, let step, let attempt, _) = event,
            head.core?.job(id)?.awaits(checkpoint: attempt) == true
        else { return nil }
        return (id, step)
    }

    /// Invariant: a checkpoint that could not be written is told.
    func check(_ output: CoordinatorOutput, tells failed: (job: JobID, step: Step)) {
        let isTold = output.notices.contains { notice in
            if case .saveFailed(failed.job, failed.step, _) = notice { true } else { false }
        }
        if !isTold { fail(.c9, "job \(failed.job): the checkpoint of step \(failed.step) fails and nobody is told") }
    }

    /// Invariant: nobody is given up for silence before the time for it has gone by.
    private func checkSilence(_ output: CoordinatorOutput) {
        for case .left(let node, let name, let reason) in output.notices where reason.hasPrefix("silent") {
            for case .close(let session) in output.commands {
                guard workers[connections[head.connectionOfSession[Int(session.number) - 1]].worker].node == node else {
                    continue
                }
                let silence = now - head.heardAt[Int(session.number) - 1]
                if silence < times.deadAfter - .milliseconds(50) {
                    fail(.i10, "\(name) is given up after \(silence.seconds) s of silence")
                }
            }
        }
    }

    private func check(_ roster: Roster) {
        guard let place = record(roster.job) else { return fail(.i4, "a roster of an unknown job") }
        let record = head.records[place]
        let reference = references[record.reference]
        let shards = roster.members.flatMap { Array($0.shards.lower..<$0.shards.upper) }
        let first = roster.members.flatMap { $0.firstShards.flatMap { Array($0.lower..<$0.upper) } }
        if shards != Array(0..<reference.description.virtualShards) || first.sorted() != shards {
            fail(.i1, "generation \(roster.generation) does not share out every shard once")
        }
        if Step(roster.target) > record.committed {
            fail(.i5, "generation \(roster.generation) starts beyond what counts")
        }
        if roster.target > 0, roster.digest != reference.digest(Step(roster.target)) {
            fail(.i7, "generation \(roster.generation) starts from another state than the job's")
        }
    }

    func check(_ roster: Roster, _ rank: Int, _ worker: SimulatedWorker) {
        if !roster.members.indices.contains(rank) || roster.members[rank].node != worker.node {
            fail(.i1, "w\(worker.index) enters generation \(roster.generation) at a wrong rank")
        }
    }

    /// Invariant: the sum of a step is the canonical tree over exactly V shards, each once.
    func check(root: Reference.Sum, _ step: Step, _ tag: UInt64, _ worker: SimulatedWorker) {
        guard let loaded = worker.loaded else { return }
        if !references[loaded.job].lines(step).contains(where: { $0.tag == tag && $0.root == root }) {
            fail(.i6, "w\(worker.index): the sum of step \(step) is not the tree over all shards")
        }
    }

    /// The shell has one buffer for the finished sum: the next one must not arrive while the update reads it.
    func checkRootBuffer(_ worker: SimulatedWorker, _ step: Step) {
        for case .apply(_, _, let recipe, _, _) in worker.tasks where recipe.step < step {
            fail(.i5, "w\(worker.index): the sum of step \(step) arrives while step \(recipe.step) is applied")
        }
    }

    func checkApplied(_ worker: SimulatedWorker, _ step: Step, _ digest: UInt64) {
        guard let loaded = worker.loaded else { return }
        if step > 0, !references[loaded.job].lines(step).contains(where: { $0.digest == digest }) {
            fail(.i5, "w\(worker.index): the state after step \(step) is not the undisturbed run's")
        }
    }

    func check(_ notice: Notice) {
        if case .left(let node, _, _) = notice {
            inspection.forgetLoads {
                self.workers[self.connections[self.head.connectionOfSession[Int($0.number) - 1]].worker].node == node
            }
        }
        if case .saveFailed(let id, _, _) = notice { inspection.saveFailed(id, now) }
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
        case .trouble(let id, let node, let text):
            let name = workers.first { $0.node == node }.map { " at w\($0.index)" } ?? ""
            tell("job \(id): trouble\(name): \(text)")
        case .joined(_, let name, _): tell("\(name) joined")
        case .left(_, let name, let reason): tell("\(name) left: \(reason)")
        case .suspected(_, let name, let silence): tell("\(name) is silent for \(Int(silence.seconds)) s")
        case .refused(let name, let reason): tell("\(name) refused: \(reason)")
        case .planned(let id, let event): tell("job \(id): plan \(event.json.canonicalText)")
        case .warned(let id, let unit, let spent, let limit):
            tell("job \(id): \(spent) of \(limit) \(unit.key) are spent")
        case .projectWarned(let id, let project, let unit, let spent, let limit):
            tell("job \(id): \(spent) of \(limit) \(unit.key) of project \(project) are spent")
        case .state, .ready: break
        }
    }
}
