import ArgumentParser
import Checkpoints
import Foundation
import JobSpecs
import ModelFiles
import StorageShell
import Terms

/// `drover checkpoint`: what a run has saved.
struct CheckpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint", abstract: "Lists, shows, verifies, pins and prunes the checkpoints of a run.",
        subcommands: [List.self, Show.self, Verify.self, Prune.self, Now.self, Pin.self, Unpin.self])

    /// The run of every subcommand.
    struct Target: ParsableArguments {
        @Argument(help: "A run directory.")
        var run: String
        @Flag(help: "JSON on standard output.")
        var json = false

        /// The store's folder; also runs whose resolved.yaml is gone have one.
        func store() throws -> String {
            guard Disk.hasFolder(run) else {
                throw Failure.input("\(run) is no directory: give the output_dir of a run")
            }
            let folder = joinPath(run, "checkpoints")
            guard Disk.hasFolder(folder) else { throw Failure.input("\(run): the run has no checkpoints yet") }
            return folder
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "ls", abstract: "Lists checkpoints, newest first.")
        @OptionGroup var target: Target

        func run() throws {
            let store = try CheckpointStore.openReading(try target.store())
            let list = try store.list(RunFolder.run)
            for rejected in try store.scan(RunFolder.run).rejected {
                Output.note("drover: \(rejected.name) can't be read: \(rejected.reason)")
            }
            guard !target.json else { return Output.json(.array(list.map(Self.json))) }
            let rows = list.map { listing in
                let manifest = listing.record.manifest
                return [
                    String(manifest.step), manifest.kind.rawValue, listing.isPinned ? "pinned" : "",
                    Output.bytes(manifest.stateBytes), Self.date(manifest), listing.record.name.text,
                ]
            }
            Output.line(Output.table(["STEP", "KIND", "PINNED", "SIZE", "CREATED", "MANIFEST"], rows))
        }

        private static func json(_ listing: CheckpointListing) -> JSONValue {
            let manifest = listing.record.manifest
            return .members([
                "step": .int(manifest.step), "kind": .string(manifest.kind.rawValue), "pinned": .bool(listing.isPinned),
                "bytes": .int(manifest.stateBytes), "created": .string(date(manifest)),
                "manifest": .string(listing.record.name.text),
            ])
        }

        /// ISO 8601 in UTC.
        private static func date(_ manifest: Manifest) -> String {
            let formatter = ISO8601DateFormatter()
            return formatter.string(from: Date(timeIntervalSince1970: Double(manifest.createdUnixMilliseconds) / 1000))
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints a checkpoint's manifest.", discussion: "Without --step the newest one.")
        @OptionGroup var target: Target
        @Option(help: "The checkpoint's step.")
        var step: Int?

        func run() throws {
            let store = try CheckpointStore.openReading(try target.store())
            let record = try CheckpointCommand.record(step, in: store, target.run)
            do {
                let json = try JSONValue.parse(record.manifest.canonicalBytes)
                if target.json { Output.json(json) } else { Output.line(json.prettyText) }
            } catch { throw Failure.failed("\(record.name): \(error)") }
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads and hashes every stored object; exit code 1 when one is wrong. Changes nothing.")
        @OptionGroup var target: Target

        func run() throws {
            let report = try CheckpointStore.verify(try target.store())
            if target.json {
                Output.json(
                    .members([
                        "sound": .bool(report.isSound), "runs": .int(report.runs), "manifests": .int(report.manifests),
                        "objects": .int(report.objects), "bytes": .int(report.bytes),
                        "findings": .array(
                            report.findings.map {
                                .members(["path": .string($0.path), "problem": .string($0.problem)])
                            }),
                        "unusable": .array(report.unusable.map(JSONValue.string)),
                    ]))
            } else {
                for finding in report.findings {
                    Output.line(Output.styled(finding.path, .red) + ": " + finding.problem)
                }
                for name in report.unusable { Output.line("checkpoint \(name) can't be used") }
                Output.line(
                    "\(report.manifests) checkpoints, \(report.objects) objects, \(Output.bytes(report.bytes)): "
                        + (report.isSound ? "sound" : "\(report.findings.count) bad"))
            }
            if !report.isSound { throw Failure.ended(code: 1) }
        }
    }

    struct Prune: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deletes old checkpoints and objects that no checkpoint names.",
            discussion: "Pinned, trunk and final checkpoints stay, and so do the two newest known to be right.")
        @OptionGroup var target: Target
        @Option(help: "How many of the newest stay, at least 2; default: the run's save_total_limit.")
        var keep: Int?
        @Option(help: "Every multiple of so many steps stays too.")
        var every: Int?
        @Flag(help: "Say what would go, change nothing.")
        var dryRun = false

        func run() throws {
            let folder = try target.store()
            let last = try keep ?? RunFolder(target.run).spec.saveTotalLimit
            let store = try dryRun ? CheckpointStore.openReading(folder) : CheckpointStore.open(folder)
            let report = try store.prune(
                [(RunFolder.run, RetentionPolicy(last: last, every: every))], at: CheckpointCommand.now, dryRun: dryRun)
            let decisions = report.runs.flatMap(\.decisions)
            if target.json {
                Output.json(
                    .members([
                        "dry_run": .bool(dryRun), "refused": report.refusal.map(JSONValue.string) ?? .null,
                        "deleted": .array(decisions.filter { !$0.keeps }.map { .string($0.name.text) }),
                        "kept": .array(decisions.filter(\.keeps).map { .string($0.name.text) }),
                        "objects": .int(report.plan.sweep.count), "bytes": .int(report.plan.sweptBytes),
                    ]))
            } else {
                for decision in decisions {
                    let fate = decision.keeps ? "keeps" : dryRun ? "would delete" : "deleted"
                    Output.line("\(fate)  \(decision.name)  \(decision.reason)")
                }
                let verb = dryRun ? "would be freed" : "freed"
                Output.line("\(report.plan.sweep.count) objects, \(Output.bytes(report.plan.sweptBytes)) \(verb)")
            }
            if let refusal = report.refusal { throw Failure.failed(refusal) }
        }
    }

    struct Now: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a checkpoint of a running job at the next step; it is kept until it is deleted by hand.")
        @Argument(help: ArgumentHelp("A run directory; with --coordinator a job's number.", valueName: "run"))
        var owner: String
        @Option(help: "The coordinator's HOST:PORT.")
        var coordinator: String?
        @Option(help: "A token from `drover client invite`; needed once.")
        var token: String?
        @Flag(help: "JSON on standard output.")
        var json = false

        func run() throws {
            let client: CoordinatorClient
            var job = Int(RunDoor.job.number)
            if let coordinator {
                guard let number = Int(owner) else {
                    throw Failure.input("with --coordinator give a job's number, not `\(owner)`")
                }
                job = number
                client = try CoordinatorClient.connect(coordinator, token: token)
            } else {
                let door = try RunDoor(owner)
                guard try door.resting() == nil else {
                    throw Failure.input("\(owner) does not run: its newest checkpoint is its state")
                }
                client = try door.client()
            }
            let answer = try client.ask(.members(["op": .string("checkpoint"), "job": .int(job)]))
            if json { Output.json(answer) } else { Output.line("asked for at step \(answer["step"]?.int ?? 0)") }
        }
    }

    struct Pin: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Keeps a checkpoint from pruning.")
        @OptionGroup var target: Target
        @Option(help: "The checkpoint's step.")
        var step: Int

        func run() throws {
            let store = try CheckpointStore.open(try target.store())
            let record = try CheckpointCommand.record(step, in: store, target.run)
            try store.pin(RunFolder.run, record.name, at: CheckpointCommand.now)
        }
    }

    struct Unpin: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Gives a checkpoint back to pruning.")
        @OptionGroup var target: Target
        @Option(help: "The checkpoint's step.")
        var step: Int

        func run() throws {
            let store = try CheckpointStore.open(try target.store())
            let record = try CheckpointCommand.record(step, in: store, target.run)
            try store.unpin(RunFolder.run, record.name, at: CheckpointCommand.now)
        }
    }

    /// The newest checkpoint, or the newest one of `step`.
    fileprivate static func record(_ step: Int?, in store: CheckpointStore, _ run: String) throws -> CheckpointRecord {
        let records = try store.scan(RunFolder.run).records
        guard let step else {
            guard let newest = records.first else { throw Failure.input("\(run): the run has no checkpoints yet") }
            return newest
        }
        guard let record = records.first(where: { $0.manifest.step == step }) else {
            let steps = records.map { String($0.manifest.step) }.joined(separator: ", ")
            throw Failure.input("\(run): there is no checkpoint of step \(step); there are those of steps \(steps)")
        }
        return record
    }

    /// Milliseconds since 1970.
    fileprivate static var now: Int { Int(Date().timeIntervalSince1970 * 1000) }
}
