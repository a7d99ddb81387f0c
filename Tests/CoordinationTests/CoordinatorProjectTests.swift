import Budgeting
import Coordination
import Terms
import Testing
import Wire

/// What several jobs may spend together.
@Suite struct CoordinatorProjectTests {
    @Test func `a project's warning level is announced once, to its jobs, and not again after a restart`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 40) { $0.project = "shop" })
        func warnings(_ stage: Stage) -> [Notice] {
            stage.notices.filter { if case .projectWarned = $0 { true } else { false } }
        }
        var limits = Budget(warnAt: 500_000)
        limits[.steps] = 10
        stage.feed(.projectLimited("shop", limits))
        stage.run(job, to: 4, sessions)
        #expect(warnings(stage).isEmpty)
        stage.run(job, to: 6, sessions)
        #expect(warnings(stage) == [.projectWarned(job, project: "shop", .steps, spent: 5, limit: 10)])
        let next = try stage.restarted()
        next.wait(.seconds(1))
        #expect(warnings(next).isEmpty)
        // A higher limit has a higher level.
        limits[.steps] = 100
        stage.feed(.projectLimited("shop", limits))
        #expect(warnings(stage).count == 1)
        limits[.steps] = 12
        stage.feed(.projectLimited("shop", limits))
        #expect(warnings(stage).count == 2)
    }

    @Test func `what a branch brought along is nothing that its project has paid`() throws {
        let (stage, job, sessions) = Stage.running(
            Stage.description(steps: 20) {
                $0.branch = .init(step: 8, tokens: 320, digest: 77)
                $0.project = "shop"
            })
        var limits = Budget()
        limits[.steps] = 5
        stage.feed(.projectLimited("shop", limits))
        stage.runOut(job, sessions, step: .seconds(1))

        #expect(stage.state(job) == .budgetExhausted && stage.committed(job) == 13)
        #expect(stage.core.projectSpent("shop").steps == 5)
        #expect(stage.core.projectSpent("shop").tokens == stage.core.job(job).map { Int64($0.tokens(after: 13)) - 320 })
    }

    @Test func `a second job of a project that has nothing left is held, also after a restart`() throws {
        let (stage, job, sessions) = Stage.running(Stage.description(steps: 40) { $0.project = "shop" })
        var limits = Budget()
        limits[.steps] = 10
        stage.feed(.projectLimited("shop", limits))
        stage.runOut(job, sessions, step: .seconds(1))
        #expect(stage.state(job) == .budgetExhausted && stage.committed(job) == 10)
        let second = stage.submit(Stage.description(steps: 40) { $0.project = "shop" })
        stage.comeBack(second, sessions)
        stage.runOut(second, sessions, step: .seconds(1))
        #expect(stage.state(second) == .budgetExhausted && stage.committed(second) == 0)

        let third = stage.submit(Stage.description(steps: 40) { $0.project = "shop" })
        stage.wait(.seconds(1))
        let next = try stage.restarted()
        next.wait(.seconds(1))
        stage.feed(.ordered(.resume, second))
        #expect(stage.core.job(third)?.committed == 0 && next.core.job(third)?.committed == 0)
        #expect(stage.core.projectSpent("shop").steps == 10)
    }
}
