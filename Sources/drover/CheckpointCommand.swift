import ArgumentParser
import Checkpoints
import CoordinatorShell
import Foundation
import JobSpecs
import ModelFiles
import StorageShell
import Terms

/// `drover checkpoint`: what a run, or a job of a coordinator, has saved.
struct CheckpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint",
        abstract: "Lists, shows, verifies, exports, pins and prunes the checkpoints of a run or a job.",
        subcommands: [
            List.self, Show.self, Verify.self, Export.self, Prune.self, Now.self, Pin.self, Unpin.self,
        ])

    /// Whose checkpoints they are.
    struct Target: ParsableArguments {
        @Argument(help: ArgumentHelp("A run directory; with --coordinator a job's number.", valueName: "run"))
        var owner: String
        @Option(help: "The coordinator's HOST:PORT.")
        var coordinator: String?
        @Option(help: "A token from `drover client invite`; needed once.")
        var token: String?
        @Flag(help: "JSON on standard output.")
        var json = false

        /// The job's number at a coordinator.
        func job() throws -> Int {
            guard let number = Int(owner) else {
                throw Failure.input("with --coordinator give a job's number, not `\(owner)`")
            }
            return number
        }

        /// Asks the store of a run's folder, or the coordinator, which looks into the job's. Of a run that goes on, its own
        /// coordinator changes the store, which it alone has open.
        ///
        /// - Parameter policy: what the run itself keeps, for pruning.
        func ask(
            _ operation: String, _ members: [(key: String, value: JSONValue)] = [],
            policy: () throws -> RetentionPolicy = { RetentionPolicy(last: 2) }
        ) throws -> JSONValue {
            var request = JSONObject([(key: "do", value: .string(operation))] + members)
            if let coordinator {
                request["op"] = .string("checkpoints")
                request["job"] = .int(try job())
                return try CoordinatorClient.connect(coordinator, token: token).wait(for: .object(request))
            }
            guard token == nil else { throw Failure.input("--token is for --coordinator") }
            // Also runs whose resolved.yaml is gone have a store.
            guard Disk.hasFolder(owner) else {
                throw Failure.input("\(owner) is no directory: give the output_dir of a run")
            }
            let folder = joinPath(owner, "checkpoints")
            guard Disk.hasFolder(folder) else { throw Failure.input("\(owner): the run has no checkpoints yet") }
            do { return try CheckpointInquiry(folder: folder, policy: try policy()).answer(.object(request)) } catch let
                fault as CheckpointInquiry.Fault
            { throw Failure.input("\(owner): \(fault)") } catch let error as StorageError {
                guard case .file(.locked) = error, let door = try? RunDoor(owner), try door.resting() == nil else {
                    throw error
                }
                request["op"] = .string("checkpoints")
                request["job"] = .int(Int(RunDoor.job.number))
                return try door.client().wait(for: .object(request))
            }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "ls", abstract: "Lists checkpoints, newest first.")
        @OptionGroup var target: Target

        func run() throws {
            let answer = try target.ask("ls")
            for file in answer["unreadable"]?.array ?? [] {
                Output.note(
                    "drover: \(file["path"]?.string ?? "") can't be read: \(file["problem"]?.string ?? "")")
            }
            let list = answer["checkpoints"]?.array ?? []
            guard !target.json else { return Output.json(.array(list)) }
            let rows = list.map { item in
                [
                    String(item["step"]?.int ?? 0), item["kind"]?.string ?? "",
                    item["pinned"]?.bool == true ? "pinned" : "", Output.bytes(item["bytes"]?.int ?? 0),
                    item["created"]?.string ?? "", item["manifest"]?.string ?? "",
                ]
            }
            Output.line(Output.table(["STEP", "KIND", "PINNED", "SIZE", "CREATED", "MANIFEST"], rows))
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints a checkpoint's manifest.", discussion: "Without --step the newest one.")
        @OptionGroup var target: Target
        @Option(help: "The checkpoint's step.")
        var step: Int?

        func run() throws {
            let manifest = try target.ask("show", step.map { [("step", .int($0))] } ?? [])["manifest"] ?? .null
            if target.json { Output.json(manifest) } else { Output.line(manifest.prettyText) }
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads and hashes every stored object; exit code 1 when one is wrong. Changes nothing.",
            discussion: """
                --subset 5% reads so many of the objects, drawn anew each time, and looks only for the presence and the
                length of the others: for stores that take too long to be read at once.
                """)
        @OptionGroup var target: Target
        @Option(help: "How many of the objects are read, in percent.")
        var subset: String?

        /// The share that `--subset` names, in 0…1; nil = it names none.
        static func share(_ text: String) -> Double? {
            guard let percent = Double(text.hasSuffix("%") ? String(text.dropLast()) : text), percent > 0,
                percent <= 100
            else { return nil }
            return percent / 100
        }

        func validate() throws {
            if let subset, Self.share(subset) == nil {
                throw ValidationError("--subset takes a percentage above 0%, at most 100%, not `\(subset)`")
            }
        }

        func run() throws {
            let report = try target.ask("verify", [("share", .double(subset.flatMap(Self.share) ?? 1))])
            let findings = report["findings"]?.array ?? []
            let isSound = report["sound"]?.bool == true
            if target.json {
                Output.json(report)
            } else {
                for finding in findings {
                    Output.line(
                        Output.styled(finding["path"]?.string ?? "", .red) + ": " + (finding["problem"]?.string ?? ""))
                }
                for name in report["unusable"]?.array ?? [] {
                    Output.line("checkpoint \(name.string ?? "") can't be used")
                }
                for name in report["set_aside"]?.array ?? [] {
                    Output.line("\(name.string ?? ""): damaged, was set aside")
                }
                let (objects, hashed) = (report["objects"]?.int ?? 0, report["hashed"]?.int ?? 0)
                Output.line(
                    "\(report["manifests"]?.int ?? 0) checkpoints, \(objects) objects"
                        + (hashed < objects ? " (\(hashed) of them read)" : "")
                        + ", \(Output.bytes(report["bytes"]?.int ?? 0)): "
                        + (isSound ? "sound" : "\(findings.count) bad"))
            }
            if !isSound { throw Failure.ended(code: 1) }
        }
    }

    struct Prune: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deletes old checkpoints and objects that no checkpoint names.",
            discussion: """
                What the run's own policy keeps stays, where no option says otherwise. Trunk and final checkpoints
                always stay, so do the two newest known to be right, and until `unpin` gives them back pinned ones and
                those that `now` made. While a manifest can't be read, nothing goes: nobody knows what it needs.
                """)
        @OptionGroup var target: Target
        @Option(help: "How many of the newest stay, at least 2; default: the run's save_total_limit.")
        var keep: Int?
        @Option(help: "Every multiple of so many steps stays too, 0 = none; default: the run's save_every.")
        var every: Int?
        @Option(help: "So many with the lowest held-out loss stay too; default: the run's save_best.")
        var best: Int?
        @Flag(help: "Move manifests whose bytes are damaged to quarantine/ first; what they alone named goes then.")
        var setAside = false
        @Flag(help: "Say what would go, change nothing.")
        var dryRun = false

        func validate() throws {
            if let keep, keep < 2 {
                throw ValidationError(
                    "--keep must be at least 2: the very last may be the one that turns out to be wrong")
            }
            if setAside, dryRun { throw ValidationError("--set-aside moves files, --dry-run changes nothing") }
            if let every, every < 0 { throw ValidationError("--every must be 0 or more") }
            if let best, best < 0 { throw ValidationError("--best must be 0 or more") }
        }

        /// What the run itself keeps; without its resolved.yaml every part of it has to be given.
        private func policy() throws -> RetentionPolicy {
            if let keep, let every, let best { return RetentionPolicy(last: keep, every: every, best: best) }
            do {
                let spec = try RunFolder(target.owner).spec
                return RetentionPolicy(last: spec.saveTotalLimit, every: spec.saveEvery, best: spec.saveBest)
            } catch {
                throw Failure.input("\(Failure.sentence(error)); without it give --keep, --every and --best")
            }
        }

        func run() throws {
            let members = [("keep", keep), ("every", every), ("best", best)].compactMap { name, value in
                value.map { (key: name, value: JSONValue.int($0)) }
            }
            let report = try target.ask(
                "prune", members + [("set_aside", .bool(setAside)), ("dry_run", .bool(dryRun))], policy: policy)
            if target.json {
                Output.json(report)
            } else {
                for name in (report["set_aside"]?.array ?? []).compactMap(\.string) {
                    Output.line("set aside  \(name)")
                }
                for (part, fate) in [("kept", "keeps"), ("deleted", dryRun ? "would delete" : "deleted")] {
                    for name in (report[part]?.array ?? []).compactMap(\.string) {
                        Output.line("\(fate)  \(name)  \(report["reasons"]?[name]?.string ?? "")")
                    }
                }
                let verb = dryRun ? "would be freed" : "freed"
                Output.line(
                    "\(report["objects"]?.int ?? 0) objects, \(Output.bytes(report["bytes"]?.int ?? 0)) \(verb)")
            }
            if let refusal = report["refused"]?.string { throw Failure.failed(refusal) }
        }
    }

    struct Now: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a checkpoint of a running job at the next step; it is kept until `unpin` gives it back.")
        @OptionGroup var target: Target

        func run() throws {
            let client: CoordinatorClient
            var job = Int(RunDoor.job.number)
            if let coordinator = target.coordinator {
                job = try target.job()
                client = try CoordinatorClient.connect(coordinator, token: target.token)
            } else {
                let door = try RunDoor(target.owner)
                guard try door.resting() == nil else {
                    throw Failure.input("\(target.owner) does not run: its newest checkpoint is its state")
                }
                client = try door.client()
            }
            let answer = try client.ask(.members(["op": .string("checkpoint"), "job": .int(job)]))
            if target.json {
                Output.json(answer)
            } else {
                Output.line("asked for at step \(answer["step"]?.int ?? 0)")
            }
        }
    }

    struct Pin: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Keeps a checkpoint from pruning.")
        @OptionGroup var target: Target
        @Option(help: "The checkpoint's step.")
        var step: Int

        func run() throws {
            let answer = try target.ask("pin", [("step", .int(step))])
            if target.json { Output.json(answer) }
        }
    }

    struct Unpin: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Gives a checkpoint back to pruning: a pinned one, or one that `now` made.")
        @OptionGroup var target: Target
        @Option(help: "The checkpoint's step.")
        var step: Int

        func run() throws {
            let answer = try target.ask("unpin", [("step", .int(step))])
            if target.json { Output.json(answer) }
        }
    }
}
