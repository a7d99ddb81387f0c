import Budgeting
package import Coordination
import Recipes
package import Terms

extension SimulatedCluster {
    /// Draws a job and submits it now.
    func submitNew() { submit(addReference(drawDescription())) }

    /// The one project's name.
    static let project = "shop"

    /// Takes in a job's description; returns the place of its undisturbed run.
    func addReference(_ description: JobDescription) -> Int {
        var description = description
        description.training = .members(["sim": .int(references.count)])
        let lengths = (0..<description.sequences).map { 1 + Int32(Philox.mix(seed &+ UInt64($0)) % 200) }
        let trained = lengths.enumerated().map { $0 % 7 == 3 ? 0 : max(0, $1 - 5) }
        references.append(Reference(description, index: SequenceIndex(tokens: lengths, trained: trained)))
        return references.count - 1
    }

    func drawDescription() -> JobDescription {
        let shards = dice.pick([1, 2, 3, 4, 4, 5, 8, 8, 16])
        let batch = dice.within(1...12)
        // Some are longer than the reports that a worker keeps.
        let steps = dice.chance(10) ? dice.within(110...130) : dice.within(dice.chance(60) ? 40...70 : 2...30)
        let sequences = dice.within(3...50)
        var description = JobDescription(
            name: "job", parameters: Self.drawParameters(&dice), sequences: sequences, globalBatch: batch,
            microBatch: dice.within(1...3), virtualShards: shards, shuffleSeed: dice.chance(700) ? dice.bits() : nil,
            totalSequences: max(1, steps * batch - dice.below(batch)), beta1: 0.9, beta2: 0.999,
            schedule: dice.pick(LearningRateSchedule.Kind.allCases), peakRate: 1e-3, warmupRatio: 0.1, saveSteps: 0,
            evaluationSequences: dice.pick([0, 0, 5]),
            evaluationShards: dice.pick([1, 3, 8]))
        drawRunKeys(&description)
        description.budget = drawLimits(steps: steps, batch: batch)
        return description
    }

    /// Mostly few; of some a checkpoint takes so long that a plan counts with it, and not all of it is read back.
    private static func drawParameters(_ dice: inout Dice) -> Int {
        dice.chance(50) ? dice.pick([5_000_000, 20_000_000]) : dice.pick([1, 4096, 10_000, 50_000])
    }

    /// Draws a cluster with its jobs and its faults.
    func populate(_ level: FaultLevel) {
        plan = FaultPlan(level: level, dice: &dice)
        if dice.chance(300) {
            times.heartbeat = .milliseconds(500)
            times.suspectAfter = .milliseconds(1500)
            times.deadAfter = .seconds(3)
        }
        loadMilliseconds = 5...2500
        for process in clocks.indices {
            clocks[process] = (Int64(dice.below(1_000_000)) * 1_000_000_000, Int64(dice.within(-500...500)))
        }
        networkScale = dice.pick([1, 1, 10, 50])
        engineScale = dice.pick([1, 1, 10, 40])
        healingScale = dice.pick([1, 1, 10, 40])
        mailScale = dice.pick([1, 1, 100, 1000])
        meteredMachines = dice.pick([0, 0, 0, 400, 1000])
        let count = dice.within(3...9)
        for _ in 0..<count {
            let isSlow = dice.chance(plan.slowWorkers)
            let worker = addMachine(
                threads: dice.within(1...8), shardTime: dice.span(milliseconds: isSlow ? 200...400 : 5...60))
            if dice.chance(meteredMachines) { addMeter(worker) }
            schedule(
                .workerStarts(worker: worker.index), after: dice.span(milliseconds: 0...(dice.chance(300) ? 8000 : 300))
            )
        }
        // Of its own, so that the rest of a seed's story does not depend on it.
        var projectDice = Dice(seed: seed, stream: 1)
        projectLimits = Self.drawProject(rates, &projectDice)
        // A project of one job is no more than that job's own limits.
        let jobs = projectLimits.isUnlimited ? dice.pick([1, 1, 1, 2, 3]) : dice.within(2...3)
        for place in 0..<jobs {
            var description = drawDescription()
            if !projectLimits.isUnlimited, projectDice.chance(800) { description.project = Self.project }
            let reference = addReference(description)
            waitingSubmissions += 1
            schedule(.submits(reference), after: dice.span(milliseconds: place == 0 ? 0...500 : 0...20_000))
        }
        for _ in 0..<dice.pick([0, 0, 0, 1, 2]) {
            waitingSubmissions += 1
            schedule(.submitsBranch, after: dice.span(milliseconds: 3000...40_000))
        }
        scheduleFaults()
    }
}

// MARK: For scripted stories
extension SimulatedCluster {
    /// Starts workers now; returns their numbers.
    @discardableResult
    package func addWorkers(_ count: Int, shardMilliseconds: Int = 20) -> [Int] {
        (0..<count).map { _ in
            let worker = addMachine(shardTime: .milliseconds(Int64(shardMilliseconds)))
            start(worker)
            return worker.index
        }
    }

    /// Submits a job now; returns its number.
    package func submit(_ description: JobDescription) -> JobID {
        let id = head.core?.nextJob ?? JobID(0)
        submit(addReference(description))
        return id
    }

    /// A worker's process is killed and stays down.
    package func killWorker(_ worker: Int) { kill(workers[worker]) }

    /// A worker's process that is down starts again.
    package func startWorker(_ worker: Int) { start(workers[worker]) }

    /// A worker is asked to leave.
    package func stopWorker(_ worker: Int) { feed(workers[worker], .stopRequested) }

    /// An operator wants a worker away.
    package func drainWorker(_ worker: Int) {
        guard head.core != nil, head.stalledUntil <= now else { return }
        feedCoordinator(.drain(workers[worker].node))
    }

    /// A worker's process does nothing for a while.
    package func stallWorker(_ worker: Int, for span: Span) { stall(worker, for: span) }

    /// A worker's next results are infinite.
    package func poison(_ worker: Int, times: Int = 1) { workers[worker].poisons = times }

    /// From now on a worker takes so long for a shard.
    package func slow(_ worker: Int, shardMilliseconds: Int) {
        workers[worker].shardTime = .milliseconds(Int64(shardMilliseconds))
    }

    /// Core time that a job lost, milliseconds.
    package func lostMilliseconds(_ job: JobID) -> Int64 { head.core?.job(job)?.ledger?.balance(.lost).coreTime ?? 0 }

    /// Whether a worker's process runs.
    package func isUp(_ worker: Int) -> Bool { workers[worker].isAlive }

    /// The coordinator's process does nothing for a while.
    package func stallCoordinator(for span: Span) { stall(Self.headEnd, for: span) }

    /// A worker's control connection breaks; who is not told finds out by silence.
    package func breakConnection(of worker: Int, tellsCoordinator: Bool, tellsWorker: Bool) {
        guard let connection = workers[worker].connection else { return }
        cut(connection, tellsCoordinator: tellsCoordinator, tellsWorker: tellsWorker)
    }

    /// The data connection from one worker to another breaks.
    package func breakDataLink(from: Int, to: Int) { breakLink(from: from, to: to) }

    /// Steps of a job that count.
    package func committed(_ job: JobID) -> Step { head.core?.job(job)?.committed ?? 0 }

    /// Where a job stands; nil while the coordinator is down.
    package func state(of job: JobID) -> JobState? { head.core?.job(job)?.state }

    /// Workers in a job's generation.
    package func workerCount(_ job: JobID) -> Int { head.core?.job(job)?.workerCount ?? 0 }

    /// The newest generation of a job.
    package func generation(_ job: JobID) -> Generation { head.core?.job(job)?.generation ?? Generation(0) }

    /// The step of a job's newest checkpoint in the store, 0 = none.
    package func checkpoint(_ job: JobID) -> Step {
        record(job).flatMap { head.records[$0].checkpoints.last?.step } ?? 0
    }
}
