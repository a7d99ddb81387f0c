import Coordination
package import Terms

/// What became of one simulated cluster.
package struct SimulationResult: Sendable, Equatable {
    package var seed: UInt64
    /// Events that cores handled.
    package var events: Int
    /// Faults that struck.
    package var faults: Int
    /// SHA-256 of everything that happened; equal for equal seeds, on any machine.
    package var traceDigest: Digest
    /// What was not as it must be, nil = nothing.
    package var failure: String?
}

/// Whole clusters in one thread: real coordinator and worker cores under a virtual clock, network, disk and engines.
package enum Simulation {
    /// Runs one cluster from its seed: faults for a while, then calm, until every job has come to its end.
    package static func run(seed: UInt64, faults: FaultLevel) -> SimulationResult {
        run(seed: seed, faults: faults) { _ in }
    }

    /// As `run(seed:faults:)`; `prepare` sees the cluster before it starts, for instance to keep its story.
    package static func run(
        seed: UInt64, faults: FaultLevel, prepare: (SimulatedCluster) -> Void
    ) -> SimulationResult {
        let cluster = SimulatedCluster(seed: seed)
        prepare(cluster)
        cluster.populate(faults)
        let isOver = cluster.run(within: patience) { $0.isOver }
        if !isOver { cluster.failAsUnfinished() }
        return SimulationResult(
            seed: seed, events: cluster.events, faults: cluster.faults, traceDigest: cluster.traceDigest(),
            failure: cluster.failure)
    }

    /// Virtual time within which every job must have come to its end; faults last a tenth of it at most.
    static let patience = Span.seconds(1200)

    /// Runs `seeds` one after another; `each` sees every result as it comes.
    package static func run(
        seeds: ClosedRange<UInt64>, faults: FaultLevel, each: (SimulationResult) -> Void
    ) -> SimulationSummary {
        var summary = SimulationSummary()
        for seed in seeds {
            let result = run(seed: seed, faults: faults)
            summary.add(result)
            each(result)
        }
        return summary
    }
}

extension SimulatedCluster {
    func failAsUnfinished() {
        let jobs = (head.core?.jobs ?? []).filter { !$0.state.isAtRest || $0.state == .paused || $0.state == .failed }.map {
            "job \($0.id) is \($0.state.rawValue) at step \($0.committed) of \($0.plannedSteps) (\($0.reason)): \($0.situation)"
        }
        fail("not everything came to its end: \(jobs.joined(separator: "; "))")
    }
}
