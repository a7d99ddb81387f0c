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
        case .connectionBreaks, .controlHeldUp, .dataLinkBreaks, .storeLinkBreaks: strikeNetwork(fault)
        case .workerCrashes, .workerStalls, .workerLeaves, .workerJoins, .localTrouble: strikeWorker(fault)
        case .coordinatorCrashes: crashCoordinator()
        case .coordinatorStalls:
            if head.core != nil, head.stalledUntil <= now { stall(Self.headEnd, for: dice.span(milliseconds: 100...40_000)) }
        case .powerFails:
            for worker in workers where worker.isAlive {
                kill(worker)
                schedule(.workerStarts(worker: worker.index), after: dice.span(milliseconds: 500...15_000))
            }
            crashCoordinator()
        case .operatorPauses, .operatorResumes, .operatorCancels, .operatorSaves, .operatorGrants: strikeJob(fault)
        case .operatorSubmits: if references.count < 6 { submitNew() }
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
        case .cutControl: if let connection = worker.connection { cut(connection, tellsCoordinator: true, tellsWorker: true) }
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
        default: breakLink(from: worker.index, to: Self.headEnd)
        }
    }

    private func strikeWorker(_ fault: Fault) {
        let worker = workers[dice.below(workers.count)]
        switch fault {
        case .workerJoins:
            guard workers.count < Self.workerLimit / 2 else { return }
            let new = addMachine(threads: dice.within(1...8), shardTime: dice.span(milliseconds: 5...80))
            schedule(.workerStarts(worker: new.index), after: .zero)
        case .workerCrashes:
            kill(worker)
            schedule(.workerStarts(worker: worker.index), after: dice.span(milliseconds: 20...20_000))
        case .workerStalls:
            if worker.isAlive, worker.stalledUntil <= now { stall(worker.index, for: dice.span(milliseconds: 50...60_000)) }
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
        default: order(.cancel, id)
        }
    }

    // MARK: After the faults

    /// Faults are over: everything that is down comes back, and stays.
    func calm() {
        guard !isCalm else { return }
        isCalm = true
        trace.note(now, what: 15, whom: 0)
        tell("calm")
        plan.lateMessages = 0
        plan.slowMessages = 0
        for worker in workers where !worker.isAlive {
            schedule(.workerStarts(worker: worker.index), after: dice.span(milliseconds: 0...2000))
        }
        if head.core == nil { schedule(.coordinatorStarts(life: head.life), after: .milliseconds(100)) }
        schedule(.operatorLooks, after: .seconds(2))
    }

    /// The operator of a calm cluster: whatever rests and is not over goes on, whoever left is started again.
    func operatorLooks() {
        guard isCalm else { return }
        schedule(.operatorLooks, after: .seconds(5))
        for worker in workers where !worker.isAlive { start(worker) }
        for job in head.core?.jobs ?? [] where job.state == .paused || job.state == .failed || job.state == .diverged {
            order(.resume, job.id)
        }
        for record in head.records where record.state == .budgetExhausted && record.grants == 0 && dice.chance(300) {
            grant(record.id)
            order(.resume, record.id)
        }
    }

    /// Whether every job that was submitted, or will be, has come to its end.
    var isOver: Bool {
        guard isCalm, waitingSubmissions == 0, head.core != nil else { return false }
        return head.records.allSatisfy { $0.state == .done || $0.state == .cancelled || $0.state == .budgetExhausted }
    }
}
