package import Budgeting
package import Coordination
import Foundation
package import Logging
import StorageShell
import Synchronization
package import Terms
import Wire
import ZeroMQShell

/// A running coordinator: the loop that feeds `Coordinator` and carries out its output.
///
/// Owns the sockets, the journal and every job's folder; runs on one thread. Files: this one (sockets and the loop) ·
/// `+Admission` (who may say what) · `+Jobs` (folders,
/// logs, checkpoints) · `+Data` (chunks) · `+Files` (files that clients bring and take) · `+Planting` (jobs that
/// begin with another one's checkpoint) · `+Requests` (clients) ·
/// `+Following` (clients that are told of a job's events) · `+Workers` · `+Trouble` (what one job's trouble costs) ·
/// `+Retiring`.
package final class CoordinatorService: @unchecked Sendable {
    package struct Options: Sendable {
        /// `tcp://HOST:PORT`; port `*` = any.
        package var listen: String
        /// Folder of the journal.
        package var state: String
        /// Folder of a job's log and checkpoints.
        package var jobFolder: @Sendable (JobID) -> String
        package var times = CoordinatorTimes()
        /// False only for a coordinator whose workers are its own child processes on loopback: then nobody is asked for
        /// a key. Everywhere else every connection proves one.
        package var isClosed = false
        /// What energy and money are taken to be.
        package var rates = RateCard()

        package init(listen: String, state: String, jobFolder: @escaping @Sendable (JobID) -> String) {
            self.listen = listen
            self.state = state
            self.jobFolder = jobFolder
        }
    }

    /// What others ask of the running service, from any thread.
    package enum Order: Sendable {
        /// Submit; the answer is the job's number.
        case submit(JobDescription, @Sendable (JobID) -> Void)
        case job(JobOrder, JobID)
        /// Go on with something whose long part was done beside the loop.
        case goOn(@Sendable (CoordinatorService) throws -> Void)
        /// Tell the workers to end, and end the loop.
        case end
        /// Save what runs, for at most that long, and end the loop; workers go on and come back to the next start.
        case retire(within: Span)
    }

    /// An event line, and the job it is about (nil = the cluster).
    package typealias Observer = @Sendable (JobID?, JSONValue) -> Void

    let options: Options
    let log: Logger
    let control: ZeroMQSocket
    private let monitor: ZeroMQSocket
    let data: ZeroMQSocket
    let dataMonitor: ZeroMQSocket
    private let poller = ZeroMQPoller()
    var facts: CoreJournal
    var journal: any Journal { facts.journal }
    /// Who is let in; nil when `Options.isClosed` is false.
    package let gate: Gate?
    /// Files that clients bring; nil without gate.
    let files: FileDesk?
    let tasks = TaskDesk()
    var plantings: [Planting] = []
    private(set) var core: Coordinator
    var desks: [(id: JobID, desk: JobDesk)] = []
    private let inbox = Mutex<(orders: [Order], events: [CoordinatorEvent])>(([], []))
    let waker: ZeroMQPoller.Waker
    private var deadline: Instant?
    private var isEnding = false
    /// Set once the coordinator is to end without its workers.
    var retirement: Retirement?
    /// Sessions with their connections, in the order they came.
    var connections: [Connection] = []
    private var nextSession: UInt64 = 1
    /// Chunks that wait for the data socket, and what its last flush came to.
    var chunks = ChunkOutbox()
    var chunksLeft = ChunkOutbox.Outcome.empty
    var followers: [Follower] = []
    /// Jobs that were open since this process began.
    var opened: Set<JobID> = []
    /// Jobs that this process can't go on with; they rest from the end of the turn.
    var troubled: [GivenUp] = []
    /// What lets the journal say that the disk is full.
    let reserve: SpaceReserve
    var complaints = RateLimit(pause: .seconds(5))
    /// By checkpoint: the `model_sha256` of those that were saved without one, read and hashed once for their end lines.
    var models: [Digest: Digest] = [:]
    let observer: Observer
    /// `tcp://HOST:PORT` that workers connect to.
    package let endpoint: String

    struct Connection {
        var session: SessionID
        /// libzmq's name of the peer on the control socket.
        var route: [UInt8]
        /// File descriptor, to know it again when it closes.
        var descriptor: Int32
        /// The key that its owner proved; nil without gate.
        var key: String?
        /// Messages sent over it.
        var sent: UInt32 = 0
        /// Messages that the socket did not take yet.
        var waiting = MessageBacklog()
    }

    /// Opens the journal and binds the sockets; nothing runs before `run`.
    package init(_ options: Options, log: Logger, observer: @escaping Observer) throws {
        self.options = options
        self.log = log
        self.observer = observer
        let journal = try SQLiteJournal(folder: options.state)
        facts = CoreJournal(journal)
        reserve = SpaceReserve(folder: options.state)
        waker = poller.waker
        precondition(
            options.isClosed || PeerAddress.isLoopback(options.listen), "an open coordinator stays on loopback")
        // The gate stands before anybody can knock.
        let gate = options.isClosed ? try Gate(folder: options.state, journal: journal) : nil
        self.gate = gate
        files = try gate.map { _ in try FileDesk(root: "\(options.state)/files") }
        var controlOptions = ZeroMQSocket.Options(frameBytes: Int64(WireLimits.controlBytes), queue: 256, linger: 500)
        var dataOptions = ZeroMQSocket.Options(frameBytes: Int64(WireLimits.chunkBytes + 1024), queue: 64)
        controlOptions.usesIPv6 = PeerAddress.isIPv6(options.listen)
        dataOptions.usesIPv6 = controlOptions.usesIPv6
        if let gate {
            controlOptions.curve = .server(gate.keys, domain: Gate.domain)
            // On loopback the chunks go plain: their digests are on record, and encryption costs four fifths of the
            // rate.
            if !PeerAddress.isLoopback(options.listen) { dataOptions.curve = controlOptions.curve }
        }
        control = try ZeroMQSocket(.router, controlOptions)
        monitor = try control.monitor()
        data = try ZeroMQSocket(.router, dataOptions)
        dataMonitor = try data.monitor()
        endpoint = try control.bind(options.listen)
        let dataEndpoint = try data.bind(PeerAddress.withPort("*", endpoint))
        let isPlain = PeerAddress.isLoopback(options.listen)
        let address = PeerAddress(endpoint: dataEndpoint, key: isPlain ? nil : gate?.keys.publicKey)
        core = Coordinator(
            epoch: UInt64(journal.epoch), dataEndpoint: address.description, times: options.times, rates: options.rates,
            clockOffset: Int64(Date().timeIntervalSince1970 * 1000) - Self.now().nanoseconds / 1_000_000)
        try gate?.test(endpoint)
        clearNursery()
        try restoreJobs()
    }

    /// Nanoseconds since boot; counts on while the machine sleeps.
    static func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Gives the running service an order; from any thread.
    package func order(_ order: Order) {
        inbox.withLock { $0.orders.append(order) }
        waker.wake()
    }

    /// Gives the core an event from a thread of the shell's own.
    func post(_ event: CoordinatorEvent) {
        inbox.withLock { $0.events.append(event) }
        waker.wake()
    }

    /// Runs until `.end` or `.retire`. Throws when the journal fails: what can't be made durable must not become
    /// visible.
    package func run() throws {
        reserve.hold()
        defer { reserve.release() }
        while !isEnding, !hasRetired { try turn() }
        if retirement == nil { for connection in connections { send(.shutdown, to: connection.session) } }
        control.close()
    }

    private func turn() throws {
        let isFull = desks.contains { $0.desk.checkpoints.isFull }
        try poller.wait(
            [.init(control), .init(monitor), .init(dataMonitor)] + (isFull ? [] : [.init(data)])
                + (gate.map { [.init($0.socket)] } ?? []),
            milliseconds: patience)
        let (orders, events) = inbox.withLock { box in
            defer { box = ([], []) }
            return box
        }
        try gate?.answer()
        for event in events { try feed(event) }
        for order in orders { try obey(order) }
        while let event = try monitor.connectionEvent() {
            if event.kind == .lost { try connectionLost(event.value) }
        }
        var messages = 0
        while messages < 512, let frames = try control.receive(limit: 2) {
            messages += 1
            try receiveControl(frames)
        }
        try moveData()
        for place in connections.indices where !connections[place].waiting.isEmpty { flush(place) }
        moveFollowers()
        if let deadline, Self.now() >= deadline { try feed(.deadline) }
        try restTroubled()
        try facts.walkPast()
    }

    /// Milliseconds until something is to be done without anybody saying anything. A router's socket can't be asked
    /// whether one peer takes something: what waits for one is tried now and then.
    private var patience: Int {
        let wait = deadline.map { max(0, min(500, Int(($0 - Self.now()).nanoseconds / 1_000_000) + 1)) } ?? 500
        let chunkWait: Int =
            switch chunksLeft {
            case .empty: 500
            case .more: 0
            case .blocked(let moved): moved ? 2 : 20
            }
        let isCongested = connections.contains { !$0.waiting.isEmpty }
        let isBehind = followers.contains { $0.backlog != nil && !self.isCongested($0.session) }
        return min(
            wait, chunkWait, isBehind || facts.hasPast ? 0 : isCongested ? 20 : 500, retirement == nil ? 500 : 50)
    }

    private func obey(_ order: Order) throws {
        switch order {
        case .submit(let description, let answer):
            let id = core.nextJob
            try submit(description)
            answer(id)
        case .job(let order, let id): try feed(.ordered(order, id))
        case .goOn(let body): try body(self)
        case .end: isEnding = true
        case .retire(let span): try retire(within: span)
        }
    }

    // MARK: Connections

    private func receiveControl(_ frames: [ZeroMQSocket.Frame]) throws {
        guard frames.count == 2, let message = try? Message(decoding: frames[1].bytes) else {
            complain("dropped a malformed message")
            return
        }
        guard let key = admitted(message, frames) else { return }
        let session = self.session(of: frames[0].bytes, frames[1].connection, key?.key.text)
        if case .request(let id, let body) = message { return try answer(id, body, session, by: key) }
        try feed(.received(message, from: session, number: Message.number(of: frames[1].bytes)))
    }

    private func session(of route: [UInt8], _ descriptor: Int32, _ key: String?) -> SessionID {
        if let known = connections.first(where: { $0.route == route }) { return known.session }
        let session = SessionID(nextSession)
        nextSession += 1
        connections.append(Connection(session: session, route: route, descriptor: descriptor, key: key))
        return session
    }

    private func connectionLost(_ descriptor: Int32) throws {
        guard let index = connections.firstIndex(where: { $0.descriptor == descriptor }) else { return }
        let session = connections.remove(at: index).session
        files?.forget(session)
        followers.removeAll { $0.session == session }
        try feed(.connectionClosed(session))
    }

    /// Sends a message, now or when the peer takes something again. What a peer does not take for too long is lost to
    /// it: it sees the gap in the numbers.
    func send(_ message: Message, to session: SessionID) {
        guard let place = connections.firstIndex(where: { $0.session == session }) else { return }
        connections[place].sent += 1
        let bytes = message.encoded(number: connections[place].sent)
        if !connections[place].waiting.isEmpty || deliver(bytes, to: connections[place].route) == .wouldBlock {
            connections[place].waiting.keep(bytes)
        }
    }

    /// Whether messages for a session wait for the socket.
    func isCongested(_ session: SessionID) -> Bool {
        connections.first { $0.session == session }?.waiting.isEmpty == false
    }

    private func flush(_ place: Int) {
        while let next = connections[place].waiting.first {
            if deliver(next, to: connections[place].route) == .wouldBlock { return }
            connections[place].waiting.removeFirst()
        }
    }

    /// A peer that is gone is found by its heartbeats.
    private func deliver(_ bytes: [UInt8], to route: [UInt8]) -> ZeroMQSocket.Sent {
        do { return try control.send([route, bytes]) } catch {
            log.warning("\(error)")
            return .unreachable
        }
    }

    // MARK: The core

    /// Gives the core an event and carries out what it answers: durable first, then visible.
    func feed(_ event: CoordinatorEvent) throws {
        let output = core.handle(event, at: Self.now())
        try carryOut(output)
        deadline = output.deadline
    }

    func carryOut(_ output: CoordinatorOutput) throws {
        if !output.journal.isEmpty { try keep(output.journal) }
        for (session, message) in output.sends { send(message, to: session) }
        // The save of a step is ordered in the very turn in which the step's evaluation ends.
        for case .evaluated(let id, let step, let loss, let tokens) in output.notices {
            desk(id)?.note(loss: loss, of: step, tokens: tokens)
        }
        for command in output.commands { try carryOut(command) }
        for notice in output.notices { tell(notice) }
    }

    /// Changes the core outside an event, at start.
    func adjust(_ body: (inout Coordinator) throws -> CoordinatorOutput?) rethrows -> CoordinatorOutput? {
        try body(&core)
    }

    private func carryOut(_ command: CoordinatorCommand) throws {
        switch command {
        case .collect(let id, let step, let attempt, let kind, let digest, let isReadBack):
            guard let run = core.job(id) else { return }
            desk(id)?.checkpoints.collect(
                step, attempt: attempt, kind: kind, isReadBack: isReadBack,
                progress: .init(
                    epoch: core.epoch, generation: run.generation, tokens: run.tokens(after: step),
                    samples: min(step * run.description.globalBatch, run.description.totalSequences),
                    evaluationLoss: desk(id)?.evaluationLoss(of: step), profile: run.profile, digest: digest,
                    plan: run.plan, budget: Self.position(run)))
        case .abandon(let id, let attempt): desk(id)?.checkpoints.abandon(attempt)
        case .close(let session):
            connections.removeAll { $0.session == session }
            followers.removeAll { $0.session == session }
        }
    }
}
