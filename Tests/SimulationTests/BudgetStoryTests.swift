import Budgeting
import Coordination
import Simulation
import Terms
import Testing

/// Clusters led by hand whose jobs have limits, or another job's past.
@Suite struct BudgetStoryTests {
    private static let rates: RateCard = {
        var rates = RateCard(milliwattsPerCore: 5000, moneyPerCoreHour: 1_000_000, moneyPerKilowattHour: 300_000)
        rates.currency = "EUR"
        return rates
    }()

    private func cluster() -> SimulatedCluster {
        let cluster = SimulatedCluster(seed: 2, rates: Self.rates)
        cluster.keepsStory = true
        cluster.addWorkers(2)
        cluster.run(for: .seconds(1))
        return cluster
    }

    private func runs(_ cluster: SimulatedCluster, _ job: JobID, to state: JobState) -> Bool {
        let isReached = cluster.run(within: .seconds(600)) { $0.state(of: job) == state }
        #expect(cluster.failure == nil, "\(cluster.failure?.text ?? "")")
        return isReached
    }

    @Test(arguments: [BudgetUnit.energy, .money])
    func `a limit of energy or money ends a job as one of core time does`(unit: BudgetUnit) {
        let cluster = cluster()
        let job = cluster.submit(
            StoryTests.job(steps: 400) {
                $0.budget[unit] = Self.rates.costs(coreTime: 120_000, wallClock: 0)[unit]
                if unit == .money { $0.budget.currency = "EUR" }
            })

        #expect(runs(cluster, job, to: .budgetExhausted), "\(cluster.story.suffix(8))")
        #expect(cluster.committed(job) > 20 && cluster.committed(job) < 400)
        #expect(cluster.checkpoint(job) == cluster.committed(job))
    }

    @Test func `a branch goes on from another job's checkpoint and counts its past`() {
        let cluster = cluster()
        let first = cluster.submit(StoryTests.job(steps: 6))
        #expect(runs(cluster, first, to: .done))

        let second = cluster.submit(StoryTests.job(steps: 9), branchingFrom: first)

        #expect(cluster.committed(second) == 6 && cluster.checkpoint(second) == 6)
        #expect(runs(cluster, second, to: .done), "\(cluster.story.suffix(8))")
        #expect(cluster.committed(second) == 9)
    }
}
