import ArgumentParser
import Coordination
import Foundation
import Simulation
import Terms

/// `drover sim`: whole clusters in one thread each, every one from one seed.
struct Sim: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs simulated clusters with faults and checks every promise after every event.",
        discussion: """
            Exit code 1 when any seed failed, with the command that replays each. The trace is the same for the same
            seeds, on any machine and with any number of threads. --mutant plants one bug and stops at the first seed
            that finds it: the run must fail. --mutants names them all.
            """)

    @Option(help: "Seeds A..B, or one seed.")
    var seeds = "1..100"

    @Option(help: "none, some or all.")
    var faults = "all"

    @Option(help: "Clusters that run side by side; the result does not depend on it.")
    var threads = 1

    @Option(help: "A bug to plant, by its name.")
    var mutant: String?

    @Flag(help: "Names the bugs that can be planted, one a line.")
    var mutants = false

    @Flag(help: "Tells what happened in each cluster.")
    var story = false

    @Flag(help: "One JSON object a line.")
    var json = false

    func run() throws {
        if mutants { return PlantedBug.allCases.forEach { Output.line($0.rawValue) } }
        guard let range = Self.range(seeds) else {
            throw Failure.input("--seeds takes A..B with A ≤ B, not `\(seeds)`")
        }
        guard let level = FaultLevel(rawValue: faults) else { throw Failure.input("--faults takes none, some or all") }
        guard (1...256).contains(threads) else { throw Failure.input("--threads takes 1 to 256") }
        let bug = try mutant.map { name in
            guard let bug = PlantedBug(rawValue: name) else {
                throw Failure.input("no such bug: `\(name)`; --mutants names them")
            }
            return bug
        }
        if story { return tell(range, level, bug) }
        let start = Date()
        let summary = Simulation.run(seeds: range, faults: level, bug: bug, threads: threads) { result in
            guard let failure = result.failure else { return true }
            tell(result, failure)
            return bug == nil
        }
        let seconds = Date().timeIntervalSince(start)
        let end = JSONValue.members([
            "event": .string("end"), "seeds": .int(summary.seeds), "failed": .int(summary.failed.count),
            "events": .int(summary.events), "faults": .int(summary.faults), "reissues": .int(summary.reissues),
            "trace_sha256": .string(summary.traceDigest.hex), "seconds": .double(seconds),
            "events_per_second": .int(Int(Double(summary.events) / max(seconds, 1e-9))),
        ])
        if json {
            Output.json(end)
        } else {
            Output.line(
                "\(summary.seeds) clusters, \(summary.events) events, \(summary.faults) faults, "
                    + "\(summary.reissues) shards issued twice in \(LiveView.decimals(seconds, 1)) s: \(summary.failed.count) failed\ntrace \(summary.traceDigest.hex)"
            )
        }
        guard summary.failed.isEmpty else { throw Failure.ended(code: 1) }
    }

    /// Says what failed, and how to see it again.
    private func tell(_ result: SimulationResult, _ failure: String) {
        let planted = mutant.map { " --mutant \($0)" } ?? ""
        let replay = "drover sim --seeds \(result.seed)..\(result.seed) --faults \(faults)\(planted)"
        if json {
            Output.json(
                .members([
                    "event": .string("failure"), "seed": .string(String(result.seed)),
                    "invariant": .string(result.invariant?.rawValue ?? ""), "problem": .string(failure),
                    "replay": .string(replay),
                ]))
        } else {
            Output.line("seed \(result.seed): \(failure)\n  replay: \(replay)")
        }
    }

    private func tell(_ seeds: ClosedRange<UInt64>, _ level: FaultLevel, _ bug: PlantedBug?) {
        for seed in seeds {
            var cluster: SimulatedCluster?
            let result = Simulation.run(seed: seed, faults: level, bug: bug) { made in
                made.keepsStory = true
                cluster = made
            }
            for line in cluster?.story ?? [] { Output.line(line) }
            Output.line("seed \(seed): \(result.failure ?? "every promise was kept")")
        }
    }

    private static func range(_ text: String) -> ClosedRange<UInt64>? {
        let parts = text.components(separatedBy: "..")
        guard let lower = UInt64(parts[0]) else { return nil }
        guard parts.count > 1 else { return lower...lower }
        guard parts.count == 2, let upper = UInt64(parts[1]), lower <= upper else { return nil }
        return lower...upper
    }
}
