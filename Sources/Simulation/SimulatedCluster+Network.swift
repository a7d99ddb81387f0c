import Coordination
import Terms
import Wire

// MARK: Control connections
extension SimulatedCluster {
    private func delay() -> Span {
        let base = dice.span(microseconds: 20...600) * Int64(networkScale)
        return dice.chance(plan.slowMessages) ? base * 100 : base
    }

    func sendToCoordinator(_ connection: Int, _ message: [UInt8]) {
        guard !connections[connection].isCut else { return lose(connection, message) }
        if isLost(connections[connection].losesToCoordinatorUntil) { return }
        var arrival = max(
            now + delay(), connections[connection].lastToCoordinator + Span(nanoseconds: 1),
            connections[connection].passesFrom)
        if isOutOfOrder() {
            arrival = arrival + delay() * 4
        } else {
            connections[connection].lastToCoordinator = arrival
        }
        schedule(.arrivesAtCoordinator(connection: connection, message: message), at: arrival)
        if isDoubled() {
            schedule(.arrivesAtCoordinator(connection: connection, message: message), at: arrival + delay() * 3)
        }
    }

    private func isLost(_ until: Instant) -> Bool {
        guard !isCalm, until > now || dice.chance(plan.lostMessages) else { return false }
        faults += 1
        return true
    }

    private func isDoubled() -> Bool { !isCalm && dice.chance(plan.doubledMessages) }

    private func isOutOfOrder() -> Bool { !isCalm && dice.chance(plan.reorderedMessages) }

    func sendToWorker(_ connection: Int, _ message: [UInt8]) {
        guard !connections[connection].isCut else { return }
        if isLost(connections[connection].losesToWorkerUntil) { return }
        var arrival = max(
            now + delay(), connections[connection].lastToWorker + Span(nanoseconds: 1),
            connections[connection].passesFrom)
        if isOutOfOrder() { arrival = arrival + delay() * 4 } else { connections[connection].lastToWorker = arrival }
        schedule(.arrivesAtWorker(connection: connection, message: message), at: arrival)
        if isDoubled() {
            schedule(.arrivesAtWorker(connection: connection, message: message), at: arrival + delay() * 3)
        }
    }

    /// A message that its connection did not deliver may go out again first thing on the next one, as queues do.
    private func lose(_ connection: Int, _ message: [UInt8]) {
        let worker = workers[connections[connection].worker]
        guard worker.isAlive, worker.boot == connections[connection].boot, dice.chance(plan.repeatedMessages) else {
            return
        }
        worker.backlog.append(message)
    }

    func arriveAtCoordinator(_ id: Int, _ message: [UInt8]) {
        guard head.core != nil, connections[id].life == head.life else { return }
        if connections[id].isCut, !dice.chance(plan.lateMessages) { return lose(id, message) }
        let session = connections[id].session ?? nameSession(id)
        guard let decoded = try? Message(decoding: message) else {
            return fail(.model, "a message does not decode at the coordinator")
        }
        trace.note(now, what: 1, whom: connections[id].worker, message)
        let number = Message.number(of: message)
        let event = CoordinatorEvent.received(decoded, from: session, number: number)
        if let heard = heardNumber(session), number <= heard {
            // Whatever else is due is done first; that can be the end of the session.
            feedCoordinator(.deadline)
            guard head.core != nil, heardNumber(session) != nil else { return }
            return feedCoordinatorInVain(
                event, "a message that came twice, or too late, changes something: \(decoded.name)")
        }
        feedCoordinator(event)
    }

    private func heardNumber(_ session: SessionID) -> UInt32? {
        head.core?.heard(from: session)
    }

    /// The coordinator's shell gives every route that it does not know a session of its own.
    private func nameSession(_ id: Int) -> SessionID {
        let session = SessionID(head.nextSession)
        head.nextSession += 1
        head.connectionOfSession.append(id)
        head.heardAt.append(now)
        connections[id].session = session
        return session
    }

    func arriveAtWorker(_ id: Int, _ message: [UInt8]) {
        let worker = workers[connections[id].worker]
        guard worker.isAlive, worker.boot == connections[id].boot else { return }
        if connections[id].isCut || worker.connection != id {
            guard dice.chance(plan.lateMessages) else { return }
            // It lies in the socket's queue until the worker is connected again, and comes first then.
            if worker.connection == nil || (worker.connection == id && dice.chance(500)) {
                return worker.leftOver.append((id, message))
            }
        }
        // What an old connection left in the socket's queue comes before anything of a newer one.
        guard id >= worker.newestHeard else { return }
        worker.newestHeard = id
        guard let decoded = try? Message(decoding: message) else {
            return fail(.model, "a message does not decode at a worker")
        }
        trace.note(now, what: 2, whom: worker.index, message)
        let number = Message.number(of: message)
        let isLate = worker.connection != id
        if isLate || number <= worker.session?.heardInSession ?? 0 {
            return feedInVain(worker, .received(decoded, number: number), decoded, isLate: isLate)
        }
        feed(worker, .received(decoded, number: number))
    }

    func coordinatorHears(_ id: Int) {
        guard head.core != nil, connections[id].life == head.life, !connections[id].isClosedAtCoordinator else {
            return
        }
        connections[id].isClosedAtCoordinator = true
        guard let session = connections[id].session else { return }
        connections[id].session = nil
        trace.note(now, what: 3, whom: connections[id].worker)
        feedCoordinator(.connectionClosed(session))
    }

    func workerHears(_ id: Int) {
        let worker = workers[connections[id].worker]
        guard worker.isAlive, worker.boot == connections[id].boot, worker.connection == id else { return }
        drop(worker)
    }

    /// The worker's end of its connection closes; it tries again soon.
    func drop(_ worker: SimulatedWorker) {
        worker.connection = nil
        trace.note(now, what: 4, whom: worker.index)
        feed(worker, .disconnected)
        schedule(
            .workerConnects(worker: worker.index, boot: worker.boot), after: dice.span(milliseconds: 5...1200))
    }

    func connect(_ worker: SimulatedWorker, _ boot: Int) {
        guard worker.isAlive, worker.boot == boot, worker.connection == nil, !worker.hasLeft else { return }
        // Whoever has seen no coordinator yet could not tell an old backup.
        let isTooNew = head.isOldBackup && worker.session?.hello.lastEpoch == 0
        guard head.core != nil, head.stalledUntil <= now, !isTooNew else {
            return schedule(.workerConnects(worker: worker.index, boot: boot), after: dice.span(milliseconds: 50...900))
        }
        connections.append(Connection(worker: worker.index, boot: boot, life: head.life))
        let id = connections.count - 1
        worker.connection = id
        let backlog = worker.backlog
        worker.backlog = []
        for message in backlog { sendToCoordinator(id, message) }
        let leftOver = worker.leftOver
        worker.leftOver = []
        for (old, message) in leftOver {
            schedule(.arrivesAtWorker(connection: old, message: message), after: dice.span(microseconds: 1...30))
        }
        trace.note(now, what: 5, whom: worker.index)
        feed(worker, .connected)
    }

    /// Cuts a connection; whoever is told learns it soon.
    func cut(_ id: Int, tellsCoordinator: Bool, tellsWorker: Bool) {
        guard !connections[id].isCut else { return }
        connections[id].isCut = true
        if tellsCoordinator { schedule(.coordinatorHears(connection: id), after: dice.span(milliseconds: 0...60)) }
        if tellsWorker { schedule(.workerHears(connection: id), after: dice.span(milliseconds: 0...60)) }
    }
}

// MARK: Data connections
extension SimulatedCluster {
    func link(from: Int, to: Int) -> Int { from * (Self.workerLimit + 1) + to }

    func send(_ chunk: Chunk, from: Int, to: Int, extra: Span = .zero) {
        let place = link(from: from, to: to)
        let arrival = max(now + delay() + extra, linkArrivals[place] + Span(nanoseconds: 1))
        linkArrivals[place] = arrival
        schedule(.chunk(chunk, from: from, to: to, link: linkLives[place]), at: arrival)
        breakLast(from: from, to: to)
    }

    func arrive(_ chunk: Chunk, from: Int, to: Int, link life: Int) {
        tellEvent(
            "chunk w\(from) to w\(to)",
            (linkLives[link(from: from, to: to)] == life ? "" : "lost ") + "\(chunk.kind) of step \(chunk.step)")
        // What was on a broken connection can still lie in the receiver's queue.
        guard linkLives[link(from: from, to: to)] == life || dice.chance(plan.lateMessages) else { return }
        if to == Self.headEnd { return storeReceives(chunk, from: from) }
        guard workers[to].isAlive else { return }
        receive(chunk, from: from, workers[to])
    }

    /// Breaks the data connection that `from` opened to `to`: what is on it is lost, and `from` is told.
    func breakLink(from: Int, to: Int) {
        linkLives[link(from: from, to: to)] += 1
        // The coordinator answers on the connection that the worker opened.
        if to == Self.headEnd { linkLives[link(from: to, to: from)] += 1 }
        guard from != Self.headEnd, workers[from].isAlive else { return }
        let peer = to == Self.headEnd ? NodeID.coordinator : workers[to].node
        schedule(
            .peerIsLost(worker: from, boot: workers[from].boot, peer: peer), after: dice.span(milliseconds: 0...200))
    }
}
