import Coordination
import Simulation
import Testing

@Suite struct SeedTests {
    /// Twenty-five clusters a case, so that cases run beside each other.
    static func check(_ batch: UInt64, _ level: FaultLevel) {
        let first = batch * 25 + 1
        let summary = Simulation.run(seeds: first...first + 24, faults: level) { result in
            if let failure = result.failure {
                Issue.record("drover sim --seeds \(result.seed)..\(result.seed) --faults \(level.rawValue): \(failure)")
            }
            return true
        }
        #expect(summary.seeds == 25)
        #expect(level == .none ? summary.faults == 0 : summary.faults > 0)
    }

    @Test(arguments: 0..<1 as Range<UInt64>)
    func `clusters without faults run every job to its end`(batch: UInt64) { Self.check(batch, .none) }

    @Test(arguments: 0..<2 as Range<UInt64>)
    func `clusters with a few faults keep every invariant and come to an end`(batch: UInt64) {
        Self.check(batch, .some)
    }

    @Test(arguments: 0..<5 as Range<UInt64>)
    func `clusters with every fault keep every invariant and come to an end`(batch: UInt64) { Self.check(batch, .all) }

    @Test func `a seed always tells the same story`() {
        for level in FaultLevel.allCases {
            let once = Simulation.run(seed: 77, faults: level)
            let again = Simulation.run(seed: 77, faults: level)

            #expect(once == again)
            #expect(once.events > 0)
        }
    }

    @Test func `other seeds and other faults tell other stories`() {
        let digests =
            [1, 2, 3].map { Simulation.run(seed: $0, faults: .some).traceDigest }
            + [Simulation.run(seed: 1, faults: .none).traceDigest]

        #expect(Set(digests).count == 4)
    }

    @Test func `the trace of a range is the trace of its seeds in order`() {
        var whole = SimulationSummary()
        for seed in UInt64(5)...8 { whole.add(Simulation.run(seed: seed, faults: .none)) }

        let range = Simulation.run(seeds: 5...8, faults: .none) { _ in true }

        #expect(range.traceDigest == whole.traceDigest && range.events == whole.events && range.seeds == 4)
    }

    @Test func `the number of threads changes nothing`() {
        let one = Simulation.run(seeds: 40...75, faults: .all) { _ in true }
        let three = Simulation.run(seeds: 40...75, faults: .all, threads: 3) { _ in true }

        #expect(one.traceDigest == three.traceDigest)
        #expect(one.events == three.events && one.faults == three.faults)
    }
}

@Suite struct PlantedBugTests {
    /// Bugs that any few clusters show; `scripts/mutants` hunts all of them.
    @Test(arguments: [
        PlantedBug.leasePastItsEnd, .shardToTwoMembers, .epochStays, .oldBackupServes, .requestCarriedOutTwice,
        .doubledMessageHeard, .recipeNotJournalled, .sentBeforeDurable, .stepCountsTwice, .queuedJobRuns,
        .checkpointNotJournalled, .sendersClockBelieved, .workerOnWallClock, .brokenLinkIgnored, .windowStays,
        .trunksExpire, .endingNotSetAside, .energyOfOneCore, .chainNotContinued, .pastNotInherited,
    ])
    func `a planted bug is found, and by the check of its own invariant`(bug: PlantedBug) {
        var found: SimulationResult?
        _ = Simulation.run(seeds: 1...60, faults: .all, bug: bug) { result in
            if result.failure != nil { found = result }
            return found == nil
        }

        #expect(found?.invariant?.rawValue == bug.invariant, "\(found?.failure ?? "not found")")
    }

    @Test func `every invariant of state and protocol has two bugs, and each bug names one`() {
        let invariants = Set(Invariant.allCases.map(\.rawValue))

        #expect(PlantedBug.allCases.allSatisfy { invariants.contains($0.invariant) })
        for number in 1...10 { #expect(PlantedBug.allCases.count { $0.invariant == "I\(number)" } >= 2) }
        #expect(PlantedBug.allCases.count >= 30)
    }
}

@Suite struct ScaleTests {
    @Test func `every worker finds a job, and after a restart all of them run again`() throws {
        var stage = ScaleStage()
        stage.submit(jobs: 200)
        stage.join(workers: 0..<40)
        #expect(stage.placements >= 40 && stage.runningCount >= 20)

        stage.turnOver(30)
        let next = try stage.restarted(workers: 40)

        #expect(stage.placements >= 70)
        #expect(next.runningCount >= 20)
    }
}
