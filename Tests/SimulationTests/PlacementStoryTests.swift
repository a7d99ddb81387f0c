import Coordination
import Simulation
import Terms
import Testing

/// Who works for whom, and what a change of it costs: nothing is ever computed twice when nobody died.
@Suite struct PlacementStoryTests {
    private func cluster(_ workers: Int, shardMilliseconds: Int = 20) -> SimulatedCluster {
        let cluster = SimulatedCluster(seed: 4)
        cluster.keepsStory = true
        cluster.addWorkers(workers, shardMilliseconds: shardMilliseconds)
        cluster.run(for: .seconds(1))
        return cluster
    }

    private func finish(_ cluster: SimulatedCluster, _ jobs: JobID...) {
        let isDone = cluster.run(within: .seconds(600)) { cluster in jobs.allSatisfy { cluster.state(of: $0) == .done }
        }
        #expect(cluster.failure == nil, "\(cluster.failure?.text ?? "")")
        #expect(isDone, "\(cluster.story.suffix(12).joined(separator: "\n"))")
    }

    private func reach(_ step: Step, _ job: JobID, _ cluster: SimulatedCluster) {
        #expect(
            cluster.run(within: .seconds(300)) { $0.committed(job) >= step }, "\(cluster.failure?.text ?? "too slow")")
    }

    @Test func `a worker that is asked to leave ends what is leased, and nothing is computed again`() {
        let cluster = cluster(3)
        let job = cluster.submit(StoryTests.job(steps: 60))
        reach(4, job, cluster)

        cluster.stopWorker(1)
        #expect(cluster.run(within: .seconds(20)) { !$0.isUp(1) && $0.workerCount(job) == 2 })
        finish(cluster, job)

        #expect(cluster.shardsComputed == 60 * 8)
        #expect(cluster.story.contains("w1 leaves: asked to stop"))
    }

    @Test func `a worker that an operator drains leaves at a step boundary`() {
        let cluster = cluster(3)
        let job = cluster.submit(StoryTests.job(steps: 60))
        reach(4, job, cluster)

        cluster.drainWorker(0)
        #expect(cluster.run(within: .seconds(20)) { !$0.isUp(0) })
        finish(cluster, job)

        #expect(cluster.shardsComputed == 60 * 8)
    }

    @Test func `the last worker leaves a checkpoint behind`() {
        let cluster = cluster(1)
        let job = cluster.submit(StoryTests.job(steps: 40))
        reach(4, job, cluster)

        cluster.stopWorker(0)
        #expect(cluster.run(within: .seconds(30)) { !$0.isUp(0) })
        #expect(cluster.checkpoint(job) == cluster.committed(job) && cluster.committed(job) >= 4)
        cluster.startWorker(0)
        finish(cluster, job)

        #expect(cluster.shardsComputed == 40 * 8)
    }

    @Test func `a worker that joins costs no shard`() {
        let cluster = cluster(2)
        let job = cluster.submit(StoryTests.job(steps: 80))
        reach(4, job, cluster)

        cluster.addWorkers(2)
        #expect(cluster.run(within: .seconds(20)) { $0.workerCount(job) == 4 })
        finish(cluster, job)

        // Beside those that are issued twice on purpose.
        #expect((80 * 8...80 * 8 + cluster.reissues).contains(cluster.shardsComputed))
    }

    @Test func `a job of higher priority takes what others have beyond their minimum`() {
        let cluster = cluster(4)
        let low = cluster.submit(StoryTests.job(steps: 100))
        reach(4, low, cluster)
        #expect(cluster.workerCount(low) == 4)

        let high = cluster.submit(StoryTests.job(steps: 10, workers: 2...2) { $0.priority = 60 })
        #expect(cluster.run(within: .seconds(20)) { $0.workerCount(high) == 2 })
        #expect(cluster.workerCount(low) == 2 && cluster.state(of: low) == .running)
        finish(cluster, high, low)

        #expect(cluster.shardsComputed == 110 * 8)
    }

    @Test func `a job that must give up its minimum goes into a checkpoint first`() {
        let cluster = cluster(2)
        let low = cluster.submit(StoryTests.job(steps: 40, workers: 2...2))
        reach(5, low, cluster)

        let high = cluster.submit(StoryTests.job(steps: 10, workers: 2...2) { $0.priority = 60 })
        #expect(cluster.run(within: .seconds(60)) { $0.state(of: high) == .running })
        #expect(cluster.state(of: low) == .waitingForWorkers && cluster.checkpoint(low) == cluster.committed(low))
        finish(cluster, high, low)

        #expect(cluster.shardsComputed == 50 * 8)
    }

    @Test func `projects share fairly, however many jobs each has`() {
        let cluster = cluster(4)
        let first = cluster.submit(StoryTests.job(steps: 200) { $0.project = "a" })
        reach(2, first, cluster)

        let second = cluster.submit(StoryTests.job(steps: 200) { $0.project = "b" })

        #expect(cluster.run(within: .seconds(30)) { $0.workerCount(first) == 2 && $0.workerCount(second) == 2 })
        #expect(cluster.failure == nil)
    }

    @Test func `a large job does not starve behind small ones`() {
        let cluster = cluster(2)
        let small = (0..<3).map { _ in cluster.submit(StoryTests.job(steps: 30, workers: 1...1)) }
        let large = cluster.submit(StoryTests.job(steps: 5, workers: 2...2))
        let later = (0..<6).map { _ in cluster.submit(StoryTests.job(steps: 30, workers: 1...1)) }

        #expect(cluster.run(within: .seconds(600)) { $0.state(of: large) == .done }, "\(cluster.failure?.text ?? "")")

        #expect(small.allSatisfy { cluster.state(of: $0) == .done })
        #expect(later.allSatisfy { cluster.committed($0) < 30 })
    }

    @Test func `an operator makes a running job smaller and larger`() {
        let cluster = cluster(4)
        let job = cluster.submit(StoryTests.job(steps: 200))
        reach(4, job, cluster)

        cluster.order(.resize(1...2), job)
        #expect(cluster.run(within: .seconds(20)) { $0.workerCount(job) == 2 })
        cluster.order(.resize(1...8), job)
        #expect(cluster.run(within: .seconds(20)) { $0.workerCount(job) == 4 })
        finish(cluster, job)

        #expect(cluster.shardsComputed == 200 * 8)
    }
}
