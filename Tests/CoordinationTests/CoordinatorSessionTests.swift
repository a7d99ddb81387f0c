import Collectives
import Coordination
import Terms
import Testing
import Wire

@Suite struct CoordinatorSessionTests {
    @Test func `a worker that says hello is welcomed with the epoch`() {
        let stage = Stage(epoch: 5)

        let session = stage.hello(1)

        #expect(
            stage.messages(to: session) == [
                .welcome(
                    Welcome(
                        version: WireVersion.newest, session: 1, epoch: 5, heartbeatMilliseconds: 2000,
                        dataEndpoint: "head"))
            ])
        #expect(stage.core.sessions.map(\.node) == [Stage.node(1)])
    }

    @Test func `a worker of another protocol is refused and told both ranges`() {
        let stage = Stage()

        let session = stage.hello(1) {
            $0.oldestVersion = 7
            $0.newestVersion = 9
        }

        guard case .refuse(let refusal) = stage.messages(to: session).first else {
            Issue.record("no refusal")
            return
        }
        #expect(refusal.code == .version)
        #expect(refusal.text.contains("7…9") && refusal.text.contains("\(WireVersion.oldest)…\(WireVersion.newest)"))
        #expect(stage.core.sessions.isEmpty)
    }

    @Test func `a worker that knows a newer coordinator is refused`() {
        let stage = Stage(epoch: 3)

        let session = stage.hello(1) { $0.lastEpoch = 4 }

        #expect(
            stage.messages(to: session).contains {
                if case .refuse(let refusal) = $0 { refusal.code == .stale } else { false }
            })
        stage.hello(2) { $0.lastEpoch = 3 }
        #expect(stage.core.sessions.map(\.node) == [Stage.node(2)])
    }

    @Test func `a process that comes back takes the place of its own connection`() {
        let stage = Stage()
        let old = stage.hello(1)
        stage.forget()

        let new = stage.hello(1, session: 9)

        #expect(stage.core.sessions.map(\.id) == [new])
        #expect(stage.commands == [.close(old)])
    }

    @Test func `a second hello on one connection begins anew without closing it`() {
        let stage = Stage()
        let job = stage.submit()
        let session = stage.join(1)
        stage.start(job, [session])
        stage.forget()

        stage.hello(1)

        #expect(stage.commands == [])
        #expect(stage.core.sessions.map(\.id) == [session])
        #expect(stage.messages(to: session).contains { if case .assign = $0 { true } else { false } })
    }

    @Test func `whoever speaks without a session is told to say hello`() {
        let stage = Stage()
        let stranger = SessionID(4)

        stage.say(.heartbeat(Heartbeat(session: 4, sentAt: 1)), stranger)
        stage.say(.goodbye, stranger)

        #expect(
            stage.messages(to: stranger) == [
                .refuse(Refusal(code: .unknown, text: "this session has ended: say hello again"))
            ])
    }

    @Test func `a worker silent for fifteen seconds is out, one that speaks is not`() {
        let stage = Stage()
        let silent = stage.hello(1)
        let lively = stage.hello(2)
        for _ in 0..<7 {
            stage.wait(.seconds(2))
            stage.say(.heartbeat(Heartbeat(session: 2, sentAt: 1)), lively)
        }
        #expect(stage.core.sessions.count == 2)

        stage.wait(.seconds(1))

        #expect(stage.core.sessions.map(\.id) == [lively])
        #expect(stage.commands == [.close(silent)])
    }

    @Test func `a worker silent for six seconds is named once, and again only after it has spoken`() {
        let stage = Stage()
        let silent = stage.hello(1)
        var named: Int { stage.notices.count { if case .suspected = $0 { true } else { false } } }
        stage.wait(.milliseconds(5900))
        #expect(named == 0)
        stage.wait(.milliseconds(200))
        stage.wait(.seconds(2))
        #expect(named == 1 && stage.core.sessions[0].isSuspected)

        stage.say(.heartbeat(Heartbeat(session: 1, sentAt: 1)), silent)
        #expect(!stage.core.sessions[0].isSuspected)
        stage.wait(.seconds(5))
        #expect(named == 1)
        stage.wait(.seconds(2))
        #expect(named == 2)
    }

    @Test func `a coordinator that slept itself blames nobody for the silence`() {
        let stage = Stage()
        stage.hello(1)
        stage.hello(2)

        stage.sleep(.seconds(300))
        stage.feed(.deadline)

        #expect(stage.core.sessions.count == 2)
        for _ in 0..<16 { stage.wait(.seconds(1)) }
        #expect(stage.core.sessions.isEmpty)
    }

    @Test func `a heartbeat is answered with itself`() {
        let stage = Stage()
        let session = stage.hello(1)
        stage.forget()

        stage.say(.heartbeat(Heartbeat(session: 1, sentAt: 77)), session)

        #expect(stage.messages(to: session) == [.heartbeatReply(Heartbeat(session: 1, sentAt: 77))])
    }

    @Test func `the next deadline lies ahead of now, whatever happens`() {
        let stage = Stage()
        let job = stage.submit(Stage.description { $0.saveMilliseconds = 10 })
        let session = stage.join(1)
        stage.start(job, [session])
        for step in 1...6 {
            stage.wait(.milliseconds(20))
            #expect(stage.deadline.map { $0 > stage.now } ?? true)
            stage.run(job, to: step, [session])
            #expect(stage.deadline.map { $0 > stage.now } ?? true)
        }
    }

    @Test func `numbers beyond all bounds in messages change nothing`() {
        let stage = Stage()
        let job = stage.submit(Stage.description { $0.evaluationSequences = 4 })
        let session = stage.hello(1) { $0.threads = .max }
        let generation = Generation(1)
        stage.say(.assigned(AssignmentResult(job: job, parameters: .max, problem: "")), session)
        stage.wait(.seconds(61))
        stage.hello(1)
        stage.load(session)
        let huge = Position(job: job, generation: generation, step: .max, digest: .max)
        let report = StepReport(
            position: huge, recipeTag: .max, lossSum: .nan, gradientNorm: .infinity, computeMicroseconds: .max,
            shardsComputed: .max)

        for message: Message in [
            .prepared(
                Standing(
                    job: job, generation: generation, hasState: true, step: .max, digest: .max, reports: [report],
                    held: [],
                    heldTag: .max)),
            .ready(huge), .report(report),
            .evaluated(
                EvaluationResult(
                    order: EvaluationOrder(job: job, generation: generation, step: .max, shards: .init(0, 0)),
                    lossSums: [], tokens: [])),
            .snapshotTaken(
                SaveOrder(
                    job: job, generation: generation, step: .max, attempt: .max, range: 0..<(.max), isReadBack: true)),
            .trouble(Trouble(job: job, generation: generation, step: .max, kind: .stalled, text: "")),
        ] {
            stage.say(message, session)
            stage.wait(.seconds(1))
        }

        #expect(stage.committed(job) == 0)
        #expect(stage.state(job)?.isAtRest == false)
    }
}
