import Budgeting
import Collectives
import Coordination
import Recipes
import Terms
import Wire

/// A coordinator whose workers, disk and clock a test plays by hand.
final class Stage {
    private(set) var core: Coordinator
    private(set) var now = Instant(nanoseconds: 0)
    private(set) var journal: [JournalEntry] = []
    private(set) var sent: [(to: SessionID, message: Message)] = []
    private(set) var commands: [CoordinatorCommand] = []
    private(set) var notices: [Notice] = []
    private(set) var deadline: Instant?

    private let rates: RateCard

    init(epoch: UInt64 = 1, rates: RateCard = RateCard()) {
        self.rates = rates
        core = Coordinator(epoch: epoch, dataEndpoint: "head", rates: rates)
    }

    /// A job of `steps` steps of one sequence a shard.
    static func description(
        steps: Int = 20, shards: Int = 4, workers: ClosedRange<Int> = 1...4,
        change: (inout JobDescription) -> Void = { _ in }
    ) -> JobDescription {
        var description = JobDescription(
            name: "job", parameters: 10_000, sequences: 16, globalBatch: shards, microBatch: 1, virtualShards: shards,
            shuffleSeed: 7, totalSequences: steps * shards, beta1: 0.9, beta2: 0.999, schedule: .constant,
            peakRate: 1e-3,
            warmupRatio: 0)
        description.workersMin = workers.lowerBound
        description.workersMax = workers.upperBound
        change(&description)
        return description
    }

    static let index = SequenceIndex(tokens: Array(repeating: 10, count: 16), trained: Array(repeating: 9, count: 16))

    // MARK: Events

    func feed(_ event: CoordinatorEvent) { take(core.handle(event, at: now)) }

    func take(_ output: CoordinatorOutput) {
        journal += output.journal
        sent += output.sends
        commands += output.commands
        notices += output.notices
        deadline = output.deadline
    }

    /// Changes the core outside an event.
    func adjust(_ change: (inout Coordinator) -> CoordinatorOutput?) { change(&core).map(take) }

    func wait(_ span: Span) {
        now = now + span
        feed(.deadline)
    }

    /// Time passes in which workers only show that they live.
    func pass(_ span: Span, _ sessions: [SessionID]) {
        wait(span)
        for session in sessions { say(.heartbeat(Heartbeat(session: 1, sentAt: 0)), session) }
    }

    /// Time passes while nobody looks: the process sleeps.
    func sleep(_ span: Span) { now = now + span }

    func submit(_ description: JobDescription = Stage.description()) -> JobID {
        let id = core.nextJob
        feed(.submitted(Job(description: description, index: Self.index)))
        return id
    }

    static func node(_ number: Int) -> NodeID { NodeID(high: UInt64(number) << 32, low: UInt64(number)) }

    @discardableResult
    func hello(_ number: Int, session: Int? = nil, change: (inout Hello) -> Void = { _ in }) -> SessionID {
        var hello = Hello(
            role: .worker, node: Self.node(number), boot: 1, name: "w\(number)", threads: 4,
            dataEndpoint: "w\(number):data",
            profile: 1, lastEpoch: 0)
        change(&hello)
        let session = SessionID(UInt64(session ?? number))
        feed(.received(.hello(hello), from: session))
        return session
    }

    func say(_ message: Message, _ session: SessionID) { feed(.received(message, from: session)) }

    // MARK: A worker's lines

    /// Says hello and, when given a job, that it is loaded.
    @discardableResult
    func join(_ number: Int, session: Int? = nil) -> SessionID {
        let session = hello(number, session: session)
        load(session)
        return session
    }

    func load(_ session: SessionID) {
        guard let job = core.sessions.first(where: { $0.id == session })?.job else { return }
        let parameters = UInt64(core.job(job)?.description.parameters ?? 0)
        say(.assigned(AssignmentResult(job: job, parameters: parameters, problem: "")), session)
    }

    /// Answers the newest `prepare` of every session with an empty standing, or the one given.
    func standStill(
        _ job: JobID, _ sessions: [SessionID], _ standing: (inout Standing, SessionID) -> Void = { _, _ in }
    ) {
        for session in sessions {
            var answer = Standing(
                job: job, generation: generation(job), hasState: false, step: 0, digest: 0, reports: [], held: [],
                heldTag: 0)
            standing(&answer, session)
            say(.prepared(answer), session)
        }
    }

    /// Every member says that it stands at the target.
    func getReady(_ job: JobID, _ sessions: [SessionID]) {
        for session in sessions {
            guard let roster = roster(job) else { return }
            say(
                .ready(Position(job: job, generation: roster.generation, step: roster.target, digest: roster.digest)),
                session)
        }
    }

    /// A stage with one job that runs, and its workers of four threads.
    static func running(
        _ description: JobDescription = Stage.description(), workers: Int = 2
    ) -> (stage: Stage, job: JobID, sessions: [SessionID]) {
        let stage = Stage()
        let job = stage.submit(description)
        let sessions = (1...workers).map { stage.hello($0) }
        sessions.forEach(stage.load)
        stage.start(job, sessions)
        return (stage, job, sessions)
    }

    /// Brings workers into a generation of a job that was set going again.
    func comeBack(_ job: JobID, _ sessions: [SessionID]) {
        sessions.forEach(load)
        start(job, sessions)
    }

    /// Brings fresh workers into a generation that runs.
    func start(_ job: JobID, _ sessions: [SessionID]) {
        standStill(job, sessions)
        getReady(job, sessions)
    }

    /// The report of a step with the digest that this stage gives it.
    func report(_ job: JobID, _ step: Int, digest: UInt64? = nil, generation: Generation? = nil) -> StepReport {
        StepReport(
            position: Position(
                job: job, generation: generation ?? self.generation(job), step: UInt64(step),
                digest: digest ?? Self.digest(step)),
            recipeTag: recipes(job)[step]?.tag ?? 0, lossSum: Double(step), gradientNorm: 1, computeMicroseconds: 1000,
            shardsComputed: 1)
    }

    static func digest(_ step: Int) -> UInt64 { UInt64(1000 + step) }

    /// Members report the steps up to `step`.
    func run(_ job: JobID, to step: Int, _ sessions: [SessionID]) {
        while let committed = core.job(job)?.committed, committed < step {
            for session in sessions { say(.report(report(job, committed + 1)), session) }
            guard core.job(job)?.committed == committed + 1 else { return }
        }
    }

    // MARK: Looking

    func generation(_ job: JobID) -> Generation { core.job(job)?.generation ?? Generation(0) }
    func state(_ job: JobID) -> JobState? { core.job(job)?.state }
    func committed(_ job: JobID) -> Int { core.job(job)?.committed ?? -1 }
    func messages(to session: SessionID) -> [Message] { sent.filter { $0.to == session }.map(\.message) }
    func forget() {
        sent = []
        commands = []
        notices = []
    }

    /// The newest roster of a job.
    func roster(_ job: JobID) -> Roster? {
        sent.reversed().lazy.compactMap {
            if case .begin(let roster) = $0.message, roster.job == job { roster } else { nil }
        }.first
    }

    /// Every journalled recipe by step.
    func recipes(_ job: JobID) -> [Int: Recipe] {
        var recipes: [Int: Recipe] = [:]
        for case .recipe(let id, let step, let bytes) in journal where id == job {
            recipes[step] = try? Recipe(decoding: bytes)
        }
        return recipes
    }

    /// The steps of every lease sent to a session.
    func leased(to session: SessionID) -> [Int] {
        messages(to: session).flatMap { message -> [Int] in
            guard case .lease(let lease) = message else { return [] }
            return lease.recipes.compactMap { try? Recipe(decoding: $0).step }
        }
    }

    func saves() -> [(step: Int, attempt: UInt32, kind: SaveReason)] {
        commands.compactMap {
            if case .collect(_, let step, let attempt, let kind, _, _) = $0 { (step, attempt, kind) } else { nil }
        }
    }

    /// Members have copied, and the store publishes, the newest save.
    func publish(_ job: JobID, _ sessions: [SessionID]) {
        for session in sessions {
            for case .save(let order) in messages(to: session) { say(.snapshotTaken(order), session) }
        }
        if let save = saves().last { feed(.published(job, step: save.step, attempt: save.attempt)) }
    }

    /// Lets every leased step take `span`, saves take half a second, until the job rests.
    func runOut(_ job: JobID, _ sessions: [SessionID], step span: Span) {
        var seen = 0
        for _ in 0..<2000 where state(job) == .running {
            let done = committed(job)
            if saves().count > seen {
                seen = saves().count
                wait(.milliseconds(500))
                publish(job, sessions)
            } else if leased(to: sessions[0]).contains(done + 1) {
                pass(span, sessions)
                for session in sessions { say(.report(report(job, done + 1)), session) }
            }
        }
    }

    /// A coordinator that replayed this one's journal.
    func restarted() throws -> Stage {
        let next = Stage(epoch: core.epoch + 1, rates: rates)
        next.now = now
        next.journal = journal
        for entry in journal { try next.core.restore(entry, at: now) }
        for job in next.core.jobs { next.core.attach(Self.index, to: job.id) }
        return next
    }
}
