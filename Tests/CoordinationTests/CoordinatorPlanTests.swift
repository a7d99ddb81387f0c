import Budgeting
import Coordination
import Recipes
import Terms
import Testing
import Wire

/// What gives a job occasion to plan, as its plan log says it.
@Suite struct CoordinatorPlanTests {
    /// Hours that a machine was suspended: of them only what the leased steps take is anybody's.
    @Test(arguments: [0.001, 8, 1000])
    func `time for which nothing ran is not charged`(hours: Double) throws {
        let slept = Span.milliseconds(Int64(hours * 3_600_000))
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 40) { $0.wallMillisecondsLimit = 300_000 })
        func step() {
            stage.pass(.seconds(2), sessions)
            stage.run(job, to: stage.committed(job) + 1, sessions)
        }
        for _ in 0..<6 { step() }
        let before = try #require(stage.core.job(job)?.ledger?.spent)
        #expect(before.wallClock == 12_000)
        let leased = (stage.leased(to: sessions[0]).max() ?? 0) - stage.committed(job)
        stage.sleep(slept)
        for session in sessions { stage.say(.heartbeat(Heartbeat(session: 1, sentAt: 0)), session) }
        step()

        let charged = try #require(stage.core.job(job)?.ledger?.spent.wallClock) - before.wallClock
        // Two seconds are a lease's, two the step's; up to the next deadline nobody can tell.
        let most = Int64(leased * 2000) + 4000 + 15_000
        #expect(charged >= min(2000 + slept.nanoseconds / 1_000_000, Int64(leased * 2000)) && charged <= most)
        #expect(stage.core.job(job)?.ledger?.conservationFault == nil)
        stage.runOut(job, sessions, step: .seconds(2))
        #expect(stage.state(job) == .done)
    }

    @Test func `a limit that is lowered is the operator's doing, one that is raised a top-up`() throws {
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 400) {
                $0.schedule = .wsd
                $0.stepLimit = 100
            })
        stage.run(job, to: 4, sessions)
        for steps in [Int64(60), 80] {
            var limits = Budget()
            limits[.steps] = steps
            stage.feed(.limited(job, limits))
        }

        let plan = try #require(stage.core.job(job)?.plan)
        #expect(plan.map(\.cause) == [.start, .operatorOrder, .topup])
        #expect(plan.map(\.end) == [100, 60, 80])
        #expect(plan.allSatisfy { $0.end - $0.trunk == LearningRateSchedule.annealLength(plannedSteps: $0.end) })
        #expect(try stage.restarted().core.job(job)?.plan == plan)
        #expect(plan.compactMap { PlanEvent($0.json) } == plan)
    }

    /// One worker of four threads, a limit of three core-seconds: less than the first step takes.
    @Test func `a step that would end beyond the limit is given up at the limit`() throws {
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 40) { $0.coreMillisecondsLimit = 3000 }, workers: 1)
        for _ in 0..<2000 where stage.state(job) == .running { stage.pass(.milliseconds(5), sessions) }
        #expect(stage.state(job) == .budgetExhausted && stage.committed(job) == 0)
        #expect(stage.core.job(job)?.reason.hasPrefix("held: budget.core_hours allows 3000 ms") == true)
        #expect(try #require(stage.core.job(job)?.ledger?.spent.coreTime) <= 3000 + 4 * 5)

        // Now three steps, of which the first is as dear as the others; then less than one more.
        var limits = Budget()
        limits[.coreTime] = 20_000
        stage.feed(.limited(job, limits))
        stage.feed(.ordered(.resume, job))
        stage.comeBack(job, sessions)
        stage.runOut(job, sessions, step: .seconds(1))
        let done = stage.committed(job)
        let spent = try #require(stage.core.job(job)?.ledger?.spent.coreTime)
        #expect(stage.state(job) == .budgetExhausted && (1...4).contains(done) && spent <= 20_000 + 1000)
        limits[.coreTime] = spent + 2000
        stage.feed(.limited(job, limits))
        stage.feed(.ordered(.resumeAnnealed, job))
        #expect(stage.state(job) == .budgetExhausted && stage.committed(job) == done)
    }

    @Test func `the deadline is when the limit will be reached, with nothing unsaved`() throws {
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 40) { $0.wallMillisecondsLimit = 1500 }, workers: 1)
        stage.pass(.milliseconds(700), sessions)
        for _ in 0..<5 where stage.state(job) == .running { stage.wait(try #require(stage.deadline) - stage.now) }
        #expect(stage.state(job) == .budgetExhausted)
        #expect(try #require(stage.core.job(job)?.ledger?.spent.wallClock) <= 1501)
    }

    @Test func `a warning level is announced when no step but something else reaches it`() throws {
        func warnings(_ stage: Stage) -> Int {
            stage.notices.count { if case .warned(_, .wallClock, _, _) = $0 { true } else { false } }
        }
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 400) {
                $0.wallMillisecondsLimit = 100_000
                $0.evaluationSequences = 8
                $0.evaluationShards = 2
                $0.evaluationSteps = 5
            }, workers: 1)
        for _ in 0..<5 {
            stage.pass(.milliseconds(100), sessions)
            stage.run(job, to: stage.committed(job) + 1, sessions)
        }
        for _ in 0..<85 { stage.pass(.seconds(1), sessions) }
        #expect(warnings(stage) == 0, "an evaluation is charged when it ends")
        for case .evaluate(let order) in stage.messages(to: sessions[0]) {
            stage.say(
                .evaluated(EvaluationResult(order: order, lossSums: [1, 1], tokens: [1, 1])),
                sessions[0])
        }
        #expect(warnings(stage) == 1)

        let (other, second, members) = Stage.running(Stage.description(steps: 40) { $0.stepLimit = 30 })
        other.run(second, to: 10, members)
        var limits = Budget()
        limits[.steps] = 12
        other.feed(.limited(second, limits))
        #expect(other.notices.contains(.warned(second, .steps, spent: 10, limit: 12)))
    }
}
