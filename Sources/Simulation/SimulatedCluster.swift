package import Budgeting
package import Coordination
package import Terms
import Wire

/// A whole cluster in one thread, from one 64-bit seed: virtual time, a queue of what will happen, processes that hold
/// the real cores, and a network, a disk and engines that are modelled.
///
/// Files: this one (time and dispatch) · `+Network` · `+Coordinator` and `+Store` (its shell) · `+Workers` and
/// `+Engine` (theirs) · `+Faults` (what goes wrong) · `+Jobs`, `+Budgets` and `+Branches` (what is asked of it)
/// · `+Checks`, `+LedgerChecks`, `+MessageChecks`, `+Inspection` (what must be true after every event).
package final class SimulatedCluster {
    package let seed: UInt64
    /// The bug that is planted, to see it found.
    package let bug: PlantedBug?
    /// The virtual instant; starts at one second.
    package internal(set) var now = Instant(nanoseconds: 1_000_000_000)
    /// Events that cores were fed.
    var events = 0
    /// Faults that struck.
    var faults = 0
    /// The first thing that was not as it must be; nothing happens any more then.
    package internal(set) var failure: (invariant: Invariant, text: String)?
    /// What a person would have seen, one line each; kept only when asked for.
    package internal(set) var story: [String] = []
    package var keepsStory = false
    /// Nodes that late members gave away or lent.
    package internal(set) var helps = 0
    /// Shards that were lent: computed by two members at once.
    package internal(set) var reissues = 0
    /// Results of such shards that came second, and were dropped.
    package internal(set) var repeatedResults = 0
    var loans: Set<Loan> = []
    /// Shards that engines computed, all together.
    package internal(set) var shardsComputed = 0
    /// The story holds every event of every core too.
    package var keepsEvents = false

    var dice: Dice
    var plan = FaultPlan()
    var trace = Trace()
    var queue = EventQueue<Happening>()
    var head = SimulatedCoordinator()
    var workers: [SimulatedWorker] = []
    var connections: [Connection] = []
    /// The undisturbed run of every job; the place is the job's `training.sim`.
    var references: [Reference] = []
    /// What the jobs of the one project may spend together; without limits there is no project.
    var projectLimits = Budget()
    /// What energy and money are taken to be at the next start, and were ever.
    var rates: RateCard
    var rateRange: RateRange
    /// Job descriptions that workers have read, with the place of the job and its parameters.
    var descriptionsRead: [(bytes: [UInt8], job: Int, parameters: Int)] = []
    var times = CoordinatorTimes()
    /// So many machines in a thousand have counters of what they draw.
    var meteredMachines = 0
    /// How long messages, updates, healing and mail from the engine take, times what is usual.
    var networkScale = 1
    var engineScale = 1
    var healingScale = 1
    var mailScale = 1
    /// How long a worker reads model and data.
    var loadMilliseconds = 5...50
    /// Each process's boot clock: nanoseconds that it is ahead, and how much too fast it goes, in millionths.
    var clocks: [(ahead: Int64, drift: Int64)]
    /// Nanoseconds by which the wall clock was set, forward and back.
    var wallClock: Int64 = 1 << 60
    /// The newest epoch that a worker was welcomed in.
    var newestEpoch: UInt64 = 0
    var inspection = Inspection()
    /// Faults are over: whoever is down comes back.
    var isCalm = false
    /// Lives of the data connections and their last arrivals, by `link(from:to:)`.
    var linkLives: [Int] = []
    var linkArrivals: [Instant] = []
    /// So many more chunks are sent before one is lost with its connection; nil = none will be.
    var chunksToLastBreak: Int?
    /// What clients asked so far; a key's low half is its place.
    var requests: [Request] = []
    /// Jobs that the run will submit later.
    var waitingSubmissions = 0
    private var eventsAtThisInstant = 0

    /// Most workers of one cluster.
    static let workerLimit = 24
    /// The coordinator among the ends of data connections.
    static let headEnd = workerLimit

    /// A cluster without workers or jobs, its coordinator up, and no fault planned.
    package init(seed: UInt64, bug: PlantedBug? = nil, rates: RateCard = RateCard()) {
        self.seed = seed
        self.bug = bug
        self.rates = rates
        rateRange = RateRange(rates)
        clocks = Array(repeating: (0, 0), count: Self.workerLimit + 1)
        dice = Dice(seed: seed)
        linkLives = Array(repeating: 0, count: (Self.workerLimit + 1) * (Self.workerLimit + 1))
        linkArrivals = Array(repeating: Instant(nanoseconds: 0), count: linkLives.count)
        startInspecting()
        startCoordinator()
    }

    /// The fingerprint of all that happened so far.
    package func traceDigest() -> Digest { trace.finish() }

    func schedule(_ happening: Happening, after span: Span) {
        queue.push(happening, at: now + span, tie: dice.bits())
    }

    func schedule(_ happening: Happening, at instant: Instant) {
        queue.push(happening, at: max(now, instant), tie: dice.bits())
    }

    func fail(_ invariant: Invariant, _ text: String) {
        guard failure == nil else { return }
        failure = (invariant, "\(text) (at \(Double(now.nanoseconds / 1_000_000) / 1000) s, event \(events))")
        tell("FAILURE: \(invariant.rawValue): \(text)")
    }

    // MARK: Clocks

    /// What the boot clock of a process says.
    func clock(_ process: Int) -> Instant {
        let own = clocks[process]
        let isWrong = bug == (process == Self.headEnd ? .coordinatorOnWallClock : .workerOnWallClock)
        let time = now.nanoseconds + own.ahead + now.nanoseconds / 1_000_000 * own.drift
        return Instant(nanoseconds: isWrong ? time + wallClock : time)
    }

    /// The virtual instant at which a process's clock says `instant`, or shortly before; never before now.
    func moment(_ instant: Instant, on process: Int) -> Instant {
        let ahead = (instant - clock(process)).nanoseconds
        guard ahead > 0 else { return now }
        return Instant(nanoseconds: now.nanoseconds + max(1, ahead - ahead / 1_000_000 * clocks[process].drift))
    }

    func tell(_ line: @autoclosure () -> String) {
        if keepsStory { story.append(line()) }
    }

    func tellEvent(_ who: @autoclosure () -> String, _ event: @autoclosure () -> Any) {
        if keepsEvents {
            story.append("\(Double(now.nanoseconds / 1000) / 1e6) \(who()): \(String("\(event())".prefix(300)))")
        }
    }

    // MARK: Time

    /// Lets the next thing happen; false when nothing will, or something is wrong.
    package func step() -> Bool {
        guard failure == nil, let (time, happening) = queue.pop() else { return false }
        if time == now {
            eventsAtThisInstant += 1
            if eventsAtThisInstant > 50_000 { fail(.l7, "time stands still: a deadline lies in the past") }
        } else {
            eventsAtThisInstant = 0
            now = time
        }
        dispatch(happening)
        return failure == nil
    }

    /// Lets time pass.
    package func run(for span: Span) {
        let end = now + span
        schedule(.operatorLooks, at: end)
        while now < end, step() {}
    }

    /// Lets things happen until `isReached`; false when it is not within `span` of virtual time.
    package func run(within span: Span, until isReached: (SimulatedCluster) -> Bool) -> Bool {
        let end = now + span
        while !isReached(self) {
            guard now <= end, step() else { return false }
        }
        return true
    }

    // MARK: Dispatch

    /// The process that something reaches: a worker's index, `headEnd`, or -1 = the world.
    private func process(of happening: Happening) -> Int {
        switch happening {
        case .arrivesAtCoordinator, .coordinatorHears, .coordinatorWakes, .storeFinishes: Self.headEnd
        case .arrivesAtWorker(let connection, _), .workerHears(let connection): connections[connection].worker
        case .workerConnects(let worker, _), .peerIsLost(let worker, _, _), .workerWakes(let worker, _),
            .taskEnds(let worker, _, _), .mail(let worker, _), .readsPower(let worker, _):
            worker
        case .chunk(_, _, let to, _): to
        case .coordinatorStarts, .workerStarts, .wakesUp, .strikes, .strikesOnce, .hits, .lastBreak, .submits,
            .submitsBranch, .asksAgain, .backupEnds, .inspects, .calm, .operatorLooks:
            -1
        }
    }

    private func dispatch(_ happening: Happening) {
        let process = process(of: happening)
        if process == Self.headEnd, head.stalledUntil > now {
            return head.parked.append(happening)
        }
        if process >= 0, process < Self.headEnd, workers[process].stalledUntil > now {
            return workers[process].parked.append(happening)
        }
        carryOut(happening)
    }

    private func carryOut(_ happening: Happening) {
        switch happening {
        case .arrivesAtCoordinator(let connection, let message): arriveAtCoordinator(connection, message)
        case .arrivesAtWorker(let connection, let message): arriveAtWorker(connection, message)
        case .coordinatorHears(let connection): coordinatorHears(connection)
        case .workerHears(let connection): workerHears(connection)
        case .workerConnects(let worker, let boot): connect(workers[worker], boot)
        case .chunk(let chunk, let from, let to, let link): arrive(chunk, from: from, to: to, link: link)
        case .peerIsLost(let worker, let boot, let peer):
            guard workers[worker].boot == boot else { return }
            feed(workers[worker], .peerLost(peer))
        case .coordinatorWakes(let life): wakeCoordinator(life)
        case .workerWakes(let worker, let boot): wake(workers[worker], boot)
        case .taskEnds(let worker, let boot, let ticket): taskEnds(workers[worker], boot, ticket)
        case .mail(let worker, let boot): readMail(workers[worker], boot)
        case .storeFinishes(let life, let job, let attempt, let isGood): storeFinishes(life, job, attempt, isGood)
        case .coordinatorStarts(let life):
            if head.life == life, head.core == nil { startCoordinator() }
        case .workerStarts(let worker): start(workers[worker])
        case .wakesUp(let process): wakeUp(process)
        case .strikes(let place): strike(place)
        case .strikesOnce(let place): strikeNow(place)
        case .hits(let fault, let worker, let other): hit(fault, workers[worker], other)
        case .lastBreak: chunksToLastBreak = dice.below(20)
        case .submits(let reference):
            waitingSubmissions -= 1
            submit(reference)
        case .submitsBranch:
            waitingSubmissions -= 1
            submitBranch()
        case .readsPower(let worker, let boot): readPower(workers[worker], boot)
        case .asksAgain(let request): ask(request)
        case .backupEnds: endOldBackup()
        case .inspects: inspect()
        case .calm: calm()
        case .operatorLooks: operatorLooks()
        }
    }

    /// A stalled process goes on: what reached it meanwhile is handled now, in the order it came.
    private func wakeUp(_ process: Int) {
        let isHead = process == Self.headEnd
        guard (isHead ? head.stalledUntil : workers[process].stalledUntil) <= now else { return }
        let parked = isHead ? head.parked : workers[process].parked
        if isHead { head.parked = [] } else { workers[process].parked = [] }
        if isHead { inspection.headSince = now }
        for happening in parked where failure == nil { carryOut(happening) }
    }
}
