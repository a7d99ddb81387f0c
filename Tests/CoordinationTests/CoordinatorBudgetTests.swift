import Budgeting
import Coordination
import Recipes
import Terms
import Testing
import Wire

/// Two workers of four threads: eight core-seconds a second.
@Suite struct CoordinatorBudgetTests {
    /// A step a second.
    private func pass(_ stage: Stage, _ job: JobID, to step: Int, _ sessions: [SessionID]) {
        for next in 1...step {
            stage.wait(.seconds(1))
            for session in sessions { stage.say(.heartbeat(Heartbeat(session: 1, sentAt: 0)), session) }
            stage.run(job, to: next, sessions)
        }
    }

    private func rates(_ stage: Stage, _ job: JobID) -> [Double] {
        stage.recipes(job).sorted { $0.key < $1.key }.map(\.value.learningRate)
    }

    @Test func `a step limit ends in trunk, anneal and a final checkpoint`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 40) { $0.stepLimit = 20 })

        stage.runOut(job, sessions, step: .seconds(1))

        #expect(stage.state(job) == .budgetExhausted && stage.committed(job) == 20)
        #expect(stage.saves().map(\.kind) == [.trunk, .final] && stage.saves().map(\.step) == [17, 20])
        #expect(rates(stage, job).suffix(3).map { $0 > 0 } == [true, true, true])
        #expect(rates(stage, job)[18] < rates(stage, job)[17])
        let ledger = try #require(stage.core.job(job)?.ledger)
        #expect(ledger.spent.steps == 20 && ledger.reserved.steps == 0 && ledger.balance(.available).steps == 0)
        #expect(ledger.conservationFault == nil)
    }

    @Test
    func `the last steps that a budget bought are computed again when their checkpoint is lost, and cost nothing`()
        throws
    {
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 40) { $0.stepLimit = 20 })
        stage.runOut(job, sessions, step: .seconds(1))
        #expect(stage.core.job(job)?.mayRecompute == true)

        stage.adjust { $0.rewind(job, to: 17) }

        #expect(stage.state(job) == .queued && stage.committed(job) == 17)
        let ledger = try #require(stage.core.job(job)?.ledger)
        #expect(ledger.position == 17 && ledger.spent.steps == 17 && ledger.conservationFault == nil)
        #expect(stage.core.job(job)?.endStep == 20)
        #expect(try stage.restarted().core.snapshot() == stage.core.snapshot())
    }

    @Test func `the anneal waits until its trunk is published`() {
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 40) { $0.stepLimit = 3 })
        stage.run(job, to: 2, sessions)
        for session in sessions {
            for case .save(let order) in stage.messages(to: session) { stage.say(.snapshotTaken(order), session) }
        }
        #expect(stage.leased(to: sessions[0]) == [1, 2])

        stage.publish(job, sessions)

        #expect(stage.leased(to: sessions[0]) == [1, 2, 3])
        #expect(stage.core.job(job)?.trunk == 2)
    }

    @Test func `a token limit is never passed`() throws {
        // 40 tokens a step: two fit, three do not.
        let (stage, job, sessions) = Stage.running(Stage.description { $0.tokenLimit = 119 })

        stage.runOut(job, sessions, step: .seconds(1))

        #expect(stage.state(job) == .budgetExhausted && stage.core.job(job)?.tokens == 80)
        #expect(stage.core.job(job)?.ledger?.spent.tokens == 80)
    }

    @Test func `a job that can do nothing is held with the numbers`() {
        let stage = Stage()
        let job = stage.submit(Stage.description { $0.tokenLimit = 39 })
        let session = stage.join(1)

        #expect(stage.state(job) == .budgetExhausted)
        #expect(stage.core.job(job)?.reason == "held: budget.tokens allows 39, 0 are spent, the next step takes 40")
        #expect(!stage.messages(to: session).contains { if case .prepare = $0 { true } else { false } })
    }

    @Test(arguments: [LearningRateSchedule.Kind.wsd, .constant, .cosine])
    func `topped up, a job goes on from its trunk with the rates of a job that was never limited`(
        kind: LearningRateSchedule.Kind
    ) throws {
        let free = Stage.running(Stage.description(steps: 40) { $0.schedule = kind })
        free.stage.runOut(free.job, free.sessions, step: .seconds(1))
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 40) {
                $0.schedule = kind
                $0.stepLimit = 20
            })
        stage.runOut(job, sessions, step: .seconds(1))
        var more = Budget()
        more[.steps] = 60

        stage.feed(.limited(job, more))
        stage.feed(.ordered(.resume, job))
        #expect(stage.notices.contains(.rewound(job, to: 17)))
        stage.comeBack(job, sessions)
        #expect(stage.roster(job)?.target == 17)
        stage.runOut(job, sessions, step: .seconds(1))

        #expect(stage.state(job) == .done && stage.committed(job) == 40)
        #expect(rates(stage, job) == rates(free.stage, free.job))
        let ledger = try #require(stage.core.job(job)?.ledger)
        #expect(ledger.spent.steps == 40 && ledger.balance(.lost).wallClock >= 3000)
    }

    @Test func `topped up, a job may go on from its annealed state instead`() {
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 40) { $0.stepLimit = 20 })
        stage.runOut(job, sessions, step: .seconds(1))
        var more = Budget()
        more[.steps] = 30

        stage.feed(.limited(job, more))
        stage.feed(.ordered(.resumeAnnealed, job))
        stage.comeBack(job, sessions)
        #expect(stage.roster(job)?.target == 20)
        stage.runOut(job, sessions, step: .seconds(1))

        #expect(stage.state(job) == .budgetExhausted && stage.committed(job) == 30)
    }

    @Test func `without more budget a job that ran out stays where it is`() {
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 40) { $0.stepLimit = 20 })
        stage.runOut(job, sessions, step: .seconds(1))
        stage.forget()

        stage.feed(.ordered(.resume, job))

        #expect(stage.state(job) == .budgetExhausted && stage.committed(job) == 20)
        #expect(
            stage.notices.contains {
                if case .state(_, .budgetExhausted, let why) = $0 { why.hasPrefix("held") } else { false }
            })
    }

    @Test(arguments: [BudgetUnit.coreTime, .wallClock])
    func `a measured limit is kept, with an anneal and little left over`(unit: BudgetUnit) throws {
        let limit: Int64 = unit == .coreTime ? 800_000 : 100_000
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 400) {
                $0.budget[unit] = limit
                $0.schedule = .wsd
            })

        stage.runOut(job, sessions, step: .seconds(1))

        let run = try #require(stage.core.job(job))
        let spent = try #require(run.ledger?.spent[unit])
        #expect(run.state == .budgetExhausted)
        #expect(spent <= limit && spent > limit * 9 / 10, "\(spent) of \(limit)")
        #expect(stage.saves().map(\.kind) == [.trunk, .final])
        #expect(run.plan.map(\.cause).prefix(3) == [.start, .start, .warning])
        #expect(run.plan.allSatisfy { $0.isWellFormed })
        let anneal = run.plan.last.map { $0.end - $0.trunk } ?? 0
        #expect(anneal >= 10)
        #expect(stage.notices.contains { if case .warned(_, unit, _, _) = $0 { true } else { false } })
    }

    @Test func `steps that turn dearer shorten the ending, and the limit holds`() throws {
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 400) {
                $0.wallMillisecondsLimit = 100_000
                $0.schedule = .wsd
            })
        for _ in 0..<400 where stage.state(job) == .running && stage.committed(job) < 60 {
            let next = stage.committed(job) + 1
            stage.wait(.seconds(1))
            for session in sessions { stage.say(.report(stage.report(job, next)), session) }
        }
        stage.runOut(job, sessions, step: .seconds(3))

        let run = try #require(stage.core.job(job))
        #expect(run.state == .budgetExhausted)
        #expect(try #require(run.ledger?.spent.wallClock) <= 100_000)
        #expect(run.plan.contains { $0.cause == .limit })
    }

    /// A checkpoint of so many parameters is taken for 15 s before the first, and takes half a second.
    @Test func `a short limit is planned to a measured checkpoint and not to a guessed one`() throws {
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 400) {
                $0.parameters = 124_000_000
                $0.schedule = .wsd
                $0.wallMillisecondsLimit = 60_000
            })
        stage.runOut(job, sessions, step: .seconds(3))

        let run = try #require(stage.core.job(job))
        #expect(stage.saves().map(\.kind) == [.periodic, .trunk, .final])
        #expect(run.state == .budgetExhausted)
        let spent = try #require(run.ledger?.spent.wallClock)
        #expect((50_000...60_000).contains(spent), "\(spent) ms")
    }

    @Test func `no checkpoint is made to measure one where the limit has no room for another step after it`() throws {
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 400) {
                $0.parameters = 10_000_000
                $0.wallMillisecondsLimit = 35_000
            })
        stage.runOut(job, sessions, step: .seconds(20))

        let run = try #require(stage.core.job(job))
        #expect(run.state == .budgetExhausted && run.committed == 1)
        #expect(!stage.saves().contains { $0.kind == .periodic })
        #expect(try #require(run.ledger?.spent.wallClock) <= 35_000)
    }

    /// However short: a trunk (saves here take ten times what is expected of them before the first) of full-rate steps,
    /// and from there the rates of the run that was never limited.
    @Test(arguments: [400, 1700])
    func `whatever a measured limit leaves, the job ends with a trunk to go on from`(milliseconds: Int64) throws {
        let free = Stage.running(Stage.description(steps: 40) { $0.schedule = .wsd })
        free.stage.runOut(free.job, free.sessions, step: .milliseconds(milliseconds))
        for limit in stride(from: 1000, through: 14_000, by: 1000) {
            let (stage, job, sessions) = Stage.running(
                Stage.description(steps: 40) {
                    $0.schedule = .wsd
                    $0.wallMillisecondsLimit = limit
                })
            stage.runOut(job, sessions, step: .milliseconds(milliseconds))
            let run = try #require(stage.core.job(job))
            #expect(run.state == .budgetExhausted, "\(limit): \(run.state)")
            #expect(try #require(run.ledger?.spent.wallClock) <= limit + 1000, "\(limit)")
            // Not even the first step.
            if limit < milliseconds { #expect(run.committed == 0 && run.reason.hasPrefix("held: "), "\(run.reason)") }
            if run.committed == 0 { continue }
            let trunk = try #require(stage.saves().last { $0.kind == .trunk }?.step, "\(limit): \(run.plan)")
            #expect(trunk >= 1 && trunk <= run.committed && run.trunk == trunk)
            #expect(stage.saves().contains { $0.kind == .final && $0.step == run.committed })
            guard limit % 6000 == 0 else { continue }

            var more = Budget()
            more[.wallClock] = 1_000_000_000
            stage.feed(.limited(job, more))
            stage.feed(.ordered(.resume, job))
            stage.comeBack(job, sessions)
            #expect(stage.roster(job)?.target == UInt64(trunk))
            stage.runOut(job, sessions, step: .milliseconds(milliseconds))
            #expect(stage.state(job) == .done && rates(stage, job) == rates(free.stage, free.job), "\(limit)")
        }
    }

    @Test func `a limit lowered during the anneal shortens it, and keeps the trunk and the falling rate`() throws {
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 400) {
                $0.schedule = .wsd
                $0.stepLimit = 100
            })
        for _ in 0..<400 where stage.committed(job) < 90 {
            let next = stage.committed(job) + 1
            stage.wait(.milliseconds(10))
            if stage.saves().last?.step == next - 1 { stage.publish(job, sessions) }
            for session in sessions { stage.say(.report(stage.report(job, next)), session) }
        }
        var less = Budget()
        less[.steps] = 96
        stage.feed(.limited(job, less))
        stage.runOut(job, sessions, step: .milliseconds(10))

        let run = try #require(stage.core.job(job))
        #expect(run.state == .budgetExhausted && run.committed == 96 && run.trunk == 85 && run.branchPoint == 85)
        let falling = Array(rates(stage, job)[85...])
        #expect(zip(falling, falling.dropFirst()).allSatisfy { $0 > $1 }, "\(falling)")
    }

    @Test func `a top-up that is used up before its first step ends at the trunk, and the next one goes on`() throws {
        let free = Stage.running(Stage.description(steps: 40) { $0.schedule = .wsd })
        free.stage.runOut(free.job, free.sessions, step: .seconds(1))
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 40) {
                $0.schedule = .wsd
                $0.wallMillisecondsLimit = 20_000
            })
        stage.runOut(job, sessions, step: .seconds(1))
        let trunk = try #require(stage.core.job(job)?.trunk)

        var more = Budget()
        more[.wallClock] = 40_000
        stage.feed(.limited(job, more))
        stage.feed(.ordered(.resume, job))
        sessions.forEach(stage.load)
        stage.wait(.milliseconds(400))
        for _ in 0..<25 { stage.pass(.seconds(1), sessions) }
        stage.standStill(job, sessions)
        stage.getReady(job, sessions)
        stage.runOut(job, sessions, step: .seconds(1))
        let run = try #require(stage.core.job(job))
        #expect(run.state == .budgetExhausted && run.committed >= trunk && run.trunk != nil)
        #expect(run.ledger?.conservationFault == nil)

        more[.wallClock] = 1_000_000_000
        stage.feed(.limited(job, more))
        stage.feed(.ordered(.resume, job))
        stage.comeBack(job, sessions)
        stage.runOut(job, sessions, step: .seconds(1))
        #expect(stage.state(job) == .done && rates(stage, job) == rates(free.stage, free.job))
    }

    @Test func `a ledger survives a restart, line by line`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.coreMillisecondsLimit = 1_000_000 })
        for step in 1...5 {
            stage.wait(.seconds(2))
            stage.run(job, to: step, sessions)
        }

        let next = try stage.restarted()

        let (live, replayed) = (try #require(stage.core.job(job)), try #require(next.core.job(job)))
        #expect(live.durableDifference(from: replayed) == nil)
        #expect(live.ledger?.spent.coreTime == 80_000 && live.ledger?.position == 5)
    }

    @Test func `a changed line of the ledger is found at the start`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description { $0.stepLimit = 10 })
        stage.run(job, to: 3, sessions)
        var journal = stage.journal
        let place = try #require(journal.lastIndex { if case .ledger = $0 { true } else { false } })
        guard case .ledger(_, var entry, let digest) = journal[place] else { return }
        entry.at += 1
        journal[place] = .ledger(job, entry, digest)
        var core = Coordinator(epoch: 2, dataEndpoint: "head")

        #expect(throws: DescriptionError.self) { for entry in journal { try core.restore(entry, at: stage.now) } }
    }

    @Test func `a plan log is followed instead of measuring`() {
        let event = LearningRateSchedule(kind: .wsd, peak: 1e-3, warmupRatio: 0, plannedSteps: 40)
            .event(after: 0, cause: .start, end: 10, limit: "wall_clock")
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 40) {
                $0.schedule = .wsd
                $0.wallMillisecondsLimit = 1_000_000
                $0.script = [event]
            })

        stage.runOut(job, sessions, step: .seconds(1))

        #expect(stage.committed(job) == 10 && stage.core.job(job)?.plan == [event])
    }

    @Test func `a branch begins with the past of another run`() throws {
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 20) {
                $0.branch = .init(step: 8, tokens: 320, digest: 77)
                $0.stepLimit = 12
            })

        #expect(stage.roster(job)?.target == 8 && stage.roster(job)?.digest == 77)
        #expect(stage.core.job(job)?.ledger?.spent.steps == 8)
        stage.runOut(job, sessions, step: .seconds(1))
        #expect(stage.state(job) == .budgetExhausted && stage.committed(job) == 12)
    }

    @Test func `a job that ends gives back what it had set aside, and sets it aside again when it goes on`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 20) { $0.stepLimit = 12 })
        stage.run(job, to: 4, sessions)
        #expect(stage.core.job(job)?.ledger?.balance(.ending).steps ?? 0 > 0)
        stage.feed(.ordered(.pause, job))
        stage.runOut(job, sessions, step: .seconds(1))
        #expect(stage.state(job) == .paused && stage.core.job(job)?.ledger?.balance(.ending).steps ?? 0 > 0)
        stage.feed(.ordered(.cancel, job))
        #expect(stage.core.job(job)?.ledger?.reserved == .zero)

        let (other, second, workers) = Stage.running(Stage.description(steps: 20) { $0.stepLimit = 12 })
        other.run(second, to: 4, workers)
        let set = other.core.job(second)?.ledger?.balance(.ending)
        other.feed(.failed(second, reason: "its disk is gone"))
        #expect(other.state(second) == .failed && other.core.job(second)?.ledger?.reserved == .zero)
        other.feed(.ordered(.resume, second))
        other.comeBack(second, workers)
        #expect(other.core.job(second)?.ledger?.balance(.ending) == set)
    }

    @Test func `saves by cost are as far apart as what they cost makes worth while`() {
        #expect(JobRun.interval(cost: 100, ran: .seconds(0), 0) == .milliseconds(131_453))
        #expect(JobRun.interval(cost: 0, ran: .seconds(0), 100) >= .seconds(10))
        #expect(JobRun.interval(cost: 60_000, ran: .seconds(0), 0) == .milliseconds(3_219_937))
        #expect(JobRun.interval(cost: 60_000, ran: .seconds(86_400), 0) == .seconds(3600))
        #expect(JobRun.interval(cost: 100_000, ran: .seconds(0), 0) == .seconds(5000), "2 % is more than an hour")
    }

    @Test func `on resume only the limits that were named change, and what was granted stays in force`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 40) { $0.stepLimit = 12 })
        stage.run(job, to: 3, sessions)
        var more = Budget()
        more[.steps] = 30
        stage.feed(.limited(job, more))
        var again = try #require(stage.core.job(job)?.description)
        again.stepLimit = 12
        again.wallMillisecondsLimit = 3_600_000

        stage.adjust { try? $0.amend(job, to: again, limiting: [.wallClock]) }
        var limits = try #require(stage.core.job(job)?.limits)
        #expect(limits[.steps] == 30 && limits[.wallClock] == 3_600_000)
        again.wallMillisecondsLimit = nil
        stage.adjust { try? $0.amend(job, to: again, limiting: [.steps, .wallClock]) }
        limits = try #require(stage.core.job(job)?.limits)
        #expect(limits[.steps] == 12 && limits[.wallClock] == nil)
        #expect(try stage.restarted().core.job(job)?.limits == limits)
    }

    /// 0 = no limit.
    @Test(arguments: [(12, 30), (30, 12), (12, 0), (0, 12)])
    func `a paused job goes on to the limit in force, with its anneal`(limits: (before: Int, after: Int)) throws {
        let before = limits.before > 0 ? limits.before : nil
        let after = limits.after > 0 ? limits.after : nil
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 20) { $0.stepLimit = before })
        stage.run(job, to: 4, sessions)
        stage.feed(.ordered(.pause, job))
        stage.runOut(job, sessions, step: .seconds(1))
        #expect(stage.state(job) == .paused)
        var other = try #require(stage.core.job(job)?.description)
        other.stepLimit = after

        stage.adjust { try? $0.amend(job, to: other, limiting: [.steps]) }
        stage.feed(.ordered(.resume, job))
        stage.comeBack(job, sessions)
        stage.runOut(job, sessions, step: .seconds(1))

        #expect(stage.committed(job) == min(20, after ?? 20))
        #expect(stage.state(job) == (after == 12 ? .budgetExhausted : .done))
        let rates = rates(stage, job)
        if after == 12 { #expect(stage.saves().contains { $0.kind == .trunk } && rates[11] < rates[10]) }
        if after != 12 { #expect(rates[11] == rates[0]) }
    }

    /// Seconds; 0 = no limit. A step takes one.
    @Test(arguments: [LearningRateSchedule.Kind.linear, .cosine, .wsd, .constant], [600, 0])
    func `a paused job whose measured limit was raised or lifted is planned to what is in force`(
        schedule: LearningRateSchedule.Kind, after: Int
    ) throws {
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 100) {
                $0.schedule = schedule
                $0.wallMillisecondsLimit = 40_000
            })
        pass(stage, job, to: 16, sessions)
        let first = try #require(stage.core.job(job)?.plan.last)
        #expect(first.limit == "wall_clock" && first.end < 45)
        stage.feed(.ordered(.pause, job))
        stage.runOut(job, sessions, step: .seconds(1))
        #expect(stage.state(job) == .paused)
        var other = try #require(stage.core.job(job)?.description)
        other.wallMillisecondsLimit = after > 0 ? after * 1000 : nil

        stage.adjust { try? $0.amend(job, to: other, limiting: [.wallClock]) }
        #expect(try stage.restarted().core.durableDifference(from: stage.core, inDetail: true) == nil)
        func kept(isPlain: Bool) throws -> String? {
            var core = Coordinator(epoch: 9, dataEndpoint: "head")
            try core.restore(snapshot: stage.core.snapshot(isPlain: isPlain), at: stage.now)
            return core.durableDifference(from: stage.core, inDetail: true)?.what
        }
        #expect(try kept(isPlain: false) == nil && kept(isPlain: true) == "plan", "the plain form has no word for it")
        stage.feed(.ordered(.resume, job))
        stage.comeBack(job, sessions)
        stage.runOut(job, sessions, step: .seconds(1))

        let plan = try #require(stage.core.job(job)?.plan)
        #expect(plan.contains { $0.cause == .topup && $0.end == 100 })
        #expect(stage.state(job) == .done && stage.committed(job) == 100)
    }

    @Test func `a job that is paused and resumed under the same limits keeps its plan`() throws {
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 100) {
                $0.schedule = .linear
                $0.wallMillisecondsLimit = 40_000
            })
        pass(stage, job, to: 16, sessions)
        stage.feed(.ordered(.pause, job))
        stage.runOut(job, sessions, step: .seconds(1))
        let plan = stage.core.job(job)?.plan

        stage.feed(.ordered(.resume, job))
        stage.comeBack(job, sessions)
        stage.run(job, to: try #require(stage.core.job(job)?.committed) + 3, sessions)

        #expect(stage.core.job(job)?.plan == plan)
    }

    @Test func `a limit that pays for no step at all is told with the numbers`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 40) { $0.wallMillisecondsLimit = 1 })
        stage.runOut(job, sessions, step: .seconds(1))

        #expect(stage.state(job) == .budgetExhausted && stage.committed(job) == 0)
        let reason = try #require(stage.core.job(job)?.reason)
        #expect(reason.hasPrefix("held: budget.wall_clock allows 1 ms, "), "\(reason)")
    }
}
