import Collectives
import Coordination
import Recipes
import Terms
import Wire

/// A worker session whose coordinator, engine and clock a test plays by hand.
final class WorkerBench {
    private(set) var session = WorkerSession(
        hello: Hello(
            role: .worker, node: Stage.node(1), boot: 1, name: "w", threads: 2, dataEndpoint: "w:data", profile: 1,
            lastEpoch: 0))
    private(set) var now = Instant(nanoseconds: 0)
    private(set) var sends: [Message] = []
    private(set) var commands: [WorkerCommand] = []
    private(set) var deadline: Instant?
    let job = JobID(1)
    let description = Stage.description(shards: 4).encoded()

    func feed(_ event: WorkerEvent) {
        let output = session.handle(event, at: now)
        sends += output.sends
        commands += output.commands
        deadline = output.deadline
    }

    func hear(_ message: Message) { feed(.received(message)) }
    func wait(_ span: Span) {
        now = now + span
        feed(.deadline)
    }
    func sleep(_ span: Span) { now = now + span }
    func forget() {
        sends = []
        commands = []
    }

    /// Answers the newest hello, or one before it.
    func welcome(session: UInt64 = 1, epoch: UInt64 = 1, hellosAgo: UInt64 = 0, number: UInt32 = 0) {
        var welcome = Welcome(
            version: 1, session: session, epoch: epoch, heartbeatMilliseconds: 2000, dataEndpoint: "head")
        welcome.greeting = self.session.hello.greeting - hellosAgo
        feed(.received(.welcome(welcome), number: number))
    }

    /// Connected, welcomed, with the job in memory.
    func load() {
        feed(.connected)
        welcome()
        hear(.assign(Assignment(job: job, description: description)))
        feed(.loaded(job, parameters: 10_000, problem: ""))
    }

    func recipe(_ step: Int) -> Recipe {
        let job = Job(description: Stage.description(shards: 4), index: Stage.index)
        return job.plan.recipe(of: step, schedule: job.learningRate)
    }

    func roster(
        _ generation: UInt32, target: UInt64 = 0, digest: UInt64 = 0, sources: [UInt32] = [], alone: Bool = false
    ) -> Roster {
        let members = (alone ? [1] : [1, 2]).map { number in
            Member(
                node: Stage.node(number), dataEndpoint: "",
                shards: alone ? ShardRange(0, 4) : ShardRange(2 * number - 2, 2 * number),
                firstShards: [alone ? ShardRange(0, 4) : ShardRange(2 * number - 2, 2 * number)], slice: 0..<10_000)
        }
        return Roster(
            job: job, generation: Generation(generation), members: members, target: target, digest: digest,
            sources: sources)
    }

    /// In generation `generation`, at its target, ready for leases.
    func enter(_ generation: UInt32, target: UInt64 = 0, digest: UInt64 = 7) {
        hear(.prepare(job, Generation(generation)))
        feed(.quiesced(job, Generation(generation), held: [], tag: 0))
        hear(.begin(roster(generation, target: target, digest: target == 0 ? 0 : digest)))
        feed(.healed(job, Generation(generation), digest: digest))
    }

    /// Members that are late, or ask.
    let others = [Stage.node(2), Stage.node(3)]

    /// The first generation, of three members, with two steps leased.
    func enterCrowd() {
        load()
        hear(.prepare(job, Generation(1)))
        feed(.quiesced(job, Generation(1), held: [], tag: 0))
        let shards = [ShardRange(0, 2), ShardRange(2, 3), ShardRange(3, 4)]
        let members = zip(1..., shards).map { number, range in
            Member(
                node: Stage.node(number), dataEndpoint: "", shards: range, firstShards: [range], slice: 0..<10_000)
        }
        hear(.begin(Roster(job: job, generation: Generation(1), members: members, target: 0, digest: 0, sources: [])))
        feed(.healed(job, Generation(1), digest: 7))
        lease(1, 1...2)
    }

    /// Another member wants shards of a step; times in milliseconds.
    func plea(from node: NodeID, takes: Int64, running: Int64?, waiting: Int = 0, step: Int = 2) -> WorkerSession.Plea {
        WorkerSession.Plea(
            job: job, generation: Generation(1), step: step, tag: recipe(step).tag, from: node,
            shardTime: .milliseconds(takes), waiting: waiting, running: running.map(Span.milliseconds))
    }

    func lease(_ generation: UInt32, _ steps: ClosedRange<Int>) {
        hear(.lease(Lease(job: job, generation: Generation(generation), recipes: steps.map { recipe($0).encoded() })))
    }

    /// The engine computes, gathers and applies one step.
    func run(_ generation: UInt32, _ step: Int) {
        let generation = Generation(generation)
        feed(.computed(job, generation, step: step, microseconds: 10, shards: 2))
        feed(.gathered(job, generation, step: step, lossSum: 3))
        feed(.applied(job, generation, step: step, digest: UInt64(100 + step), gradientNorm: 1))
    }

    var standing: Standing? {
        sends.reversed().lazy.compactMap { if case .prepared(let value) = $0 { value } else { nil } }.first
    }
    var reports: [UInt64] {
        sends.compactMap { if case .report(let report) = $0 { report.position.step } else { nil } }
    }
    var computed: [Int] {
        commands.compactMap { if case .compute(_, _, let recipe, _) = $0 { recipe.step } else { nil } }
    }
}
