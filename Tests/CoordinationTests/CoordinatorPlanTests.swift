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
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 40) { $0.wallMillisecondsLimit = 100_000 })
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
        #expect(stage.state(job) == .done || stage.committed(job) > 30)
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
}
