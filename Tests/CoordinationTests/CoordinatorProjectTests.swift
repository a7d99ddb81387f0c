import Budgeting
import Coordination
import Recipes
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

    /// The older job, 20 steps far, whether it goes on or is paused; its project has 30 steps left for the younger one.
    @Test(arguments: [false, true])
    func `what a job's ending needs of its project's limit stays when another job takes the rest`(isPaused: Bool) throws
    {
        func shop(_ description: inout JobDescription) { description.project = "shop" }
        let (stage, first, old) = Stage.running(Stage.description(steps: 60, workers: 1...1, change: shop), workers: 1)
        var limits = Budget()
        limits[.steps] = 50
        stage.feed(.projectLimited("shop", limits))
        stage.run(first, to: 20, old)
        if isPaused {
            stage.feed(.ordered(.pause, first))
            stage.runOut(first, old, step: .seconds(1))
            #expect(stage.state(first) == .paused)
        }
        let done = stage.committed(first)
        let ending = LearningRateSchedule.annealLength(plannedSteps: done)
        let second = stage.submit(Stage.description(steps: 60, workers: 1...1, change: shop))
        let young = isPaused ? old : [stage.hello(2)]
        stage.comeBack(second, young)
        stage.runOut(second, young, step: .milliseconds(100))
        #expect(stage.state(second) == .budgetExhausted)
        #expect(stage.committed(second) > 15 && stage.committed(second) <= 50 - done - ending)

        if isPaused {
            stage.feed(.ordered(.resume, first))
            stage.comeBack(first, old)
        }
        stage.runOut(first, old, step: .seconds(1))
        #expect(stage.state(first) == .budgetExhausted)
        let plan = try #require(stage.core.job(first)?.plan.last)
        #expect(plan.annealSteps >= ending && plan.end == stage.committed(first))
        #expect(stage.core.projectSpent("shop").steps == 50)
    }

    /// Both limits have the same numbers: the second one is only told by cost.
    @Test(arguments: [BudgetUnit.steps, .wallClock])
    func `a job whose project has nothing left stays where it is when it is resumed`(unit: BudgetUnit) throws {
        func shop(_ description: inout JobDescription) {
            description.project = "shop"
            description.schedule = .wsd
        }
        let (stage, first, sessions) = Stage.running(Stage.description(steps: 100, change: shop))
        var limits = Budget()
        limits[unit] = unit == .steps ? 20 : 20_000
        stage.feed(.projectLimited("shop", limits))
        stage.runOut(first, sessions, step: .seconds(1))
        let done = stage.committed(first)
        #expect(stage.state(first) == .budgetExhausted && stage.core.job(first)?.trunk ?? 0 > 0)
        #expect(stage.core.job(first)?.endingProject == "shop")
        let nearest = try #require(stage.core.job(first)?.nearestLimit)
        #expect(nearest.unit == unit && nearest.project == "shop" && nearest.limit == limits[unit] && nearest.spent > 0)
        limits[unit] = unit == .steps ? 40 : 40_000
        stage.feed(.projectLimited("shop", limits))
        let second = stage.submit(Stage.description(steps: 100, change: shop))
        stage.comeBack(second, sessions)
        stage.runOut(second, sessions, step: .seconds(1))
        #expect(stage.state(second) == .budgetExhausted)

        stage.forget()
        #expect(stage.core.jobWithShare(first)?.canGoOn(from: .trunk, at: stage.now) == false)
        stage.feed(.ordered(.resume, first))
        #expect(stage.state(first) == .budgetExhausted && stage.committed(first) == done)
        let held = stage.notices.compactMap { notice -> String? in
            if case .state(first, .budgetExhausted, let reason) = notice { reason } else { nil }
        }
        #expect(held.first?.contains("\(unit.key) of project shop allows \(limits[unit] ?? 0)") == true, "\(held)")
        #expect(!stage.notices.contains { if case .rewound(first, _) = $0 { true } else { false } })
    }
}
