import Collectives
import Coordination
import Recipes
import Terms
import Testing
import Wire

@Suite struct WorkerSessionTests {
    private let bench = WorkerBench()

    // MARK: Session

    @Test func `a connection begins with a hello and nothing else`() {
        bench.feed(.connected)
        bench.hear(.prepare(bench.job, Generation(1)))
        bench.hear(.release(bench.job))
        bench.hear(.shutdown)

        #expect(bench.sends.count == 1)
        guard case .hello = bench.sends[0] else {
            Issue.record("the first message is no hello")
            return
        }
        #expect(bench.commands == [])
    }

    @Test func `heartbeats come when there is nothing else to say, and only after a welcome`() {
        bench.feed(.connected)
        bench.wait(.seconds(3))
        #expect(bench.sends.count == 1)
        #expect(bench.deadline.map { $0 > bench.now } == true)
        bench.welcome(session: 5)
        bench.forget()

        bench.wait(.seconds(2))

        #expect(bench.sends == [.heartbeat(Heartbeat(session: 5, sentAt: UInt64(bench.now.nanoseconds)))])
        bench.wait(.seconds(1))
        #expect(bench.sends.count == 1)
    }

    @Test func `a late welcome to an older session is not believed`() {
        bench.load()
        bench.feed(.disconnected)
        bench.feed(.connected)
        bench.forget()

        bench.welcome(session: 1, hellosAgo: 1)
        bench.wait(.seconds(5))
        #expect(bench.sends == [])
        bench.welcome(session: 1, epoch: 2)

        #expect(bench.sends.count == 1)
        #expect(bench.session.hello.lastEpoch == 2)
    }

    @Test func `what a worker draws is said in every session, also when it was read before`() {
        let (first, second) = (PowerReading(milliwatts: 30_000), PowerReading(milliwatts: 40_000))
        bench.feed(.powerRead(first))
        bench.feed(.connected)
        bench.forget()
        bench.welcome(session: 1)
        #expect(bench.sends == [.power(first)])

        bench.feed(.powerRead(second))
        #expect(bench.sends == [.power(first), .power(second)])
        bench.feed(.disconnected)
        bench.feed(.connected)
        bench.forget()
        bench.welcome(session: 2, epoch: 2)
        #expect(bench.sends == [.power(second)])
    }

    @Test func `a hello without an answer is said again`() {
        bench.feed(.connected)

        bench.wait(.seconds(8))

        #expect(bench.sends.count == 2)
        bench.welcome(hellosAgo: 1)
        #expect(bench.session.hello.lastEpoch == 0)
        bench.welcome()
        #expect(bench.session.hello.lastEpoch == 1)
    }

    @Test func `a message that comes twice is heard once, behind a lost one the session begins anew`() {
        bench.feed(.connected)
        bench.welcome(number: 4)
        bench.feed(.received(.assign(Assignment(job: bench.job, description: bench.description)), number: 5))
        bench.forget()

        bench.feed(.received(.assign(Assignment(job: JobID(2), description: bench.description)), number: 5))
        #expect(bench.commands == [] && bench.session.job?.id == bench.job)
        bench.feed(.received(.release(bench.job), number: 7))

        #expect(bench.session.job?.id == bench.job)
        guard case .hello(let hello)? = bench.sends.last else {
            Issue.record("no hello")
            return
        }
        #expect(hello.greeting == 2)
    }

    @Test func `a session that the coordinator gave up is begun anew, once`() {
        bench.load()
        bench.forget()
        let unknown = Message.refuse(Refusal(code: .unknown, text: ""))

        bench.hear(unknown)
        bench.hear(unknown)

        #expect(bench.sends.count == 1)
        #expect(bench.commands == [])
    }

    @Test func `any other refusal ends the process`() {
        bench.feed(.connected)

        bench.hear(.refuse(Refusal(code: .version, text: "install the same release")))

        #expect(bench.commands == [.leave(reason: "install the same release")])
    }

    @Test func `a silent coordinator is deaf after eight heartbeats`() {
        bench.feed(.connected)
        bench.welcome()

        bench.sleep(.seconds(16))
        #expect(bench.session.deafAt.map { $0 >= bench.now } == true)
        bench.sleep(.milliseconds(1))
        #expect(bench.session.deafAt.map { $0 < bench.now } == true)
        bench.feed(.disconnected)
        #expect(bench.session.deafAt == nil)
    }

    // MARK: Steps

    @Test func `steps are computed, applied and reported in order`() {
        bench.load()
        bench.enter(1)
        bench.lease(1, 1...3)
        #expect(bench.computed == [1])

        bench.feed(.gathered(bench.job, Generation(1), step: 1, lossSum: 3))
        #expect(!bench.commands.contains { if case .apply = $0 { true } else { false } }, "its own shards are not done")
        bench.feed(.computed(bench.job, Generation(1), step: 1, microseconds: 10, shards: 2))
        #expect(bench.commands.last == .apply(bench.job, Generation(1), bench.recipe(1)))
        bench.feed(.applied(bench.job, Generation(1), step: 1, digest: 101, gradientNorm: 1))

        #expect(bench.reports == [1])
        #expect(bench.computed == [1, 2])
        bench.run(1, 2)
        bench.run(1, 3)
        #expect(bench.reports == [1, 2, 3])
        #expect(bench.session.job?.step == 3 && bench.session.job?.digest == 103)
    }

    @Test
    func
        `who has computed all of its own helps the others after a while, and again as long as there is something to do`()
    {
        bench.load()
        bench.enter(1)
        bench.lease(1, 1...2)
        var helps: Int { bench.commands.count { if case .help = $0 { true } else { false } } }
        bench.feed(.computed(bench.job, Generation(1), step: 1, microseconds: 400_000, shards: 2))
        bench.wait(.milliseconds(24))
        #expect(helps == 0)
        bench.wait(.milliseconds(1))
        #expect(helps == 1)
        bench.feed(.granted(bench.job, Generation(1), step: 1, ShardRange(1, 2), isLoan: false))
        #expect(
            bench.commands.last
                == .takeOver(bench.job, Generation(1), bench.recipe(1), ShardRange(1, 2), isLoan: false))
        bench.feed(.helped(bench.job, Generation(1), step: 1, shards: 1, repeated: 0))
        #expect(helps == 2)
        bench.feed(.granted(bench.job, Generation(1), step: 1, ShardRange(0, 0), isLoan: false))
        bench.wait(.milliseconds(49))
        #expect(helps == 2, "nobody had anything to give: the next time is later")
        bench.wait(.milliseconds(1))
        #expect(helps == 3)

        bench.feed(.gathered(bench.job, Generation(1), step: 1, lossSum: 3))
        #expect(bench.commands.last == .apply(bench.job, Generation(1), bench.recipe(1)))
        bench.feed(.applied(bench.job, Generation(1), step: 1, digest: 101, gradientNorm: 1))
        bench.wait(.seconds(10))
        #expect(helps == 3, "the own shards of the next step come first")
    }

    @Test func `a state that has changed in memory is told, and healed from others`() {
        bench.load()
        bench.enter(1)
        bench.lease(1, 1...3)
        bench.run(1, 1)
        bench.feed(.corrupted(bench.job, Generation(1), step: 2))

        let trouble = bench.sends.compactMap { if case .trouble(let trouble) = $0 { trouble } else { nil } }.last
        #expect(trouble?.kind == .memory && trouble?.step == 2)
        bench.hear(.prepare(bench.job, Generation(2)))
        bench.feed(.quiesced(bench.job, Generation(2), held: [], tag: 0))
        #expect(bench.standing?.hasState == false)
    }

    @Test func `what can't be used is told with its reason, and the state stays`() {
        bench.load()
        bench.feed(.hindered(bench.job, problem: "too early"))
        bench.enter(1)
        bench.lease(1, 1...1)
        bench.feed(.hindered(bench.job, problem: "model.safetensors changed"))

        let troubles = bench.sends.compactMap { if case .trouble(let trouble) = $0 { trouble } else { nil } }
        #expect(troubles.map(\.kind) == [.stalled] && troubles.first?.text == "model.safetensors changed")
        bench.hear(.prepare(bench.job, Generation(2)))
        bench.feed(.quiesced(bench.job, Generation(2), held: [], tag: 0))
        #expect(bench.standing?.hasState == true)
    }

    @Test func `a sum that is complete before its lease arrives is not lost`() {
        bench.load()
        bench.enter(1)
        bench.feed(.gathered(bench.job, Generation(1), step: 1, lossSum: 3))
        bench.lease(1, 1...1)

        bench.feed(.computed(bench.job, Generation(1), step: 1, microseconds: 1, shards: 0))

        #expect(bench.commands.last == .apply(bench.job, Generation(1), bench.recipe(1)))
    }

    @Test func `a lease with a gap, of another generation or of another job runs nothing`() {
        bench.load()
        bench.enter(1)

        bench.lease(1, 2...3)
        bench.lease(2, 1...2)
        bench.hear(.lease(Lease(job: JobID(9), generation: Generation(1), recipes: [bench.recipe(1).encoded()])))
        bench.hear(.lease(Lease(job: bench.job, generation: Generation(1), recipes: [[1, 2, 3]])))

        #expect(bench.computed == [])
    }

    @Test func `the first step of a generation computes what the roster says`() {
        bench.load()
        bench.hear(.prepare(bench.job, Generation(1)))
        bench.feed(.quiesced(bench.job, Generation(1), held: [], tag: 0))
        var roster = bench.roster(1)
        roster.members[0].firstShards = [ShardRange(3, 4)]
        bench.hear(.begin(roster))
        bench.feed(.healed(bench.job, Generation(1), digest: 7))

        bench.lease(1, 1...2)
        bench.run(1, 1)

        let ranges = bench.commands.compactMap { if case .compute(_, _, _, let ranges) = $0 { ranges } else { nil } }
        #expect(ranges == [[ShardRange(3, 4)], [ShardRange(0, 2)]])
    }

    @Test func `without a coordinator the lease is worked off, and the reports come with the next standstill`() {
        bench.load()
        bench.enter(1)
        bench.lease(1, 1...3)
        bench.feed(.disconnected)
        bench.forget()

        for step in 1...3 { bench.run(1, step) }
        #expect(bench.sends == [])
        bench.feed(.connected)
        bench.welcome(session: 2)
        bench.hear(.assign(Assignment(job: bench.job, description: bench.description)))
        bench.feed(.loaded(bench.job, parameters: 10_000, problem: ""))
        bench.hear(.prepare(bench.job, Generation(2)))
        bench.feed(.quiesced(bench.job, Generation(2), held: [ShardRange(0, 1)], tag: 9))

        #expect(bench.standing?.reports.map(\.position.step) == [1, 2, 3])
        #expect(bench.standing?.hasState == true && bench.standing?.step == 3 && bench.standing?.digest == 103)
        #expect(bench.standing?.held == [ShardRange(0, 1)] && bench.standing?.heldTag == 9)
    }

    // MARK: Generations

    @Test func `a new generation stops the old one before anything is said`() {
        bench.load()
        bench.enter(1)
        bench.lease(1, 1...2)
        bench.forget()

        bench.hear(.prepare(bench.job, Generation(2)))

        #expect(bench.commands == [.stop(bench.job, Generation(2))])
        #expect(bench.sends == [])
        bench.feed(.computed(bench.job, Generation(1), step: 1, microseconds: 1, shards: 2))
        bench.feed(.gathered(bench.job, Generation(1), step: 1, lossSum: 1))
        #expect(bench.commands.count == 1)
    }

    @Test func `an update that runs through two changes of generation counts`() {
        bench.load()
        bench.enter(1)
        bench.lease(1, 1...1)
        bench.feed(.computed(bench.job, Generation(1), step: 1, microseconds: 1, shards: 2))
        bench.feed(.gathered(bench.job, Generation(1), step: 1, lossSum: 1))

        bench.hear(.prepare(bench.job, Generation(2)))
        bench.hear(.prepare(bench.job, Generation(3)))
        bench.feed(.applied(bench.job, Generation(1), step: 1, digest: 101, gradientNorm: 1))
        bench.feed(.quiesced(bench.job, Generation(2), held: [], tag: 0))
        bench.feed(.quiesced(bench.job, Generation(3), held: [], tag: 0))

        #expect(
            bench.standing?.step == 1 && bench.standing?.digest == 101 && bench.standing?.generation == Generation(3))
        #expect(bench.standing?.reports.count == 1)
    }

    @Test func `where the state comes from follows from what is here and what the roster says`() {
        func source(_ roster: Roster) -> StateSource? {
            bench.hear(.prepare(bench.job, roster.generation))
            bench.feed(.quiesced(bench.job, roster.generation, held: [], tag: 0))
            bench.hear(.begin(roster))
            return bench.commands.reversed().lazy.compactMap {
                if case .heal(_, _, let source) = $0 { source } else { nil }
            }.first
        }
        bench.load()

        #expect(source(bench.roster(1)) == .initial)
        #expect(source(bench.roster(2, target: 5, digest: 9)) == .checkpoint)
        #expect(source(bench.roster(3, target: 5, digest: 9, sources: [1])) == .peers([1]))
        bench.feed(.healed(bench.job, Generation(3), digest: 9))
        #expect(source(bench.roster(4, target: 5, digest: 9, sources: [0, 1])) == .own)
        bench.feed(.healed(bench.job, Generation(4), digest: 9))
        #expect(source(bench.roster(5, target: 5, digest: 8, sources: [1])) == .peers([1]))
    }

    @Test func `a state that is being healed is no state`() {
        bench.load()
        bench.enter(1)
        bench.hear(.prepare(bench.job, Generation(2)))
        bench.feed(.quiesced(bench.job, Generation(2), held: [], tag: 0))
        bench.hear(.begin(bench.roster(2, target: 5, digest: 9, sources: [1])))

        bench.hear(.prepare(bench.job, Generation(3)))
        bench.feed(.quiesced(bench.job, Generation(3), held: [], tag: 0))

        #expect(bench.standing?.hasState == false)
    }

    @Test func `held sums are kept only behind the own state`() {
        bench.load()
        bench.enter(1)
        bench.hear(.prepare(bench.job, Generation(2)))
        bench.feed(.quiesced(bench.job, Generation(2), held: [ShardRange(0, 2)], tag: 77))
        bench.hear(.begin(bench.roster(2)))
        let keeps = bench.commands.compactMap { if case .enter(_, _, let tag) = $0 { tag } else { nil } }
        #expect(keeps.last == 77)
        bench.feed(.healed(bench.job, Generation(2), digest: 7))

        bench.hear(.prepare(bench.job, Generation(3)))
        bench.feed(.quiesced(bench.job, Generation(3), held: [ShardRange(0, 2)], tag: 77))
        bench.forget()
        bench.hear(.begin(bench.roster(3, target: 1, digest: 5, sources: [1])))

        guard case .enter(_, _, let tag)? = bench.commands.first else {
            Issue.record("the generation is not entered")
            return
        }
        #expect(tag == nil)
    }

    @Test func `a peer that is lost is told, also while healing, a stranger is not`() {
        bench.load()
        bench.hear(.prepare(bench.job, Generation(1)))
        bench.feed(.quiesced(bench.job, Generation(1), held: [], tag: 0))
        bench.hear(.begin(bench.roster(1, target: 5, digest: 9, sources: [1])))
        bench.forget()

        bench.feed(.peerLost(Stage.node(8)))
        bench.feed(.peerLost(.coordinator))
        #expect(bench.sends == [])
        bench.feed(.peerLost(Stage.node(2)))

        guard case .trouble(let trouble)? = bench.sends.first else {
            Issue.record("nothing was said")
            return
        }
        #expect(trouble.kind == .stalled && trouble.generation == Generation(1))
    }

    @Test func `the connection to the store matters while it is in use`() {
        bench.load()
        bench.hear(.prepare(bench.job, Generation(1)))
        bench.feed(.quiesced(bench.job, Generation(1), held: [], tag: 0))
        bench.hear(.begin(bench.roster(1, target: 5, digest: 9)))
        bench.forget()

        bench.feed(.peerLost(.coordinator))

        #expect(bench.sends.count == 1)
    }

    // MARK: Jobs

    @Test func `another job, or another text of the same one, replaces the old`() {
        bench.load()
        bench.enter(1)
        bench.forget()

        bench.hear(.assign(Assignment(job: JobID(2), description: [1])))
        #expect(bench.commands == [.unload(bench.job), .load(JobID(2), description: [1])])
        #expect(bench.session.job?.hasState == false)
        bench.forget()
        bench.hear(.assign(Assignment(job: JobID(2), description: [2])))

        #expect(bench.commands == [.unload(JobID(2)), .load(JobID(2), description: [2])])
    }

    @Test func `the same job of another coordinator can begin again at generation one`() {
        bench.load()
        bench.enter(5)
        bench.feed(.disconnected)
        bench.feed(.connected)
        bench.welcome(session: 1, epoch: 9)
        bench.hear(.assign(Assignment(job: bench.job, description: bench.description)))
        bench.feed(.loaded(bench.job, parameters: 10_000, problem: ""))
        bench.forget()

        bench.hear(.prepare(bench.job, Generation(1)))

        #expect(bench.commands == [.stop(bench.job, Generation(1))])
    }

    @Test func `evaluation and copying wait for their step and come before the next one`() {
        bench.load()
        bench.enter(1)
        bench.lease(1, 1...1)
        let evaluation = EvaluationOrder(job: bench.job, generation: Generation(1), step: 1, shards: ShardRange(0, 1))
        let save = SaveOrder(
            job: bench.job, generation: Generation(1), step: 1, attempt: 1, range: 0..<10, isReadBack: true)
        bench.hear(.evaluate(evaluation))
        #expect(bench.computed == [1])
        bench.run(1, 1)
        #expect(bench.commands.last == .evaluate(evaluation))

        bench.feed(.evaluated(evaluation, lossSums: [1], tokens: [1]))
        bench.hear(.save(save))
        bench.lease(1, 2...2)
        #expect(bench.commands.last == .copy(save))
        bench.feed(.copied(save))

        #expect(bench.computed == [1, 2])
        #expect(bench.sends.contains(.snapshotTaken(save)))
    }

    @Test func `a copy that is asked for while another is taken is taken next, and the step behind it comes`() {
        bench.load()
        bench.enter(1)
        func order(_ attempt: UInt32) -> SaveOrder {
            SaveOrder(
                job: bench.job, generation: Generation(1), step: 0, attempt: attempt, range: 0..<10, isReadBack: true)
        }
        bench.hear(.save(order(1)))
        #expect(bench.commands.last == .copy(order(1)))

        bench.hear(.save(order(2)))
        bench.lease(1, 1...1)
        #expect(bench.commands.last == .copy(order(1)) && bench.computed.isEmpty)
        bench.feed(.copied(order(1)))
        #expect(bench.commands.last == .copy(order(2)) && bench.computed.isEmpty)
        bench.feed(.copied(order(2)))

        #expect(bench.computed == [1])
        #expect(
            bench.sends.filter { if case .snapshotTaken = $0 { true } else { false } } == [.snapshotTaken(order(2))])
    }

    @Test func `who is asked for a copy while it evaluates leaves the evaluation`() {
        bench.load()
        bench.enter(1)
        let evaluation = EvaluationOrder(job: bench.job, generation: Generation(1), step: 0, shards: ShardRange(0, 1))
        let save = SaveOrder(
            job: bench.job, generation: Generation(1), step: 0, attempt: 1, range: 0..<10, isReadBack: true)
        bench.hear(.evaluate(evaluation))
        #expect(bench.commands.last == .evaluate(evaluation))

        bench.hear(.save(save))
        #expect(bench.commands.suffix(2) == [.abandonEvaluation(bench.job), .copy(save)])
        bench.feed(.evaluated(evaluation, lossSums: [1], tokens: [1]))
        bench.feed(.copied(save))

        #expect(!bench.sends.contains { if case .evaluated = $0 { true } else { false } })
        #expect(bench.sends.contains(.snapshotTaken(save)))
    }
}
