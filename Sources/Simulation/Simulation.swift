package import Coordination
import Dispatch
import Synchronization
package import Terms

/// What became of one simulated cluster.
package struct SimulationResult: Sendable, Equatable {
    package var seed: UInt64
    /// Events that cores handled.
    package var events: Int
    /// Faults that struck.
    package var faults: Int
    /// Shards that were issued to a second member because the first one was late.
    package var reissues: Int
    /// SHA-256 of everything that happened; equal for equal seeds, on any machine.
    package var traceDigest: Digest
    /// What was not as it must be, nil = nothing.
    package var failure: String?
    /// The invariant that did not hold.
    package var invariant: Invariant?
}

/// Whole clusters in one thread: real coordinator and worker cores under a virtual clock, network, disk and engines.
package enum Simulation {
    /// Runs one cluster from its seed: faults for a while, then calm, until every job has come to its end.
    ///
    /// - Parameter bug: planted in the cores and shells, to see it found.
    package static func run(seed: UInt64, faults: FaultLevel, bug: PlantedBug? = nil) -> SimulationResult {
        run(seed: seed, faults: faults, bug: bug) { _ in }
    }

    /// As `run(seed:faults:)`; `prepare` sees the cluster before it starts, for instance to keep its story.
    package static func run(
        seed: UInt64, faults: FaultLevel, bug: PlantedBug? = nil, prepare: (SimulatedCluster) -> Void
    ) -> SimulationResult {
        let cluster = SimulatedCluster(seed: seed, bug: bug, rates: SimulatedCluster.drawRates(seed: seed))
        prepare(cluster)
        cluster.populate(faults)
        let isOver = cluster.run(within: patience) { $0.isOver }
        if isOver { cluster.checkChains() } else { cluster.failAsUnfinished() }
        return SimulationResult(
            seed: seed, events: cluster.events, faults: cluster.faults, reissues: cluster.reissues,
            traceDigest: cluster.traceDigest(),
            failure: cluster.failure.map { "\($0.invariant.rawValue): \($0.text)" },
            invariant: cluster.failure?.invariant)
    }

    /// Virtual time within which every job must have come to its end; faults last a tenth of it at most.
    static let patience = Span.seconds(1200)

    /// Runs `seeds`, on several threads when asked; `each` sees every result in the order of the seeds, so that nothing
    /// depends on the number of threads. Ends early when `each` says false.
    package static func run(
        seeds: ClosedRange<UInt64>, faults: FaultLevel, bug: PlantedBug? = nil, threads: Int = 1,
        each: (SimulationResult) -> Bool
    ) -> SimulationSummary {
        var summary = SimulationSummary()
        var next = seeds.lowerBound
        let batch = UInt64(threads > 1 ? threads * 16 : 1)
        while true {
            let last = seeds.upperBound - next < batch ? seeds.upperBound : next + batch - 1
            for result in run(batch: next...last, faults, bug, threads) {
                summary.add(result)
                guard each(result) else { return summary }
            }
            guard last < seeds.upperBound else { return summary }
            next = last + 1
        }
    }

    /// A few seeds side by side.
    private static func run(
        batch: ClosedRange<UInt64>, _ faults: FaultLevel, _ bug: PlantedBug?, _ threads: Int
    ) -> [SimulationResult] {
        let count = Int(batch.upperBound - batch.lowerBound) + 1
        guard threads > 1, count > 1 else { return batch.map { run(seed: $0, faults: faults, bug: bug) } }
        let results = Mutex<[SimulationResult?]>(Array(repeating: nil, count: count))
        let next = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: min(threads, count)) { _ in
            while case let place = next.add(1, ordering: .relaxed).oldValue, place < count {
                let result = run(seed: batch.lowerBound + UInt64(place), faults: faults, bug: bug)
                results.withLock { $0[place] = result }
            }
        }
        return results.withLock { $0.compactMap(\.self) }
    }
}

extension SimulatedCluster {
    func failAsUnfinished() {
        let jobs = (head.core?.jobs ?? []).filter { !$0.state.isAtRest || $0.state == .paused || $0.state == .failed }
        let texts = jobs.map {
            "job \($0.id) is \($0.state.rawValue) at step \($0.committed) of \($0.plannedSteps) (\($0.reason)): \($0.situation)"
        }
        let isQueued = jobs.allSatisfy { $0.state == .queued }
        fail(isQueued ? .l4 : .l1, "not everything came to its end: \(texts.joined(separator: "; "))")
    }
}
