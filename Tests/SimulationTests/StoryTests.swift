import Coordination
import Recipes
import Simulation
import Terms
import Testing

/// Clusters that a test leads by hand. Every invariant is checked after every event in all of them: the committed
/// states are those of one undisturbed worker, each step counts once and in order, nothing leaves before it is durable.
@Suite struct StoryTests {
    static func job(
        steps: Int = 12, shards: Int = 8, workers: ClosedRange<Int> = 1...8,
        change: (inout JobDescription) -> Void = { _ in }
    ) -> JobDescription {
        var description = JobDescription(
            name: "story", parameters: 20_000, sequences: 24, globalBatch: shards, microBatch: 1, virtualShards: shards,
            shuffleSeed: 3, totalSequences: steps * shards, beta1: 0.9, beta2: 0.999, schedule: .cosine, peakRate: 1e-3,
            warmupRatio: 0.1)
        description.workersMin = workers.lowerBound
        description.workersMax = workers.upperBound
        change(&description)
        return description
    }

    /// A cluster with workers in which a job has come to `step`.
    private func cluster(
        _ workers: Int, _ description: JobDescription = StoryTests.job(), at step: Step = 4
    ) throws -> (SimulatedCluster, JobID) {
        let cluster = SimulatedCluster(seed: 1)
        cluster.keepsStory = true
        cluster.addWorkers(workers)
        cluster.run(for: .seconds(1))
        let job = cluster.submit(description)
        try #require(
            cluster.run(within: .seconds(300)) { $0.committed(job) >= step }, "\(cluster.failure?.text ?? "too slow")")
        return (cluster, job)
    }

    private func finish(_ cluster: SimulatedCluster, _ job: JobID, within seconds: Int64 = 300) {
        let isDone = cluster.run(within: .seconds(seconds)) { $0.state(of: job) == .done }
        #expect(cluster.failure == nil, "\(cluster.failure?.text ?? "")")
        #expect(isDone, "\(cluster.story.suffix(12).joined(separator: "\n"))")
    }

    @Test(arguments: 1...8)
    func `any number of workers comes to the same end`(workers: Int) throws {
        let (cluster, job) = try cluster(workers)

        finish(cluster, job)

        #expect(cluster.committed(job) == 12)
        #expect(cluster.checkpoint(job) == 12)
        #expect(cluster.generation(job) == Generation(1))
    }

    @Test func `an undisturbed job is a short story`() {
        let cluster = SimulatedCluster(seed: 5)
        cluster.keepsStory = true
        cluster.addWorkers(2)
        cluster.run(for: .seconds(1))
        let job = cluster.submit(Self.job(steps: 3) { $0.evaluationSequences = 4 })
        _ = cluster.run(within: .seconds(60)) { $0.state(of: job) == .done }
        cluster.run(for: .seconds(1))

        #expect(
            cluster.story == [
                "w0 starts", "w1 starts", "w0 joined", "w1 joined",
                "job 1: plan {\"after\":0,\"anneal_start\":3,\"anneal_steps\":0,\"cause\":\"start\",\"end\":3,\"limit\":null,\"trunk\":3}",
                "job 1: STARTING (1 workers)", "job 1: generation 1 of w0 w1 from step 0",
                "job 1: RUNNING (generation 1, 2 workers)", "job 1: evaluated after step 0", "job 1: step 1 counts",
                "job 1: step 2 counts", "job 1: step 3 counts", "job 1: evaluated after step 3",
                "job 1: DONE (all 3 steps are done)", "job 1: final checkpoint of step 3",
            ])
    }

    @Test func `a worker that is killed costs a generation, not a step`() throws {
        let (cluster, job) = try cluster(3)

        cluster.killWorker(1)
        _ = cluster.run(within: .seconds(5)) { $0.workerCount(job) == 2 }
        #expect(cluster.generation(job) == Generation(2))
        finish(cluster, job)

        // Every step counted once: nothing was rolled back.
        #expect(cluster.story.count { $0.hasSuffix("counts") } == 12)
    }

    @Test func `all workers but one may go, and new ones come`() throws {
        let (cluster, job) = try cluster(4, Self.job(steps: 60))
        for worker in [3, 1] { cluster.killWorker(worker) }
        #expect(cluster.run(within: .seconds(30)) { $0.committed(job) >= 15 && $0.workerCount(job) == 2 })
        cluster.addWorkers(1)
        #expect(cluster.run(within: .seconds(30)) { $0.committed(job) >= 25 && $0.workerCount(job) == 3 })
        for worker in [0, 2] { cluster.killWorker(worker) }
        #expect(cluster.run(within: .seconds(30)) { $0.committed(job) >= 35 && $0.workerCount(job) == 1 })
        for worker in 0..<4 { cluster.startWorker(worker) }
        #expect(cluster.run(within: .seconds(30)) { $0.workerCount(job) == 5 })

        finish(cluster, job)

        #expect(cluster.story.count { $0.hasSuffix("counts") } == 60)
    }

    @Test func `with every worker gone the job waits, and starts over from its checkpoint to the same end`() throws {
        let (cluster, job) = try cluster(2, Self.job { $0.saveSteps = 3 }, at: 8)
        #expect(cluster.run(within: .seconds(5)) { $0.checkpoint(job) == 6 })

        for worker in 0..<2 { cluster.killWorker(worker) }
        #expect(cluster.run(within: .seconds(30)) { $0.state(of: job) == .waitingForWorkers })
        for worker in 0..<2 { cluster.startWorker(worker) }
        finish(cluster, job)

        #expect(cluster.story.contains { $0.hasSuffix("from step 6") })
    }

    @Test func `a coordinator that dies is awaited, and no finished step is run again`() throws {
        let (cluster, job) = try cluster(3, Self.job(steps: 30), at: 10)

        cluster.crashCoordinator()
        cluster.run(for: .seconds(1))
        cluster.startCoordinator()
        finish(cluster, job)

        #expect(cluster.story.count { $0.hasSuffix("counts") } == 30)
        #expect(cluster.story.contains("coordinator starts, epoch 2"))
    }

    @Test func `after a power cut everything comes back from the disk`() throws {
        let (cluster, job) = try cluster(3, Self.job(steps: 30) { $0.saveSteps = 4 }, at: 11)
        #expect(cluster.run(within: .seconds(5)) { $0.checkpoint(job) == 12 })

        for worker in 0..<3 { cluster.killWorker(worker) }
        cluster.crashCoordinator()
        cluster.run(for: .seconds(60))
        for worker in 0..<3 { cluster.startWorker(worker) }
        finish(cluster, job)

        #expect(cluster.story.contains { $0.hasSuffix("from step 12") })
    }

    @Test func `a stalled worker is left behind, and taken in again when it wakes`() throws {
        let (cluster, job) = try cluster(2, Self.job(steps: 200), at: 3)

        cluster.stallWorker(1, for: .seconds(40))
        #expect(cluster.run(within: .seconds(20)) { $0.workerCount(job) == 1 })
        #expect(cluster.run(within: .seconds(60)) { $0.workerCount(job) == 2 })
        finish(cluster, job)

        #expect(cluster.story.contains("w1 left: silent for 15 s"))
    }

    @Test func `a coordinator that stalls drops nobody`() throws {
        let (cluster, job) = try cluster(2, Self.job(steps: 30), at: 3)

        cluster.stallCoordinator(for: .seconds(14))
        cluster.run(for: .seconds(20))
        finish(cluster, job)

        #expect(!cluster.story.contains { $0.contains("silent") })
        #expect(cluster.generation(job) == Generation(1))
    }

    @Test(arguments: [(true, false), (false, true), (false, false), (true, true)])
    func `a broken connection heals, whoever notices`(told: (coordinator: Bool, worker: Bool)) throws {
        let (cluster, job) = try cluster(2, Self.job(steps: 150), at: 3)

        cluster.breakConnection(of: 0, tellsCoordinator: told.coordinator, tellsWorker: told.worker)
        #expect(cluster.run(within: .seconds(40)) { $0.generation(job) > Generation(1) })
        #expect(cluster.run(within: .seconds(40)) { $0.workerCount(job) == 2 })

        finish(cluster, job)
    }

    @Test func `a data connection that breaks costs a generation`() throws {
        let (cluster, job) = try cluster(3, Self.job(steps: 30), at: 3)

        cluster.breakDataLink(from: 0, to: 2)
        finish(cluster, job)

        #expect(cluster.generation(job) >= Generation(2))
        #expect(cluster.story.count { $0.hasSuffix("counts") } == 30)
    }

    @Test func `a paused job goes on with other workers`() throws {
        let (cluster, job) = try cluster(2, Self.job(steps: 20), at: 5)

        cluster.order(.pause, job)
        #expect(cluster.run(within: .seconds(30)) { $0.state(of: job) == .paused })
        #expect(cluster.checkpoint(job) == cluster.committed(job))
        for worker in 0..<2 { cluster.killWorker(worker) }
        cluster.addWorkers(3)
        cluster.order(.resume, job)
        finish(cluster, job)

        #expect(cluster.story.count { $0.hasSuffix("counts") } == 20)
    }

    @Test func `jobs that want more than there is take turns`() {
        let cluster = SimulatedCluster(seed: 3)
        cluster.addWorkers(3)
        let jobs = [(2...3), (3...3), (1...2), (2...2)].map { cluster.submit(Self.job(steps: 5, workers: $0)) }

        let isOver = cluster.run(within: .seconds(300)) { cluster in jobs.allSatisfy { cluster.state(of: $0) == .done }
        }

        #expect(isOver)
        #expect(cluster.failure == nil, "\(cluster.failure?.text ?? "")")
    }

    @Test func `a job ends exactly at its limits`() throws {
        let (cluster, job) = try cluster(2, Self.job(steps: 20) { $0.stepLimit = 7 })

        #expect(cluster.run(within: .seconds(60)) { $0.state(of: job) == .budgetExhausted })

        #expect(cluster.committed(job) == 7 && cluster.checkpoint(job) == 7)
        #expect(cluster.failure == nil, "\(cluster.failure?.text ?? "")")
    }
}
