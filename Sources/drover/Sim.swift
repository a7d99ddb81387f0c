import ArgumentParser
import Foundation
import Simulation
import Terms

/// `drover sim`: whole clusters in one thread, each from one seed.
struct Sim: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs simulated clusters with faults and checks every promise after every event.",
        discussion: "Exit code 1 when any seed failed, with the command that replays each.")

    @Option(help: "Seeds A..B, or one seed.")
    var seeds: String

    @Option(help: "none, some or all.")
    var faults = "all"

    @Flag(help: "One JSON object a line.")
    var json = false

    func run() throws {
        guard let range = Self.range(seeds) else { throw Failure.input("--seeds takes A..B with A ≤ B, not `\(seeds)`") }
        guard let level = FaultLevel(rawValue: faults) else { throw Failure.input("--faults takes none, some or all") }
        let start = Date()
        let summary = Simulation.run(seeds: range, faults: level) { result in
            guard let failure = result.failure else { return }
            let replay = "drover sim --seeds \(result.seed)..\(result.seed) --faults \(faults)"
            if json {
                Output.json(.members([
                    "event": .string("failure"), "seed": .string(String(result.seed)), "problem": .string(failure),
                    "replay": .string(replay),
                ]))
            } else {
                Output.line("seed \(result.seed): \(failure)\n  replay: \(replay)")
            }
        }
        let seconds = Date().timeIntervalSince(start)
        let end = JSONValue.members([
            "event": .string("end"), "seeds": .int(summary.seeds), "failed": .int(summary.failed.count),
            "events": .int(summary.events), "faults": .int(summary.faults),
            "trace_sha256": .string(summary.traceDigest.hex), "seconds": .double(seconds),
        ])
        if json { Output.json(end) } else {
            Output.line(
                "\(summary.seeds) clusters, \(summary.events) events, \(summary.faults) faults in "
                    + "\(LiveView.decimals(seconds, 1)) s: \(summary.failed.count) failed\ntrace \(summary.traceDigest.hex)")
        }
        guard summary.failed.isEmpty else { throw Failure.ended(code: 1) }
    }

    private static func range(_ text: String) -> ClosedRange<UInt64>? {
        let parts = text.components(separatedBy: "..")
        guard let lower = UInt64(parts[0]) else { return nil }
        guard parts.count > 1 else { return lower...lower }
        guard parts.count == 2, let upper = UInt64(parts[1]), lower <= upper else { return nil }
        return lower...upper
    }
}
