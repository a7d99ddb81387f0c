import Budgeting
import Collectives
import Coordination
import Recipes
import Terms
import Wire

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
        let description = record.keys
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
