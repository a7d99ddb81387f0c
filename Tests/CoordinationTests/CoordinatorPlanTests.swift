import Budgeting
import Coordination
import Recipes
import Terms
import Testing

/// What gives a job occasion to plan, as its plan log says it.
@Suite struct CoordinatorPlanTests {
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
