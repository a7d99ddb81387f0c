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
        if bug != .epochStays || head.life == 1 { head.epoch += 1 }
        head.nextSession = 1
        head.connectionOfSession = []
        head.heardAt = []
        head.stalledUntil = Instant(nanoseconds: 0)
        head.wakesAt = nil
        head.deadline = nil
        changeRates()
        rateRange.lives = head.life
        var core = newCore()
        do {
            for entry in head.journal { try core.restore(entry, at: clock(Self.headEnd)) }
        } catch { return fail(.i9, "the journal can't be replayed: \(error)") }
        guard let core = startedFromSnapshot(core) else { return }
        head.core = core
        for record in head.records { head.core?.attach(references[record.reference].job.plan.index, to: record.id) }
        inspection.headStarts(now)
        compareWithMirror("at a restart")
        if head.epoch <= newestEpoch, !head.isOldBackup {
            fail(.i2, "the epoch does not rise at a start: \(head.epoch)")
        }
        if !head.isOldBackup {
            if head.backups.count == 4 { head.backups.removeFirst() }
            head.backups.append(head.image)
        }
        tell("coordinator starts, epoch \(head.epoch)")
        trace.note(now, what: 6, whom: head.life)
        examineStore()
        guard head.core != nil else { return }
        let rewinds = dice.chance(plan.rewindsAtStart)
        for record in head.records {
            guard let run = head.core?.job(record.id),
                let newest = record.checkpoints.last(where: { run.knows($0.digest, at: $0.step) })
            else { continue }
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

    /// A core that knows nothing yet.
    func newCore() -> Coordinator {
        Coordinator(epoch: head.epoch, dataEndpoint: "head:data", times: times, rates: rates, bug: bug)
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
        // Every start on an old copy begins where the first one did.
        if head.isOldBackup, let old = head.oldDisk { put(disk: old) }
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
        if deadline <= clock(Self.headEnd) {
            trace.note(now, what: 8, whom: 0)
            feedCoordinator(.deadline)
        } else {
            scheduleWakeOfCoordinator()
        }
    }

    private func scheduleWakeOfCoordinator() {
        guard let deadline = head.deadline else { return }
        let at = moment(deadline, on: Self.headEnd)
        if let wakesAt = head.wakesAt, wakesAt <= at, wakesAt > now { return }
        head.wakesAt = at
        schedule(.coordinatorWakes(life: head.life), at: at)
    }

    // MARK: The core

    func feedCoordinator(_ event: CoordinatorEvent) {
        guard head.core != nil, failure == nil else { return }
        events += 1
        tellEvent("coordinator", event)
        let failed = failedCheckpoint(event)
        guard let output = head.core?.handle(event, at: clock(Self.headEnd)) else { return }
        if let failed { check(output, tells: failed) }
        check(output, of: event)
        carryOut(output)
    }

    /// What comes a second time changes nothing.
    func feedCoordinatorInVain(_ event: CoordinatorEvent, _ why: String) {
        guard let output = head.core?.handle(event, at: clock(Self.headEnd)) else { return }
        events += 1
        tellEvent("coordinator", event)
        if !output.journal.isEmpty || !output.sends.isEmpty || !output.commands.isEmpty { fail(.i3, why) }
    }

    /// Durable first, then visible; the process may die between any two effects.
    func carryOut(_ output: CoordinatorOutput) {
        let effects = 1 + output.sends.count + output.commands.count
        var left = effects > 1 && !isCalm && dice.chance(plan.crashInEffects) ? dice.below(effects) : Int.max
        if bug == .sentBeforeDurable { sendAll(output) }
        guard left > 0, write(output.journal) else { return dieInEffects() }
        left -= 1
        if bug != .failedSyncIgnored { compareWithMirror("after an event") }
        if events % 512 == 0 { compareSnapshots() }
        for (session, message) in output.sends where bug != .sentBeforeDurable {
            guard left > 0 else { return dieInEffects() }
            left -= 1
            check(message, to: session)
            send(message, to: session)
        }
        for command in output.commands {
            guard left > 0 else { return dieInEffects() }
            left -= 1
            carryOut(command)
        }
        for answer in output.answers { hear(answer) }
        for notice in output.notices { check(notice) }
        guard head.core != nil else { return }
        head.deadline = output.deadline
        scheduleWakeOfCoordinator()
    }

    private func sendAll(_ output: CoordinatorOutput) {
        for (session, message) in output.sends {
            check(message, to: session)
            send(message, to: session)
        }
    }

    /// Makes a transaction durable, or not: a write that fails or is torn leaves nothing of it on the disk, and the
    /// process must not go on as if it were there.
    private func write(_ entries: [JournalEntry]) -> Bool {
        guard !entries.isEmpty else { return true }
        if !isCalm, head.diskIsFullUntil > now || dice.chance(plan.failingSyncs) || dice.chance(plan.tornWrites) {
            faults += 1
            trace.note(now, what: 17, whom: 0)
            return bug == .failedSyncIgnored
        }
        for entry in entries { append(entry) }
        return true
    }

    private func dieInEffects() {
        faults += 1
        crashCoordinator()
    }

    private func send(_ message: Message, to session: SessionID) {
        guard session.number > 0, session.number < head.nextSession else {
            return fail(.model, "a message to an unknown session")
        }
        let connection = head.connectionOfSession[Int(session.number) - 1]
        guard connections[connection].session == session else { return }
        connections[connection].sent += 1
        sendToWorker(connection, message.encoded(number: connections[connection].sent))
        if case .welcome = message {
            provoke(workers[connections[connection].worker], with: [], within: .milliseconds(1) * Int64(networkScale))
        }
    }

    private func carryOut(_ command: CoordinatorCommand) {
        switch command {
        case .collect(let id, let step, let attempt, let kind, let digest, let isReadBack):
            head.collections.removeAll { $0.job == id && !$0.isWriting }
            guard let record = record(id) else { return fail(.i4, "a save of an unknown job") }
            head.collections.append(
                .init(
                    job: id, step: step, attempt: attempt, digest: digest, kind: kind, isReadBack: isReadBack,
                    names: objects(of: digest, head.records[record]),
                    begunAt: now))
            checkSavePause(id)
            if digest != references[head.records[record].reference].digest(step) {
                fail(.c5, "a save of step \(step) asks for another digest than the job's")
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
        ask(
            add(
                Request(
                    event: .submit(reference: reference),
                    key: RequestKey(high: dice.bits(), low: UInt64(requests.count)))))
    }

    func add(_ request: Request) -> Int {
        requests.append(request)
        return requests.count - 1
    }

    /// A client asks, until it has an answer.
    func ask(_ place: Int) {
        let request = requests[place]
        guard request.answer == nil else { return }
        schedule(.asksAgain(place), after: .seconds(1))
        guard head.core != nil, head.stalledUntil <= now, !head.isOldBackup else { return }
        let times = dice.chance(plan.doubledRequests) ? 2 : 1
        for _ in 0..<times {
            trace.note(now, what: 9, whom: place)
            switch request.event {
            case .submit(let reference):
                if head.core?.projectLimits(Self.project) != projectLimits {
                    feedCoordinator(.projectLimited(Self.project, projectLimits))
                }
                feedCoordinator(.submitted(references[reference].job, request: request.key))
            case .order(let order, let job):
                if order == .cancel, let record = record(job) { head.records[record].cancelled = true }
                feedCoordinator(.ordered(order, job, request: request.key))
            }
        }
    }

    /// A client hears the answer; a second one must be the same.
    private func hear(_ answer: RequestAnswer) {
        let place = Int(answer.key.low)
        if let known = requests[place].answer, known != answer {
            fail(.i3, "a request that came twice gets another answer")
        }
        requests[place].answer = answer
    }

    /// An operator's order; lost when the coordinator is down.
    package func order(_ order: JobOrder, _ job: JobID) {
        guard head.core != nil, head.stalledUntil <= now else { return }
        trace.note(now, what: 10, whom: Int(job.number))
        tell("operator: \(order) job \(job)")
        ask(add(Request(event: .order(order, job), key: RequestKey(high: dice.bits(), low: UInt64(requests.count)))))
    }
}
