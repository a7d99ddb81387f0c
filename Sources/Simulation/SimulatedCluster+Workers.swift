import Collectives
import Coordination
import Recipes
import Terms
import Wire

extension SimulatedCluster {
    // MARK: Life and death

    /// A worker's machine; its process is not started yet.
    func addMachine(threads: Int = 4, shardTime: Span) -> SimulatedWorker {
        let index = workers.count
        precondition(index < Self.workerLimit, "a simulated cluster has at most \(Self.workerLimit) workers")
        let node = NodeID(high: Philox.mix(seed &+ UInt64(index) &+ 1), low: UInt64(index))
        let worker = SimulatedWorker(index: index, node: node, threads: threads, shardTime: shardTime)
        workers.append(worker)
        inspection.welcomeAt.append(now)
        inspection.heardAt.append(now)
        return worker
    }

    func start(_ worker: SimulatedWorker) {
        // In the short life of an old backup nobody new comes.
        guard !worker.isAlive, !head.isOldBackup else { return }
        worker.boot += 1
        worker.hasLeft = false
        inspection.welcomeAt[worker.index] = now
        worker.session = WorkerSession(
            hello: Hello(
                role: .worker, node: worker.node, boot: UInt64(worker.boot), name: "w\(worker.index)",
                threads: UInt32(worker.threads), dataEndpoint: "w\(worker.index):data", profile: 1,
                lastEpoch: worker.lastEpoch),
            bug: bug)
        tell("w\(worker.index) starts")
        trace.note(now, what: 12, whom: worker.index)
        beginMetering(worker)
        connect(worker, worker.boot)
    }

    /// The worker's process dies here and now.
    func kill(_ worker: SimulatedWorker) {
        guard worker.isAlive else { return }
        tell("w\(worker.index) dies")
        trace.note(now, what: 13, whom: worker.index)
        if let connection = worker.connection {
            cut(connection, tellsCoordinator: !dice.chance(150), tellsWorker: false)
        }
        worker.die()
        for other in workers where other.index != worker.index {
            breakLink(from: other.index, to: worker.index)
            linkLives[link(from: worker.index, to: other.index)] += 1
        }
        linkLives[link(from: worker.index, to: Self.headEnd)] += 1
        linkLives[link(from: Self.headEnd, to: worker.index)] += 1
    }

    /// The process does nothing for `span`; what reaches it waits.
    func stall(_ process: Int, for span: Span) {
        let until = now + span
        if process == Self.headEnd { head.stalledUntil = until } else { workers[process].stalledUntil = until }
        schedule(.wakesUp(process: process), at: until)
    }

    // MARK: The session

    func feed(_ worker: SimulatedWorker, _ event: WorkerEvent) {
        guard failure == nil else { return }
        events += 1
        tellEvent("w\(worker.index)", event)
        let epoch = worker.session?.hello.lastEpoch ?? 0
        let time = clock(worker.index)
        guard let output = worker.session?.handle(event, at: time) else { return }
        if worker.session?.hello.lastEpoch ?? 0 < epoch { fail(.i2, "w\(worker.index) goes back to an older epoch") }
        carryOut(output, worker, at: time)
    }

    /// What comes twice, or from an older connection, changes nothing: whatever else is due is done before.
    func feedInVain(_ worker: SimulatedWorker, _ event: WorkerEvent, _ message: Message, isLate: Bool) {
        feed(worker, .deadline)
        guard failure == nil, worker.isAlive else { return }
        events += 1
        tellEvent("w\(worker.index), in vain", event)
        let time = clock(worker.index)
        guard let output = worker.session?.handle(event, at: time) else { return }
        let isWelcomed = output.notices.contains { if case .welcomed = $0 { true } else { false } }
        let isObeyed = output.commands.contains { if case .leave = $0 { false } else { true } }
        // A refusal says nothing but that a hello is wanted.
        let isSaid = output.sends.contains { if case .hello = $0 { false } else { true } }
        if isWelcomed || isObeyed || isSaid {
            let why =
                "w\(worker.index): a \(message.name) that came \(isLate ? "from an older connection" : "twice") changes something"
            fail(isLate ? .i2 : .i3, why)
        }
        carryOut(output, worker, at: time)
    }

    private func carryOut(_ output: WorkerOutput, _ worker: SimulatedWorker, at time: Instant) {
        for message in output.sends {
            worker.sent += 1
            let bytes = message.encoded(number: worker.sent)
            worker.spoken = bytes
            if let connection = worker.connection {
                sendToCoordinator(connection, bytes)
            } else {
                worker.backlog.append(bytes)
            }
        }
        worker.deadline = output.deadline
        if let deadline = output.deadline, deadline - time > times.heartbeat * 2 + .seconds(4) {
            fail(.i10, "w\(worker.index) would sleep for \(Int((deadline - time).seconds)) s")
        }
        scheduleWake(worker)
        for command in output.commands { carryOut(command, worker) }
    }

    private func scheduleWake(_ worker: SimulatedWorker) {
        guard let deadline = worker.deadline else { return }
        // Most events move the deadline on: the wake-up that is in the queue comes first, and looks again.
        if let wakesAt = worker.wakesAt, wakesAt > now, worker.wakesFor <= deadline { return }
        let at = moment(deadline, on: worker.index)
        worker.wakesAt = at
        worker.wakesFor = deadline
        schedule(.workerWakes(worker: worker.index, boot: worker.boot), at: at)
    }

    func wake(_ worker: SimulatedWorker, _ boot: Int) {
        guard worker.isAlive, worker.boot == boot else { return }
        worker.wakesAt = nil
        let time = clock(worker.index)
        if let connection = worker.connection, let deafAt = worker.session!.deafAt, time > deafAt {
            cut(connection, tellsCoordinator: true, tellsWorker: false)
            return drop(worker)
        }
        guard let deadline = worker.deadline else { return }
        guard deadline <= time else { return scheduleWake(worker) }
        trace.note(now, what: 14, whom: worker.index)
        feed(worker, .deadline)
    }

    // MARK: Commands

    private func carryOut(_ command: WorkerCommand, _ worker: SimulatedWorker) {
        switch command {
        case .load(let id, let description): load(worker, id, description)
        case .unload(let id):
            if worker.loaded?.id == id || worker.wanted?.id == id { worker.dropJob() }
        case .stop(let id, let generation):
            provoke(worker, with: peers(of: worker), within: .milliseconds(30))
            worker.gathered = nil
            worker.healing = nil
            interrupt(worker)
            enqueue(.quiesce(id, generation), worker)
        case .enter(let roster, let rank, let keep): enter(worker, roster, rank, keep)
        case .heal(let roster, _, let source): heal(worker, roster, source)
        case .compute(let id, let generation, let recipe, let ranges):
            guard worker.loaded?.id == id else { return }
            enqueueComputing(worker, id, generation, recipe, ranges)
        case .help(let id, let generation, let recipe, let shardTime, let turn):
            help(worker, id, generation, recipe, shardTime, turn)
        case .give(let plea, let most): answer(plea, give(plea, most, worker), isLoan: false, worker)
        case .lend(let plea): if !lend(plea, worker) { answer(plea, nil, isLoan: false, worker) }
        case .takeOver(let id, let generation, let recipe, let node, let isLoan):
            takeOver(worker, id, generation, recipe, node, isLoan)
        case .abandon(_, let generation, let step): abandon(worker, generation, step)
        case .apply(let id, let generation, let recipe):
            guard let loaded = worker.loaded, loaded.id == id, let gathered = worker.gathered,
                gathered.step == recipe.step
            else { return }
            worker.gathered = nil
            let tag = references[loaded.job].tag(of: recipe)
            enqueue(.apply(id, generation, recipe, tag: tag, sum: gathered.sum), worker)
        case .evaluate(let order): if worker.loaded?.id == order.job { enqueue(.evaluate(order), worker) }
        // As late as can be: it runs to its end, and nobody listens.
        case .abandonEvaluation: break
        case .copy(let order): if worker.loaded?.id == order.job { enqueue(.copy(order), worker) }
        case .leave(let reason):
            tell("w\(worker.index) leaves: \(reason)")
            if let connection = worker.connection { cut(connection, tellsCoordinator: true, tellsWorker: false) }
            worker.hasLeft = true
            kill(worker)
            if !isCalm, plan.until > Instant(nanoseconds: 0) {
                schedule(.workerStarts(worker: worker.index), after: dice.span(milliseconds: 500...20_000))
            }
        }
    }

    private func load(_ worker: SimulatedWorker, _ id: JobID, _ bytes: [UInt8]) {
        guard let (job, parameters) = read(bytes) else {
            return fail(.model, "a worker got a job description that it can't read")
        }
        if let loaded = worker.loaded, loaded.id == id, loaded.description == bytes {
            return feed(worker, .loaded(id, parameters: parameters, problem: ""))
        }
        worker.dropJob()
        worker.wanted = (id, bytes)
        let problem = !isCalm && dice.chance(plan.loadFails) ? "no space left on w\(worker.index)" : ""
        enqueue(.load(id, job: job, description: bytes, problem: problem), worker)
    }

    /// The place of a description's job, and its parameters. What was read once says the same again.
    private func read(_ bytes: [UInt8]) -> (job: Int, parameters: Int)? {
        if let known = descriptionsRead.first(where: { $0.bytes == bytes }) { return (known.job, known.parameters) }
        guard let description = try? JobDescription(decoding: bytes), let job = description.training["sim"]?.int,
            references.indices.contains(job)
        else { return nil }
        descriptionsRead.append((bytes, job, description.parameters))
        return (job, description.parameters)
    }

    private func enter(_ worker: SimulatedWorker, _ roster: Roster, _ rank: Int, _ keep: UInt64?) {
        guard let loaded = worker.loaded, loaded.id == roster.job else { return }
        check(roster, rank, worker)
        if worker.held.tag != keep { worker.held = (0, []) }
        worker.exchange = SimulatedExchange(roster: roster, rank: rank, tree: references[loaded.job].tree, bug: bug)
        let waiting = worker.waitingRequests
        worker.waitingRequests = []
        for request in waiting { serve(request.chunk, to: request.from, worker) }
    }

    // MARK: Healing

    private func heal(_ worker: SimulatedWorker, _ roster: Roster, _ source: StateSource) {
        guard let loaded = worker.loaded, loaded.id == roster.job else { return }
        switch source {
        case .own: enqueue(.finishHealing(roster, isBroken: false), worker)
        case .initial:
            enqueue(.becomeInitial, worker)
            enqueue(.finishHealing(roster, isBroken: false), worker)
        case .peers(let ranks):
            ask(worker, roster, ranks.map { rank in workers.firstIndex { $0.node == roster.members[rank].node } ?? -1 })
        case .checkpoint: ask(worker, roster, [Self.headEnd])
        }
    }

    /// Asks each source for its part; what is in memory is being overwritten from now on.
    private func ask(_ worker: SimulatedWorker, _ roster: Roster, _ sources: [Int]) {
        guard !sources.contains(where: { $0 < 0 || $0 == worker.index }) else {
            return fail(.i5, "a worker is to heal from itself")
        }
        // Requests are lost in the first instants, states later.
        let usual = Span.milliseconds(1) * Int64(networkScale)
        provoke(worker, with: sources, within: dice.chance(500) ? usual : usual * Int64(100 * healingScale))
        worker.state = nil
        worker.healing = .init(roster: roster, parts: Array(repeating: nil, count: sources.count))
        for (part, source) in sources.enumerated() {
            var chunk = Chunk(
                kind: .stateRequest, job: roster.job, generation: roster.generation, step: Step(roster.target))
            chunk.part = part
            send(chunk, from: worker.index, to: source)
        }
    }

    /// The other members of the worker's generation.
    func peers(of worker: SimulatedWorker) -> [Int] {
        (worker.exchange?.roster.members ?? []).compactMap { member in
            workers.firstIndex { $0.node == member.node && $0.index != worker.index }
        }
    }

    /// Answers a request for state once this worker is in its generation; the state rests while one begins.
    func serve(_ chunk: Chunk, to other: Int, _ worker: SimulatedWorker) {
        guard let loaded = worker.loaded, loaded.id == chunk.job else { return }
        let entered = worker.exchange?.roster.generation ?? Generation(0)
        if entered < chunk.generation { return worker.waitingRequests.append((chunk, other)) }
        guard entered == chunk.generation else { return }
        guard let state = worker.state, state.step == chunk.step else {
            return fail(
                .i5,
                "w\(worker.index) is a source of step \(chunk.step) and has \(worker.state.map { "\($0.step)" } ?? "nothing")"
            )
        }
        var answer = chunk
        answer.kind = .state
        answer.digest = state.digest
        send(answer, from: worker.index, to: other, extra: dice.span(milliseconds: 1...200) * Int64(healingScale))
    }

    // MARK: Data

    func receive(_ chunk: Chunk, from: Int, _ worker: SimulatedWorker) {
        switch chunk.kind {
        case .node, .root:
            guard let roster = worker.exchange?.roster,
                roster.generation == chunk.generation || bug == .oldSumsAdded, roster.job == chunk.job
            else { return }
            guard worker.exchange!.takes(chunk.step, tag: chunk.tag) else {
                if worker.exchange!.isBehind(chunk.step) {
                    fail(.l1, "w\(worker.index) drops a sum of step \(chunk.step), which nobody sends again")
                }
                return
            }
            let outcomes: [SimulatedExchange.Outcome]
            if chunk.kind == .node {
                outcomes = worker.exchange!.addNode(
                    chunk.shards, chunk.sum, step: chunk.step, tag: chunk.tag, isLoan: isLent(chunk))
            } else {
                checkRootBuffer(worker, chunk.step)
                outcomes = worker.exchange!.addRoot(chunk.sum, from: chunk.part, step: chunk.step, tag: chunk.tag)
            }
            for outcome in outcomes { carryOut(outcome, chunk.step, chunk.tag, worker) }
        case .stateRequest: serve(chunk, to: from, worker)
        case .state: receiveState(chunk, worker)
        case .plea: hear(chunk, from: from, worker)
        case .grant:
            guard worker.session?.job?.work?.tag == chunk.tag else { return }
            feed(
                worker,
                .granted(
                    chunk.job, chunk.generation, step: chunk.step, chunk.shards, isLoan: chunk.attempt == 1))
        case .saved: break
        }
    }

    func carryOut(_ outcome: SimulatedExchange.Outcome, _ step: Step, _ tag: UInt64, _ worker: SimulatedWorker) {
        guard let exchange = worker.exchange else { return }
        let roster = exchange.roster
        switch outcome {
        case .nothing: break
        case .repeated: repeatedResults += 1
        case .wrong(let text): fail(.i6, "w\(worker.index): \(text)")
        case .root(let sum):
            var chunk = Chunk(kind: .root, job: roster.job, generation: roster.generation, step: step)
            chunk.tag = tag
            chunk.sum = sum
            chunk.part = exchange.rank
            sendToMembers(chunk, roster, worker, ranks: Array(roster.members.indices))
        case .gathered(let sum):
            check(root: sum, step, tag, worker)
            worker.gathered = (step, sum)
            feed(worker, .gathered(roster.job, roster.generation, step: step, lossSum: sum.loss))
        }
    }

    func sendToMembers(_ chunk: Chunk, _ roster: Roster, _ worker: SimulatedWorker, ranks: [Int]) {
        for rank in ranks where roster.members[rank].node != worker.node {
            guard let other = workers.firstIndex(where: { $0.node == roster.members[rank].node }) else { continue }
            send(chunk, from: worker.index, to: other)
        }
    }

    private func receiveState(_ chunk: Chunk, _ worker: SimulatedWorker) {
        guard var healing = worker.healing, healing.roster.generation == chunk.generation,
            healing.roster.job == chunk.job,
            chunk.part < healing.parts.count
        else { return }
        healing.parts[chunk.part] = chunk.digest
        worker.healing = healing
        guard !healing.parts.contains(nil) else { return }
        worker.healing = nil
        let digest = healing.parts.allSatisfy { $0 == healing.parts[0] } ? healing.parts[0] ?? 0 : 0
        worker.state = (Step(healing.roster.target), digest)
        let isBroken = !isCalm && dice.chance(plan.healFails)
        if isBroken { faults += 1 }
        enqueue(.finishHealing(healing.roster, isBroken: isBroken), worker)
    }
}
