import Coordination
import Terms

extension SimulatedCluster {
    /// Plans the first strike of every kind of fault, and the end of all of them.
    func scheduleFaults() {
        for place in plan.intervals.indices { scheduleStrike(place) }
        schedule(.calm, at: plan.until)
    }

    private func scheduleStrike(_ place: Int) {
        let mean = Int(plan.intervals[place].mean.nanoseconds / 1_000_000)
        schedule(.strikes(place), after: dice.span(milliseconds: 0...2 * mean))
    }

    func strike(_ place: Int) {
        guard !isCalm else { return }
        scheduleStrike(place)
        strikeNow(place)
        while !isCalm, dice.chance(plan.bursts) { scheduleBurst() }
    }

    /// One more fault of any enabled kind, right behind the last one.
    private func scheduleBurst() {
        schedule(.strikesOnce(dice.below(plan.intervals.count)), after: dice.span(milliseconds: 0...400))
    }

    func strikeNow(_ place: Int) {
        guard !isCalm else { return }
        let fault = plan.intervals[place].fault
        trace.note(now, what: 32 + fault.rawValue, whom: 0)
        faults += 1
        switch fault {
        case .connectionBreaks, .controlHeldUp, .oneWayPartition, .dataLinkBreaks, .storeLinkBreaks, .workerRepeats:
            strikeNetwork(fault)
        case .swizzleClog: clogAndFree()
        case .diskFull: head.diskIsFullUntil = now + dice.span(milliseconds: 500...10_000)
        case .oldBackup: startOnOldBackup()
        case .wallClockSet: wallClock += Int64(dice.within(-86_400...86_400)) * 1_000_000_000
        case .workerCrashes, .workerStalls, .workerLeaves, .workerJoins, .localTrouble: strikeWorker(fault)
        case .coordinatorCrashes: crashCoordinator()
        case .coordinatorStalls:
            if head.core != nil, head.stalledUntil <= now {
                stall(Self.headEnd, for: dice.span(milliseconds: 100...40_000))
            }
        case .powerFails:
            for worker in workers where worker.isAlive {
                kill(worker)
                schedule(.workerStarts(worker: worker.index), after: dice.span(milliseconds: 500...15_000))
            }
            crashCoordinator()
            // Boot clocks start over.
            for process in clocks.indices {
                clocks[process].ahead = Int64(dice.below(100)) * 1_000_000_000 - now.nanoseconds
            }
        case .operatorPauses, .operatorResumes, .operatorCancels, .operatorSaves, .operatorResizes, .operatorGrants,
            .operatorAmends:
            strikeJob(fault)
        case .operatorDrains: drainWorker(dice.below(workers.count))
        case .operatorSubmits: if references.count < 6 { dice.chance(400) ? submitBranch() : submitNew() }
        }
    }

    /// Something delicate goes on at `worker`, with `others`, for `span`: with some luck a fault strikes right there.
    func provoke(_ worker: SimulatedWorker, with others: [Int], within span: Span) {
        guard !isCalm, dice.chance(plan.weakSpots) else { return }
        for _ in 0..<dice.within(1...2) {
            let fault = dice.pick(AimedFault.allCases)
            let other = others.isEmpty ? worker.index : dice.pick(others)
            let victim = fault == .breakLink || other == Self.headEnd || dice.chance(300) ? worker.index : other
            let delay = Span(nanoseconds: Int64(dice.below(Int(max(1, span.nanoseconds)))))
            schedule(.hits(fault, worker: victim, other: other), after: delay)
        }
    }

    func hit(_ fault: AimedFault, _ worker: SimulatedWorker, _ other: Int) {
        guard !isCalm else { return }
        faults += 1
        trace.note(now, what: 16, whom: worker.index)
        switch fault {
        case .kill:
            kill(worker)
            schedule(.workerStarts(worker: worker.index), after: dice.span(milliseconds: 20...20_000))
        case .cutControl:
            if let connection = worker.connection { cut(connection, tellsCoordinator: true, tellsWorker: true) }
        case .breakLink: if other != worker.index { breakLink(from: worker.index, to: other) }
        case .crashCoordinator: crashCoordinator()
        }
    }

    private func strikeNetwork(_ fault: Fault) {
        let worker = workers[dice.below(workers.count)]
        guard worker.isAlive else { return }
        switch fault {
        case .connectionBreaks:
            guard let connection = worker.connection else { return }
            let told = dice.below(8)
            cut(connection, tellsCoordinator: told != 0 && told != 1, tellsWorker: told != 0 && told != 2)
        case .controlHeldUp:
            guard let connection = worker.connection else { return }
            connections[connection].passesFrom = now + dice.span(milliseconds: 100...30_000)
        case .dataLinkBreaks:
            let other = dice.below(workers.count)
            if other != worker.index { breakLink(from: worker.index, to: other) }
        case .oneWayPartition:
            guard let connection = worker.connection else { return }
            let until = now + dice.span(milliseconds: 100...40_000)
            if dice.chance(500) {
                connections[connection].losesToCoordinatorUntil = until
            } else {
                connections[connection].losesToWorkerUntil = until
            }
        case .workerRepeats:
            guard let connection = worker.connection, !worker.spoken.isEmpty else { return }
            sendToCoordinator(connection, worker.spoken)
        default: breakLink(from: worker.index, to: Self.headEnd)
        }
    }

    /// Holds up a random part of the workers one after another, and frees them in another order.
    private func clogAndFree() {
        for worker in workers where worker.isAlive && dice.chance(500) {
            guard let connection = worker.connection else { continue }
            let until = now + dice.span(milliseconds: 200...8000)
            connections[connection].passesFrom = until
            for other in 0...Self.workerLimit {
                linkArrivals[link(from: worker.index, to: other)] = max(
                    linkArrivals[link(from: worker.index, to: other)], until)
                linkArrivals[link(from: other, to: worker.index)] = max(
                    linkArrivals[link(from: other, to: worker.index)], until)
            }
        }
    }

    /// Somebody puts an old copy of the disk in place and starts the coordinator on it, then sees the mistake.
    private func startOnOldBackup() {
        guard !head.isOldBackup, let old = head.backups.first(where: { $0.epoch + 1 < newestEpoch }) else { return }
        crashCoordinator()
        tell("an old backup is restored")
        head.rightDisk = head.image
        put(disk: old)
        head.oldDisk = old
        head.isOldBackup = true
        schedule(.backupEnds, after: dice.span(milliseconds: 2000...30_000))
    }

    /// Another disk is in place; what its journal plans for a job is the job's plan.
    func put(disk image: SimulatedCoordinator.Image) {
        head.restore(image)
        for record in head.records { references[record.reference].follow(head.mirror.job(record.id)?.plan ?? []) }
    }

    /// The right disk is back.
    func endOldBackup() {
        guard head.isOldBackup, let right = head.rightDisk else { return }
        crashCoordinator()
        tell("the newest disk is put back")
        head.isOldBackup = false
        put(disk: right)
        head.rightDisk = nil
        head.oldDisk = nil
    }

    private func strikeWorker(_ fault: Fault) {
        let worker = workers[dice.below(workers.count)]
        switch fault {
        case .workerJoins:
            guard workers.count < Self.workerLimit / 2 else { return }
            let new = addMachine(threads: dice.within(1...8), shardTime: dice.span(milliseconds: 5...80))
            if dice.chance(meteredMachines) { addMeter(new) }
            schedule(.workerStarts(worker: new.index), after: .zero)
        case .workerCrashes:
            kill(worker)
            schedule(.workerStarts(worker: worker.index), after: dice.span(milliseconds: 20...20_000))
        case .workerStalls:
            if worker.isAlive, worker.stalledUntil <= now {
                stall(worker.index, for: dice.span(milliseconds: 50...60_000))
            }
        case .workerLeaves:
            guard worker.isAlive, worker.stalledUntil <= now else { return }
            feed(worker, .stopRequested)
            schedule(.workerStarts(worker: worker.index), after: dice.span(milliseconds: 500...30_000))
        default:
            guard worker.isAlive, worker.stalledUntil <= now, let loaded = worker.loaded else { return }
            feed(worker, .failed(loaded.id, problem: "a file of w\(worker.index) can't be read"))
        }
    }

    private func strikeJob(_ fault: Fault) {
        guard !head.records.isEmpty else { return }
        let id = head.records[dice.below(head.records.count)].id
        switch fault {
        case .operatorPauses: order(.pause, id)
        case .operatorResumes: order(.resume, id)
        case .operatorSaves: order(.checkpoint, id)
        case .operatorGrants:
            grant(id)
            order(dice.chance(800) ? .resume : .resumeAnnealed, id)
        case .operatorAmends: amend(id)
        case .operatorResizes:
            let least = dice.within(1...3)
            order(.resize(least...dice.within(least...8)), id)
        default: order(.cancel, id)
        }
    }

    // MARK: After the faults

    /// Faults are over: everything that is down comes back, and stays.
    func calm() {
        guard !isCalm else { return }
        isCalm = true
        inspection.calmSince = now
        endOldBackup()
        trace.note(now, what: 15, whom: 0)
        tell("calm")
        plan.lateMessages = 0
        plan.slowMessages = 0
        for worker in workers where !worker.isAlive {
            schedule(.workerStarts(worker: worker.index), after: dice.span(milliseconds: 0...2000))
        }
        if head.core == nil { schedule(.coordinatorStarts(life: head.life), after: .milliseconds(100)) }
        schedule(.operatorLooks, after: .seconds(2))
        if dice.chance(plan.lastBreaks) { schedule(.lastBreak, after: dice.span(milliseconds: 3000...15_000)) }
    }

    /// Breaks the connection that a chunk is on, when it is its turn to be the last fault.
    func breakLast(from: Int, to: Int) {
        guard let left = chunksToLastBreak else { return }
        chunksToLastBreak = left > 0 ? left - 1 : nil
        guard left == 0 else { return }
        faults += 1
        inspection.calmSince = now
        tell("the data connection from \(from) to \(to) breaks")
        // The coordinator answers on the connection that the worker opened.
        if from == Self.headEnd { breakLink(from: to, to: from) } else { breakLink(from: from, to: to) }
    }

    /// The operator of a calm cluster: whatever rests and is not over goes on, whoever left is started again.
    func operatorLooks() {
        guard isCalm else { return }
        schedule(.operatorLooks, after: .seconds(5))
        for worker in workers where !worker.isAlive { start(worker) }
        for job in head.core?.jobs ?? [] where job.state == .paused || job.state == .failed || job.state == .diverged {
            if dice.chance(150) { amend(job.id) } else { order(.resume, job.id) }
        }
        for record in head.records where record.state == .budgetExhausted && record.grants == 0 && dice.chance(300) {
            if dice.chance(300) { amend(record.id) } else { grant(record.id) }
            order(.resume, record.id)
        }
        if bug == .doneJobResumes, let job = head.core?.jobs.first(where: { $0.state == .done }) {
            order(.resume, job.id)
        }
    }

    /// Whether every job that was submitted, or will be, has come to its end.
    var isOver: Bool {
        guard isCalm, waitingSubmissions == 0, head.isUp else { return false }
        // Asked after every event: what is rarely true comes first.
        for record in head.records.indices where !head.records[record].state.needsNobody { return false }
        return requests.allSatisfy { $0.answer != nil }
    }
}
