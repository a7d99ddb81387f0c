import Coordination
import Simulation
import Terms
import Testing

/// Machines that are slow, or compute wrongly.
@Suite struct SlowStoryTests {
    private func finish(_ cluster: SimulatedCluster, _ job: JobID) {
        let isDone = cluster.run(within: .seconds(600)) { $0.state(of: job) == .done }
        #expect(cluster.failure == nil, "\(cluster.failure?.text ?? "")")
        #expect(isDone, "\(cluster.story.suffix(12).joined(separator: "\n"))")
    }

    private func cluster(_ milliseconds: [Int]) -> SimulatedCluster {
        let cluster = SimulatedCluster(seed: 6)
        cluster.keepsStory = true
        for span in milliseconds { cluster.addWorkers(1, shardMilliseconds: span) }
        cluster.run(for: .seconds(1))
        return cluster
    }

    @Test func `shards go to workers by what they were measured at`() {
        let cluster = cluster([20, 80])
        let job = cluster.submit(StoryTests.job(steps: 80, shards: 16))
        #expect(cluster.run(within: .seconds(300)) { $0.committed(job) >= 30 })

        let start = cluster.now
        #expect(cluster.run(within: .seconds(300)) { $0.committed(job) >= 70 })
        let step = (cluster.now - start).seconds / 40

        // The ideal split takes 16 / (1/20 + 1/80) = 256 ms; one shard of the slow one is 80 ms more.
        #expect(step < 0.256 + 0.080 + 0.060, "\(step) s a step")
        finish(cluster, job)
    }

    @Test func `the last shard of a straggler is computed by an idle one as well, and counts once`() {
        let cluster = cluster([20, 20, 20, 200])
        let job = cluster.submit(StoryTests.job(steps: 40, shards: 4))
        #expect(cluster.run(within: .seconds(300)) { $0.committed(job) >= 10 })

        let start = cluster.now
        #expect(cluster.run(within: .seconds(300)) { $0.committed(job) >= 30 })
        let step = (cluster.now - start).seconds / 20

        #expect(cluster.reissues >= 20, "w3 lends its one shard in every step")
        #expect(step < 0.12, "\(step) s a step; w3 alone needs 0.1 to 0.3 s for its shard")
        #expect(cluster.lostMilliseconds(job) > 0, "what was computed twice is in the ledger")
        finish(cluster, job)
    }

    @Test func `a worker that becomes slow in the middle of a job is found out by its last shard`() {
        let cluster = cluster([20, 20, 20])
        let job = cluster.submit(StoryTests.job(steps: 60, shards: 3))
        #expect(cluster.run(within: .seconds(60)) { $0.committed(job) >= 20 })

        let before = cluster.reissues
        cluster.slow(2, shardMilliseconds: 400)
        #expect(cluster.run(within: .seconds(60)) { $0.committed(job) >= 40 })
        #expect(cluster.reissues >= before + 15)
        finish(cluster, job)
    }

    @Test func `a straggler that is first after all counts, and the second result is dropped`() {
        let cluster = cluster([60, 150])
        let job = cluster.submit(StoryTests.job(steps: 300, shards: 2))
        finish(cluster, job)
        #expect(cluster.reissues > 20 && cluster.repeatedResults > 0)
    }

    @Test func `an infinite result of one worker is computed by another`() {
        let cluster = cluster([20, 20, 20])
        let job = cluster.submit(StoryTests.job(steps: 30))
        #expect(cluster.run(within: .seconds(60)) { $0.committed(job) >= 5 })

        cluster.poison(1)
        finish(cluster, job)

        #expect(cluster.story.contains { $0.contains("trouble at w1: a loss is not finite") })
    }

    @Test func `infinite everywhere is DIVERGED`() {
        let cluster = cluster([20, 20, 20])
        let job = cluster.submit(StoryTests.job(steps: 30) { $0.saveSteps = 2 })
        #expect(cluster.run(within: .seconds(60)) { $0.committed(job) >= 5 })

        for worker in 0..<3 { cluster.poison(worker, times: 100) }
        #expect(cluster.run(within: .seconds(60)) { $0.state(of: job) == .diverged })

        #expect(cluster.checkpoint(job) >= 2 && cluster.failure == nil)
    }
}
