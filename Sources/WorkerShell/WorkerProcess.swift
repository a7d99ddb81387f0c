import Coordination
import Foundation
import Kernels
package import Logging
import Synchronization
package import Terms
import Wire
package import ZeroMQShell

/// A worker process: one reactor thread that owns all sockets and the `WorkerSession`, one engine thread that computes.
///
/// The one place where the control plane and the data plane meet. Files: this one (sockets and the loop) ·
/// `+Commands` (what the core orders) · `+Data` (chunks: gradients, healing, checkpoints, files) · `+Help` (late
/// members) ·
/// `+Blocks` (data that arrive while they are trained on).
package final class WorkerProcess {
    /// Where and how a worker runs.
    package struct Options: Sendable {
        /// `HOST:PORT` of the coordinator.
        package var coordinator: String
        package var threads: Int
        /// Bytes of memory that jobs may take here; 0 = as much as they like.
        package var memory = 0
        /// Folder of its key and cache.
        package var state: String
        package var node: NodeID
        package var name: String
        /// Address its data socket listens on, without port.
        package var listenHost = "127.0.0.1"
        /// Folder of the one job's checkpoints, where it is at hand: this worker then writes its share itself.
        package var store: String?
        /// Its own key, and the coordinator's that it believes; nil for the child of an open coordinator on loopback.
        package var trust: (own: CurveKeyPair, coordinator: CurvePublicKey)?
        /// Folder of the machine's energy counters.
        package var powercap = Powercap.standardPath

        /// For tests only: false = as on another machine, where the submitter's paths lead to nothing.
        package var readsPaths = true
        /// For tests only: after this step one bit of the state in memory changes, as in bad memory.
        package var flipsBitAfter: Int?

        package init(coordinator: String, threads: Int, state: String, node: NodeID, name: String) {
            self.coordinator = coordinator
            self.threads = threads
            self.state = state
            self.node = node
            self.name = name
        }
    }

    var options: Options
    let log: Logger
    var session: WorkerSession
    let poller = ZeroMQPoller()
    private var control: ZeroMQSocket
    private var controlMonitor: ZeroMQSocket
    private let controlOptions: ZeroMQSocket.Options
    let incoming: ZeroMQSocket
    /// Lets in the members of the generation and nobody else; nil where chunks go plain, on loopback.
    private let handler: ZAPHandler?
    let links: DataLinks
    /// What peers on this machine have put up for this worker.
    let shelves = Shelves()
    let mailbox: Mailbox<Engine.Outcome>
    let engine: Engine
    let loader: JobLoader
    /// Brings checkpoints out beside training.
    let saver: ShareSaver
    private var outbox: [[UInt8]] = []
    /// Control messages sent since the process started.
    private var sent: UInt32 = 0
    private var deadline: Instant?
    /// Set once the process is to end.
    var leaving: String?
    /// True when it ends because it may not take part.
    package private(set) var isRefused = false
    /// The coordinator's data socket; it is addressed as the node of all ones.
    static let coordinatorNode = NodeID(high: .max, low: .max)
    var coordinatorEndpoint: String?

    // MARK: The job in hand
    var job: (id: JobID, loaded: LoadedJob)?
    var exchange: Exchange?
    let held = HeldNodes()
    var gathered: Exchange.Gathered?
    var healing: Healing?
    var fetching: Fetching?
    var arriving: Arriving?
    var complaints = RateLimit(pause: .seconds(5))
    /// nil where the machine's counters can't be read.
    private var power: PowerMeter?

    package init(_ options: Options, log: Logger) throws {
        self.options = options
        let compute = Compute(team: Team(threads: options.threads))
        self.log = log
        let host = "tcp://\(options.listenHost):*"
        var incomingOptions = DataLinks.options
        let isPlain = PeerAddress.isLoopback(host)
        precondition(isPlain || options.trust != nil, "a socket beyond loopback proves its key")
        handler = isPlain ? nil : try ZAPHandler()
        incomingOptions.usesIPv6 = PeerAddress.isIPv6(host)
        if !isPlain, let trust = options.trust { incomingOptions.curve = .server(trust.own, domain: "drover.workers") }
        incoming = try ZeroMQSocket(.router, incomingOptions)
        let endpoint = try incoming.bind(host)
        let ownHost = options.listenHost
        links = DataLinks(node: options.node, keys: options.trust?.own) { endpoint in
            PeerAddress.isLoopback(endpoint) || endpoint.hasPrefix("tcp://\(ownHost):")
        }
        let address = PeerAddress(endpoint: endpoint, key: isPlain ? nil : options.trust?.own.publicKey)
        var hello = Hello(
            role: .worker, node: options.node, boot: UInt64.random(in: 1...UInt64.max), name: options.name,
            threads: UInt32(options.threads), dataEndpoint: address.description, profile: compute.probe(), lastEpoch: 0)
        hello.memory = UInt64(max(0, options.memory))
        session = WorkerSession(hello: hello)
        var controlOptions = ZeroMQSocket.Options(
            frameBytes: Int64(WireLimits.controlBytes), queue: 256, linger: 500)
        controlOptions.usesIPv6 = PeerAddress.isIPv6("tcp://\(options.coordinator)")
        if let trust = options.trust { controlOptions.curve = .client(trust.own, server: trust.coordinator) }
        self.controlOptions = controlOptions
        control = try ZeroMQSocket(.dealer, controlOptions)
        controlMonitor = try control.monitor()
        let waker = poller.waker
        let mailbox = Mailbox<Engine.Outcome> { waker.wake() }
        self.mailbox = mailbox
        engine = Engine { mailbox.post($0) }
        power = PowerMeter(options.powercap)
        saver = ShareSaver(root: options.store, node: options.node) { mailbox.post($0) }
        loader = JobLoader(
            compute: compute,
            cache: try FileCache(
                root: "\(options.state)/files", readsPaths: options.readsPaths, believesStates: options.trust == nil))
        try control.connect("tcp://\(options.coordinator)")
    }

    /// Nanoseconds since boot; counts on while the machine sleeps.
    static func now() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Runs until the coordinator or a signal ends it; returns why.
    ///
    /// - Parameter shouldStop: asked at least every half second.
    package func run(shouldStop: @Sendable () -> Bool) throws -> String {
        var asked = false
        while leaving == nil {
            try turn()
            if shouldStop(), !asked {
                asked = true
                feed(.stopRequested)
            }
        }
        endBlocks()
        try flush()
        control.close()
        return leaving ?? ""
    }

    /// One round of the loop: wait, take in everything, send everything.
    private func turn() throws {
        let now = Self.now()
        let wait = deadline.map { max(0, min(500, Int(($0 - now).nanoseconds / 1_000_000) + 1)) } ?? 500
        try poller.wait(
            [.init(control, sending: !outbox.isEmpty), .init(controlMonitor), .init(incoming)] + links.interests
                + (handler.map { [.init($0.socket)] } ?? []),
            milliseconds: wait)
        try handler?.answer { request in admit(request) }
        while let event = try controlMonitor.connectionEvent() { connectionChanged(event) }
        for outcome in mailbox.drain() { take(outcome) }
        while let frames = try control.receive(limit: 1) { receiveControl(frames) }
        // Bounded, so that a flood of chunks never keeps heartbeats waiting.
        var chunks = 0
        while chunks < 256, let frames = try incoming.receiveInPlace(limit: 4) {
            chunks += 1
            receiveData(frames.dropFirst(), isPeer: true)
        }
        links.tellRoom(shelves.waiting())
        for frames in try links.received() { receiveData(frames[...], isPeer: false) }
        for (node, isLost) in try links.changes() {
            if node == Self.coordinatorNode { coordinatorLink(isLost: isLost) }
            if isLost {
                arriving?.fetch.forget(node)
                feed(.peerLost(node))
            }
        }
        fetchBlocks()
        tellPower()
        if let deadline, Self.now() >= deadline { feed(.deadline) }
        if let deafAt = session.deafAt, Self.now() > deafAt { try connectAnew() }
        try flush()
    }

    /// A coordinator that says nothing any more may be behind a connection that only looks alive.
    private func connectAnew() throws {
        control.close()
        controlMonitor.close()
        outbox = []
        feed(.disconnected)
        control = try ZeroMQSocket(.dealer, controlOptions)
        controlMonitor = try control.monitor()
        try control.connect("tcp://\(options.coordinator)")
    }

    private func connectionChanged(_ event: ConnectionEvent) {
        switch event.kind {
        case .established: feed(.connected)
        case .lost:
            outbox = []
            feed(.disconnected)
        case .refused:
            leaving =
                "the coordinator at \(options.coordinator) does not know this worker's key, or has revoked it: get a "
                + "join line with `drover worker invite` there and join with its --token"
            isRefused = true
        case .handshakeFailed:
            complain(
                "what answers at \(options.coordinator) is not the coordinator whose key this worker knows: if it "
                    + "was set up anew, get a join line with `drover worker invite` there and join with its --token; if not, "
                    + "somebody stands in for it")
        case .other: break
        }
    }

    /// Answers a peer's connection: the coordinator vouches for the members of this generation, and for nobody else.
    private func admit(_ request: ZAPRequest) -> ZAPDecision {
        guard case .curve(let key) = request.mechanism else { return .refuse("this socket needs a key") }
        let isMember = (exchange?.roster.members ?? []).contains { PeerAddress($0.dataEndpoint)?.key == key }
        // It may have heard of the new generation before us: it tries again at once.
        return isMember ? .accept(userID: key.text) : .later("not a member of this generation")
    }

    private func receiveControl(_ frames: [ZeroMQSocket.Frame]) {
        guard frames.count == 1, let message = try? Message(decoding: frames[0].bytes) else {
            log.warning("dropped a malformed message from the coordinator")
            return
        }
        if case .welcome(let welcome) = message {
            let known = coordinatorEndpoint
            coordinatorEndpoint =
                PeerAddress(welcome.dataEndpoint)?.reached(through: options.coordinator).description
                ?? welcome.dataEndpoint
            connectLinks()
            if coordinatorEndpoint != known { fetchAgain() }
        }
        feed(.received(message, number: Message.number(of: frames[0].bytes)))
    }

    /// Gives the core an event and carries out what it answers.
    func feed(_ event: WorkerEvent) {
        let output = session.handle(event, at: Self.now())
        for message in output.sends {
            sent += 1
            outbox.append(message.encoded(number: sent))
        }
        deadline = output.deadline
        for notice in output.notices { tell(notice) }
        for command in output.commands { carryOut(command) }
    }

    /// Says what this process draws, where and when there is something to say.
    func tellPower(isDue: Bool = false) {
        if let reading = power?.read(isDue: isDue) { feed(.powerRead(reading)) }
    }

    private func flush() throws {
        while let message = outbox.first {
            guard try control.send([message]) == .sent else { break }
            outbox.removeFirst()
        }
        try links.flush()
    }

    private func tell(_ notice: WorkerNotice) {
        switch notice {
        case .welcomed(let epoch): log.info("joined the coordinator at \(options.coordinator) (epoch \(epoch))")
        case .refused(let reason):
            isRefused = true
            log.error("refused: \(reason)")
        case .connectionLost: log.warning("lost the coordinator at \(options.coordinator); trying to reach it again")
        case .generation(let job, let generation, let rank, let world, let step):
            log.info("job \(job): generation \(generation), rank \(rank) of \(world), from step \(step)")
        case .applied(let job, let step): log.debug("job \(job): step \(step) applied")
        case .trouble(let text): log.warning("\(text)")
        }
    }
}
