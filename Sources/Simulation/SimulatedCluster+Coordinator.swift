import Budgeting
package import Coordination
import Recipes
package import Terms
import Wire

extension SimulatedCluster {
    // MARK: Life and death

    /// Starts the coordinator from its journal.
    package func startCoordinator() {
        guard head.core == nil else { return }
        head.life += 1
        head.epoch += 1
        head.nextSession = 1
        head.connectionOfSession = []
        head.stalledUntil = Instant(nanoseconds: 0)
        head.wakesAt = nil
        head.deadline = nil
        var core = Coordinator(epoch: head.epoch, dataEndpoint: "head:data", times: times)
        do {
            for entry in head.journal { try core.restore(entry, at: now) }
        } catch { return fail("the journal can't be replayed: \(error)") }
        for record in head.records { core.attach(references[record.reference].job.plan.index, to: record.id) }
        head.core = core
        compareWithMirror("at a restart")
        tell("coordinator starts, epoch \(head.epoch)")
        trace.note(now, what: 6, whom: head.life)
        let rewinds = dice.chance(plan.rewindsAtStart)
        for record in head.records {
            guard let newest = record.checkpoints.last else { continue }
            if rewinds, record.state == .running || record.state == .waitingForWorkers {
                guard let output = head.core?.rewind(record.id, to: newest.step) else { return }
                carryOut(output)
            } else {
                // What the store holds is a fact, whether the journal got to know of it or not.
                feedCoordinator(.published(record.id, step: newest.step, attempt: 0))
            }
        }
        feedCoordinator(.deadline)
    }

    /// The coordinator's process dies here and now.
    package func crashCoordinator() {
        guard head.core != nil else { return }
        tell("coordinator dies")
        trace.note(now, what: 7, whom: head.life)
        head.core = nil
        head.parked = []
        for collection in head.collections where collection.isWriting && dice.chance(500) {
            // The rename had happened; nobody was told.
            publish(collection)
        }
        head.collections = []
        for id in connections.indices where connections[id].life == head.life && !connections[id].isCut {
            cut(id, tellsCoordinator: false, tellsWorker: !dice.chance(200))
        }
        for worker in workers where worker.isAlive { breakLink(from: worker.index, to: Self.headEnd) }
        schedule(.coordinatorStarts(life: head.life), after: dice.span(milliseconds: 50...(isCalm ? 500 : 20_000)))
    }

    func wakeCoordinator(_ life: Int) {
        guard head.core != nil, head.life == life else { return }
        head.wakesAt = nil
        guard let deadline = head.deadline else { return }
        if deadline <= now {
            trace.note(now, what: 8, whom: 0)
            feedCoordinator(.deadline)
        } else {
            scheduleWakeOfCoordinator()
        }
    }

    private func scheduleWakeOfCoordinator() {
        guard let deadline = head.deadline else { return }
        let at = max(deadline, now)
        if let wakesAt = head.wakesAt, wakesAt <= at, wakesAt > now { return }
        head.wakesAt = at
        schedule(.coordinatorWakes(life: head.life), at: at)
    }

    // MARK: The core

    func feedCoordinator(_ event: CoordinatorEvent) {
        guard head.core != nil, failure == nil else { return }
        events += 1
        tellEvent("coordinator", event)
        guard let output = head.core?.handle(event, at: now) else { return }
        carryOut(output)
    }

    /// Durable first, then visible; the process may die between any two effects.
    func carryOut(_ output: CoordinatorOutput) {
        // The journal's entries are one transaction.
        let effects = min(1, output.journal.count) + output.sends.count + output.commands.count
        var left = effects > 0 && !isCalm && dice.chance(plan.crashInEffects) ? dice.below(effects) : Int.max
        if !output.journal.isEmpty {
            guard left > 0 else { return dieInEffects() }
            left -= 1
            for entry in output.journal { append(entry) }
        }
        if left == Int.max { compareWithMirror("after an event") }
        for (session, message) in output.sends {
            guard left > 0 else { return dieInEffects() }
            left -= 1
            check(message)
            send(message, to: session)
        }
        for command in output.commands {
            guard left > 0 else { return dieInEffects() }
            left -= 1
            carryOut(command)
        }
        for notice in output.notices { check(notice) }
        guard head.core != nil else { return }
        head.deadline = output.deadline
        scheduleWakeOfCoordinator()
    }

    private func dieInEffects() {
        faults += 1
        crashCoordinator()
    }

    private func send(_ message: Message, to session: SessionID) {
        guard session.number > 0, session.number < head.nextSession else { return fail("a message to an unknown session") }
        let connection = head.connectionOfSession[Int(session.number) - 1]
        guard connections[connection].session == session else { return }
        sendToWorker(connection, message.encoded())
    }

    private func carryOut(_ command: CoordinatorCommand) {
        switch command {
        case .collect(let id, let step, let attempt, let kind, let digest):
            head.collections.removeAll { $0.job == id && !$0.isWriting }
            guard let record = record(id) else { return fail("a save of an unknown job") }
            let parameters = references[head.records[record].reference].description.parameters
            head.collections.append(.init(
                job: id, step: step, attempt: attempt, digest: digest, kind: kind, missing: UInt64(parameters)))
            if digest != references[head.records[record].reference].digest(step) {
                fail("a save of step \(step) asks for another digest than the job's")
            }
        case .abandon(let id, let attempt):
            head.collections.removeAll { $0.job == id && $0.attempt == attempt && !$0.isWriting }
        case .close(let session):
            let connection = head.connectionOfSession[Int(session.number) - 1]
            if connections[connection].session == session { connections[connection].session = nil }
        }
    }

    func record(_ id: JobID) -> Int? { head.records.firstIndex { $0.id == id } }

    // MARK: Operators

    /// Submits the job whose undisturbed run is at place `reference`.
    func submit(_ reference: Int) {
        guard head.core != nil, head.stalledUntil <= now else {
            waitingSubmissions += 1
            return schedule(.submits(reference), after: .seconds(1))
        }
        trace.note(now, what: 9, whom: reference)
        feedCoordinator(.submitted(references[reference].job))
    }

    /// An operator grants a job half as much again, and a little.
    func grant(_ job: JobID) {
        guard head.core != nil, head.stalledUntil <= now, let record = record(job), let run = head.core?.job(job) else { return }
        var limits = run.limits
        for unit in BudgetUnit.allCases { limits[unit] = limits[unit].map { $0 + $0 / 2 + 2 } }
        guard limits != run.limits else { return }
        trace.note(now, what: 17, whom: Int(job.number))
        tell("operator: grants job \(job) more")
        head.records[record].grants += 1
        feedCoordinator(.limited(job, limits))
    }

    /// An operator's order; lost when the coordinator is down.
    package func order(_ order: JobOrder, _ job: JobID) {
        guard head.core != nil, head.stalledUntil <= now else { return }
        trace.note(now, what: 10, whom: Int(job.number))
        tell("operator: \(order) job \(job)")
        if order == .cancel, let record = record(job) { head.records[record].cancelled = true }
        feedCoordinator(.ordered(order, job))
    }
}

// MARK: The store
extension SimulatedCluster {
    func storeReceives(_ chunk: Chunk, from: Int) {
        guard head.core != nil else { return }
        switch chunk.kind {
        case .saved: collect(chunk)
        case .stateRequest:
            guard let place = record(chunk.job) else { return }
            guard let found = head.records[place].checkpoints.last(where: { $0.step == chunk.step }) else {
                return fail("a worker is to heal from a checkpoint of step \(chunk.step) that the store does not hold")
            }
            var answer = chunk
            answer.kind = .state
            answer.digest = found.digest
            send(answer, from: Self.headEnd, to: from, extra: dice.span(milliseconds: 1...300) * Int64(healingScale))
        case .node, .root, .state: break
        }
    }

    private func collect(_ chunk: Chunk) {
        guard let place = head.collections.firstIndex(where: {
            $0.job == chunk.job && $0.attempt == chunk.attempt && $0.step == chunk.step && !$0.isWriting
        }) else { return }
        guard chunk.digest == head.collections[place].digest else {
            return fail("a checkpoint of step \(chunk.step) mixes states")
        }
        head.collections[place].missing -= UInt64(chunk.range.count)
        guard head.collections[place].missing == 0 else { return }
        head.collections[place].isWriting = true
        // One after another: a checkpoint that was given up meanwhile is still written first.
        let end = max(now, head.storeIsFreeAt) + dice.span(milliseconds: 2...3000)
        head.storeIsFreeAt = end
        schedule(
            .storeFinishes(
                life: head.life, job: chunk.job, attempt: chunk.attempt, isGood: isCalm || !dice.chance(plan.publishFails)),
            at: end)
    }

    func storeFinishes(_ life: Int, _ job: JobID, _ attempt: UInt32, _ isGood: Bool) {
        guard head.core != nil, head.life == life,
            let place = head.collections.firstIndex(where: { $0.job == job && $0.attempt == attempt && $0.isWriting })
        else { return }
        let collection = head.collections.remove(at: place)
        trace.note(now, what: 11, whom: isGood ? 1 : 0)
        guard isGood else {
            faults += 1
            return feedCoordinator(.publishFailed(job, step: collection.step, attempt: attempt, problem: "disk full"))
        }
        publish(collection)
        feedCoordinator(.published(job, step: collection.step, attempt: attempt))
    }

    /// Makes a checkpoint exist, and lets go of all but the newest two, trunks and final ones.
    func publish(_ collection: SimulatedCoordinator.Collection) {
        guard let place = record(collection.job) else { return }
        // A later one of the same step stands beside a trunk or a final one, and takes nothing from it.
        let known = head.records[place].checkpoints.first { $0.step == collection.step }?.kind
        let kind = known == .trunk || known == .final ? known ?? collection.kind : collection.kind
        head.records[place].checkpoints.removeAll { $0.step == collection.step }
        head.records[place].checkpoints.append((collection.step, collection.digest, kind))
        let extra = head.records[place].checkpoints.dropLast(2).firstIndex { $0.kind != .trunk && $0.kind != .final }
        if let extra { head.records[place].checkpoints.remove(at: extra) }
    }
}
