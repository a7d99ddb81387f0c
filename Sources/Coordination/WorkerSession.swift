package import Recipes
package import Terms
package import Wire

/// One worker's side of the control plane as a plain value: `Coordinator`'s counterpart.
///
/// It decides what the process computes, sends and keeps; shells compute, send and keep it. A worker holds one job.
package struct WorkerSession: Sendable {
    /// The hello of every connection; `lastEpoch` moves on.
    package private(set) var hello: Hello
    /// The coordinator's number of the session.
    private var session: UInt64 = 0
    /// Number of the newest message of the session.
    private var heard: UInt32 = 0
    /// The coordinator answered the newest hello. Before that nothing else is said or believed: what comes
    /// may be left over from an older connection.
    private var isWelcome = false
    private var heartbeat = Span.seconds(2)
    private var isConnected = false
    /// When nothing was heard until then, the shell should connect anew; nil = it is not connected.
    package private(set) var deafAt: Instant?
    private var lastSent = Instant(nanoseconds: 0)
    private var lastHeard = Instant(nanoseconds: 0)
    /// The instant of the event in hand.
    private(set) var clock = Instant(nanoseconds: 0)
    /// What it drew when that was read last: said again in every new session, so that none takes it for a worker that
    /// measures nothing.
    private var power: PowerReading?
    /// The job it holds, with where it stands.
    package internal(set) var job: Course?

    /// Asked to end, it goes then at the latest; nil = not asked.
    private var leavesBy: Instant?
    /// A job that has not let its worker go after so long loses it.
    private static let drainPatience = Span.seconds(60)
    /// Silence of the coordinator after which the connection counts as lost.
    private static let patience: Int64 = 8
    /// Heartbeats after which a hello without an answer is said again.
    private static let greetingPatience: Int64 = 4

    /// Where a worker stands in its job.
    package struct Course: Sendable {
        package let id: JobID
        /// The `JobDescription` it was loaded from.
        let description: [UInt8]
        package var isLoaded = false
        /// Its `load` is under way.
        package internal(set) var isLoading = true
        /// The greeting of the session in which it was given last.
        var assignedIn: UInt64
        package var generation = Generation(0)
        package var roster: Roster?
        package var rank = 0
        /// False until the state is in memory.
        package var hasState = false
        /// Steps applied, when `hasState`.
        package var step: Step = 0
        package var digest: UInt64 = 0
        /// Ready for work in `generation`.
        var isMember = false
        /// Reports of the newest steps, oldest first.
        var reports: [StepReport] = []
        /// Leased recipes not yet applied, by step.
        var recipes: [Recipe] = []
        package var work: Work?
        /// An update that was under way when the generation ended.
        var interrupted: Work?
        /// The finished sum of a step whose work has not begun here: the others needed no shard of this worker for it.
        var early: (step: Step, lossSum: Double)?
        /// Evaluating or copying.
        var isBusy = false
        var evaluation: EvaluationOrder?
        var save: SaveOrder?
        /// In this generation state came from the coordinator's store, or went there.
        var usesStore = false
        /// What a shard takes here.
        var pace = ShardPace()
    }

    /// The step in progress.
    package struct Work: Sendable {
        package var recipe: Recipe
        package var tag: UInt64
        var microseconds: UInt64 = 0
        var shards = 0
        var isComputed = false
        /// Sum of the loss over all shards, once the root is here.
        var lossSum: Double?
        var isApplying = false
        /// When the others are late enough to be helped; nil while own shards are missing.
        var helpsAt: Instant?
        /// It has asked for shards, and has no answer yet.
        var isAsking = false
        /// Nodes of other members that it computes now.
        var targets = 0
        /// How often in a row nobody had shards to give.
        var vainHelps: Int64 = 0
        /// Microseconds spent on shards that another member computed as well.
        var repeated: UInt64 = 0
        /// Who has asked this worker for shards and got none.
        var idlers: [WorkerSession.Idler] = []
        /// Its last shard is computed by another member too.
        var hasLent = false
        /// The sum is here before all was computed: the rest is of no use.
        var isAbandoned = false

        /// Waiting for the others, and not helping yet.
        var waitsUntil: Instant? { lossSum == nil && !isAsking && targets == 0 ? helpsAt : nil }
        /// A sixteenth of the time that the own shards took, twice as long after each time in vain.
        func patience() -> Span {
            let usual = max(.milliseconds(20), Span(nanoseconds: Int64(min(microseconds, 1 << 40)) * 1000 / 16))
            return usual * (1 << min(vainHelps, 6))
        }
    }

    /// Reports kept for a coordinator that missed them; above any lease window.
    package static let reportsKept = 96

    /// What a simulation has planted here; nothing anywhere else.
    let bug: PlantedBug?

    package init(hello: Hello, bug: PlantedBug? = nil) {
        self.hello = hello
        self.bug = bug
    }

    /// Feeds one event. `now` must not go backwards.
    package mutating func handle(_ event: WorkerEvent, at now: Instant) -> WorkerOutput {
        var output = WorkerOutput()
        clock = now
        switch event {
        case .connected:
            isConnected = true
            lastHeard = now
            lastSent = now
            greet(&output)
        case .disconnected:
            disconnect(&output)
            if leavesBy != nil { leave(&output) }
        case .received(let message, let number):
            lastHeard = now
            receive(message, number, &output)
        case .stopRequested: drain(now, &output)
        case .deadline: break
        case .peerLost(let node): peerLost(node, &output)
        case .powerRead(let reading):
            power = reading
            if isWelcome { output.sends.append(.power(reading)) }
        default: progress(event, &output)
        }
        if let leavesBy, now >= leavesBy { leave(&output) }
        proceed(&output)
        beat(now, &output)
        deafAt = isConnected && bug != .deafWorkerWaits ? lastHeard + heartbeat * Self.patience : nil
        return output
    }

    /// Asked to end: a member works on until its job can do without it, so that nothing is computed again; asked twice,
    /// it goes at once.
    private mutating func drain(_ now: Instant, _ output: inout WorkerOutput) {
        guard isWelcome, leavesBy == nil, job?.isMember == true else { return leave(&output) }
        leavesBy = now + Self.drainPatience
        output.sends.append(.drain)
    }

    private mutating func leave(_ output: inout WorkerOutput) {
        leavesBy = nil
        output.sends.append(.goodbye)
        output.commands.append(.leave(reason: "asked to stop"))
    }

    private mutating func greet(_ output: inout WorkerOutput) {
        isWelcome = false
        hello.greeting += 1
        output.sends.append(.hello(hello))
    }

    private mutating func beat(_ now: Instant, _ output: inout WorkerOutput) {
        if !isWelcome { output.sends.removeAll { !$0.opensOrEndsSession } }
        guard isConnected else { return }
        // A hello or its answer can be lost, too.
        if !isWelcome, now - lastSent >= heartbeat * Self.greetingPatience { greet(&output) }
        if !output.sends.isEmpty { lastSent = now }
        if isWelcome, now - lastSent >= heartbeat {
            output.sends.append(.heartbeat(Heartbeat(session: session, sentAt: UInt64(now.nanoseconds))))
            lastSent = now
        }
        output.deadline = (isWelcome ? lastSent : now) + heartbeat
        if let waitsUntil = job?.work?.waitsUntil, let deadline = output.deadline, (job?.roster?.members.count ?? 0) > 1
        {
            output.deadline = min(deadline, max(waitsUntil, now + .milliseconds(1)))
        }
        if let leavesBy { output.deadline = min(leavesBy, output.deadline ?? leavesBy) }
    }

    /// Number of the newest message of the session that stands, nil = none stands.
    package var heardInSession: UInt32? { isWelcome ? heard : nil }

    /// Reports and leased recipes that it keeps: bounded.
    package var queueLengths: (reports: Int, recipes: Int) { (job?.reports.count ?? 0, job?.recipes.count ?? 0) }

    private mutating func disconnect(_ output: inout WorkerOutput) {
        isConnected = false
        isWelcome = false
        output.notices.append(.connectionLost)
    }

    private mutating func receive(_ message: Message, _ number: UInt32, _ output: inout WorkerOutput) {
        switch message {
        case .welcome(let welcome): enter(welcome, number, &output)
        case .refuse(let refusal) where refusal.code == .unknown:
            // The coordinator has given this session up and heard from it again: it starts anew.
            if isWelcome, number == 0 || number > heard { greet(&output) }
        case .refuse(let refusal):
            output.notices.append(.refused(refusal.text))
            output.commands.append(.leave(reason: refusal.text))
        default:
            guard isWelcome || bug == .staleMessagesBelieved, isNext(number, &output) else { return }
            obey(message, &output)
        }
    }

    /// Whether a message is the next one of the session. An older one came twice; behind a gap one was lost, and nobody
    /// knows what it said: a new session begins.
    private mutating func isNext(_ number: UInt32, _ output: inout WorkerOutput) -> Bool {
        guard number > heard || bug == .doubledMessageHeard else { return number == 0 }
        let isWhole = heard == 0 || number == heard + 1 || bug == .lostMessageIgnored || bug == .doubledMessageHeard
        heard = number
        if !isWhole { greet(&output) }
        return isWhole
    }

    /// Only the answer to the newest hello opens a session: others were left behind on older connections.
    private mutating func enter(_ welcome: Welcome, _ number: UInt32, _ output: inout WorkerOutput) {
        let isAnswer = welcome.greeting == hello.greeting || bug == .lateWelcomeBelieved
        guard isConnected, isAnswer, !isWelcome, welcome.epoch >= hello.lastEpoch else { return }
        session = welcome.session
        heard = number
        isWelcome = true
        hello.lastEpoch = welcome.epoch
        heartbeat = .milliseconds(Int64(min(max(100, welcome.heartbeatMilliseconds), 60_000)))
        output.notices.append(.welcomed(epoch: welcome.epoch))
        if let power { output.sends.append(.power(power)) }
    }

    /// Does what the coordinator of this session says.
    private mutating func obey(_ message: Message, _ output: inout WorkerOutput) {
        switch message {
        case .shutdown:
            if leavesBy != nil {
                leave(&output)
            } else {
                output.commands.append(.leave(reason: "told to leave by the coordinator"))
            }
        case .assign(let assignment): assign(assignment, &output)
        case .release(let id):
            guard job?.id == id else { return }
            output.commands.append(.unload(id))
            job = nil
        case .prepare(let id, let generation):
            // Only a coordinator that gave this worker the job in this session: another one counts generations anew.
            guard job?.id == id, job?.assignedIn == hello.greeting else { return }
            job!.stand(still: generation, bug)
            output.commands.append(.stop(id, generation))
        case .begin(let roster): begin(roster, &output)
        case .lease(let lease): take(lease)
        case .evaluate(let order):
            guard let job, job.id == order.job, order.generation == job.generation else { return }
            self.job!.evaluation = order
        case .save(let order):
            guard let job, job.id == order.job, order.generation == job.generation else { return }
            self.job!.save = order
            guard job.evaluation != nil else { return }
            // The coordinator waits for it no longer.
            if job.isBusy { output.commands.append(.abandonEvaluation(job.id)) }
            self.job!.evaluation = nil
            self.job!.isBusy = false
        case .hello, .welcome, .refuse, .heartbeat, .heartbeatReply, .goodbye, .drain, .assigned, .prepared, .ready,
            .report, .power, .evaluated, .snapshotTaken, .trouble, .request, .reply:
            break
        }
    }

    private mutating func assign(_ assignment: Assignment, _ output: inout WorkerOutput) {
        if let job, job.id == assignment.job, job.description == assignment.description, job.isLoaded || job.isLoading {
            // A coordinator that came back: model and state are still here, or on their way.
            self.job!.assignedIn = hello.greeting
            if job.isLoaded { output.commands.append(.load(assignment.job, description: assignment.description)) }
            return
        }
        if let job { output.commands.append(.unload(job.id)) }
        job = Course(id: assignment.job, description: assignment.description, assignedIn: hello.greeting)
        output.commands.append(.load(assignment.job, description: assignment.description))
    }

    private mutating func begin(_ roster: Roster, _ output: inout WorkerOutput) {
        guard let job, job.id == roster.job, roster.generation == job.generation, !job.isMember,
            let rank = roster.members.firstIndex(where: { $0.node == hello.node })
        else { return }
        self.job!.roster = roster
        self.job!.rank = rank
        self.job!.recipes = []
        let target = Step(clamping: roster.target)
        let isThere = job.hasState && job.step == target && (target == 0 || job.digest == roster.digest)
        // Sums that it holds are of use only in the step that follows its own state.
        output.commands.append(.enter(roster, rank: rank, keepTag: isThere ? heldTag : nil))
        let source: StateSource =
            if isThere { .own } else if !roster.sources.isEmpty {
                .peers(roster.sources.map(Int.init))
            } else if target == 0 { .initial } else { .checkpoint }
        // From now on what is in memory is neither the old state nor the new one.
        self.job!.hasState = isThere || bug == .tornHealBelieved
        if bug == .tornHealBelieved { (self.job!.step, self.job!.digest) = (target, roster.digest) }
        self.job!.usesStore = source == .checkpoint
        output.commands.append(.heal(roster, rank: rank, from: source))
        output.notices.append(
            .generation(job.id, roster.generation, rank: rank, worldSize: roster.members.count, from: target))
    }

    /// The recipe whose nodes were held at the last standstill.
    var heldTag: UInt64?

    private mutating func take(_ lease: Lease) {
        guard let job, job.id == lease.job, lease.generation == job.generation else { return }
        for bytes in lease.recipes {
            guard let recipe = try? Recipe(decoding: bytes) else { return }
            let next = (self.job!.recipes.last?.step ?? self.job!.work?.recipe.step ?? job.step) + 1
            if recipe.step == next { self.job!.recipes.append(recipe) }
        }
    }

    private mutating func peerLost(_ node: NodeID, _ output: inout WorkerOutput) {
        guard let job, let roster = job.roster, bug != .brokenLinkIgnored else { return }
        // What was on the connection is lost: sums, a state on its way here, or a share of a checkpoint.
        if roster.members.contains(where: { $0.node == node }) {
            complain(.stalled, "the data connection to worker \(node) broke", job, &output)
        } else if node == .coordinator, job.usesStore {
            complain(.stalled, "the data connection to the coordinator broke", job, &output)
        }
    }
}

extension Message {
    /// Makes sense before the coordinator has welcomed the sender.
    fileprivate var opensOrEndsSession: Bool {
        switch self {
        case .hello, .goodbye: true
        default: false
        }
    }
}
