import Foundation
import Terms
import Testing

/// What is kept, what is accounted, and what a full disk does.
@Suite(.serialized) struct StoreTests {
    private func listed(_ scene: Scene, _ run: String = "run") throws -> [JSONValue] {
        try scene.run("checkpoint", "ls", run, "--json").end.array ?? []
    }

    @Test func `the best checkpoint and every M-th outlive the newest ones`() throws {
        let scene = try Scene()
        let outcome = try scene.run(
            "train", "job.yaml", "eval_steps=8", "save_steps=4", "save_total_limit=2", "save_best=1", "save_every=12",
            "eval_on_start=false", "--workers", "1", "--json")
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(outcome.lines.first { $0["event"]?.string == "eval" }?["step"]?.int == 8)
        #expect(outcome.lines.allSatisfy { $0["event"]?.string != "eval" || $0["core_hours"]?.double != nil })
        let losses = outcome.lines.filter { $0["event"]?.string == "eval" }.compactMap { line -> (Int, Double)? in
            guard let step = line["step"]?.int, let loss = line["loss"]?.double, step > 0 else { return nil }
            return (step, loss)
        }
        let last = try #require(outcome.end["steps"]?.int)
        let saved = losses.filter { $0.0 % 4 == 0 || $0.0 == last }
        let best = try #require(saved.min { $0.1 < $1.1 }?.0)
        let kept = Set(try listed(scene).compactMap { $0["step"]?.int })

        #expect(kept.contains(best) && kept.contains(last), "\(kept), best \(best)")
        for step in stride(from: 12, through: last, by: 12) { #expect(kept.contains(step), "\(kept)") }
        // Neither a milestone, nor the best, nor the trunk, nor among the last: gone.
        #expect(!kept.contains(4) && (!kept.contains(8) || best == 8))
        // A checkpoint carries the loss of its own step, or none; and what its bits can be relied on for.
        func shown(_ step: Int) throws -> JSONValue {
            try scene.run("checkpoint", "show", "run", "--step", "\(step)", "--json").end
        }
        let lowest = try #require(saved.first { $0.0 == best }?.1)
        #expect(try shown(best)["eval_loss_bits"]?.string == String(lowest.bitPattern, radix: 16))
        let milestone = try shown(12)
        #expect(milestone["eval_loss_bits"]?.isNull == true && milestone["exactness"]?.string == "E0")
        #expect(milestone["numerics"]?["profile"]?.string != nil)
        #expect(try scene.run("checkpoint", "verify", "run").code == 0)
        #expect(try scene.run("checkpoint", "verify", "run", "--subset", "30%", "--json").end["sound"]?.bool == true)

        // Pruned by hand, the run's own policy still holds where nothing else is said.
        #expect(try scene.run("checkpoint", "prune", "run", "--keep", "2", "--json").code == 0)
        #expect(Set(try listed(scene).compactMap { $0["step"]?.int }) == kept)
        let other = try scene.run("checkpoint", "prune", "run", "--every", "0", "--best", "0", "--dry-run", "--json")
            .end
        #expect(other["deleted"]?.array?.isEmpty == false && other["refused"]?.isNull == true)
        try scene.write("nonsense", to: "run/checkpoints/runs/main/PINS")
        let refused = try scene.run("checkpoint", "prune", "run", "--every", "0", "--best", "0", "--json")
        #expect(refused.code == 1 && refused.errors.contains("PINS"), "\(refused.errors)")
        #expect(Set(try listed(scene).compactMap { $0["step"]?.int }) == kept)

        let exported = try scene.run(
            "checkpoint", "export", "run", "--step", "\(best)", "--format", "peft", "-o", "best", "--json")
        #expect(exported.code == 0 && exported.end["step"]?.int == best, "\(exported.errors)")

        // At rest, what another policy lets go is free at once, as much as the dry run said.
        try FileManager.default.removeItem(
            at: scene.folder.appendingPathComponent("run/checkpoints/runs/main/PINS"))
        let gone = try scene.run("checkpoint", "prune", "run", "--every", "0", "--best", "0", "--json").end
        #expect((gone["bytes"]?.int ?? 0) > 0 && gone["bytes"] == other["bytes"] && gone["objects"] == other["objects"])
    }

    @Test func `a damaged manifest stops pruning until it is set aside, and is no fault from then on`() throws {
        let scene = try Scene()
        let outcome = try scene.run(
            "train", "job.yaml", "save_steps=3", "save_total_limit=20", "--workers", "1", "--json")
        #expect(outcome.code == 0, "\(outcome.errors)")
        let names = try listed(scene).compactMap { $0["manifest"]?.string }
        let victim = scene.folder.appendingPathComponent("run/checkpoints/runs/main/manifests/\(names.last ?? "")")
        var bytes = try Data(contentsOf: victim)
        bytes[bytes.count / 2] ^= 1
        chmod(victim.path, 0o644)
        try bytes.write(to: victim)

        let refused = try scene.run("checkpoint", "prune", "run", "--keep", "2", "--json")
        #expect(refused.code == 1 && refused.errors.contains("--set-aside"), "\(refused.errors)")
        #expect(try listed(scene).count == names.count - 1)
        #expect(try scene.run("fsck", "run").code == 1)
        let pruned = try scene.run("checkpoint", "prune", "run", "--keep", "2", "--set-aside", "--json")
        #expect(pruned.code == 0 && (pruned.end["bytes"]?.int ?? 0) > 0, "\(pruned.errors)")
        let checked = try scene.run("fsck", "run", "--json").end
        #expect(checked["sound"]?.bool == true && checked["set_aside"]?.array?.count == 1, "\(checked)")
    }

    @Test func `usage since a day counts what was charged from it on`() throws {
        let scene = try Scene()
        let steps = try scene.run("train", "job.yaml", "project=lab", "--workers", "1", "--json").end["steps"]?.int
        let day = ISO8601DateFormatter()
        day.formatOptions = [.withFullDate]
        func charged(since date: Date) throws -> Double? {
            let rows = try scene.run("usage", "run", "--since", day.string(from: date), "--json").end.array
            #expect(rows?.count == 1 && rows?.first?["project"]?.string == "lab")
            return rows?.first?["steps"]?.double
        }

        #expect(try charged(since: Date(timeIntervalSinceNow: -86_400)) == steps.map(Double.init))
        #expect(try charged(since: Date(timeIntervalSinceNow: 2 * 86_400)) == 0)
        #expect(try scene.run("usage", "run", "--since", "yesterday").code == 2)
    }

    @Test func `a new run begins with the state of another one, given as a path`() throws {
        let scene = try Scene()
        let whole = try scene.run("train", "job.yaml", "save_total_limit=20", "--workers", "1", "--json")
        let again = try scene.run(
            "train", "job.yaml", "output_dir=second", "--resume", "run@14", "--workers", "1", "--json")

        #expect(again.code == 0 && again.digest != nil && again.digest == whole.digest, "\(again.errors)")
        #expect(again.lines.first { $0["event"]?.string == "step" }?["current_steps"]?.int == 15)
        #expect(try scene.run("train", "job.yaml", "output_dir=third", "--resume", "nowhere@3", "--json").code == 2)
    }

    @Test(.enabled(if: canMount, "a small disk to fill needs the right to mount one"))
    func `a full disk pauses the job, and what is there stays whole`() throws {
        let disk = try Scene()
        let expected = try disk.run("train", "job.yaml", "--workers", "1", "--json")
        let scene = try Scene()
        let small = scene.folder.appendingPathComponent("small").path
        try FileManager.default.createDirectory(atPath: small, withIntermediateDirectories: true)
        try #require(Self.command("mount", "-t", "tmpfs", "-o", "size=48m", "none", small))
        defer { _ = Self.command("umount", "-l", small) }
        let first = try scene.run(
            "train", "job.yaml", "output_dir=small/run", "budget.steps=12", "--workers", "1", "--json")
        #expect(first.code == 3, "\(first.errors)")
        let before = try listed(scene, "small/run").compactMap { $0["manifest"]?.string }
        // All but a few megabytes: the journal still finds room, a checkpoint with its reserve does not.
        let space = try #require(
            try FileManager.default.attributesOfFileSystem(forPath: small)[.systemFreeSize] as? Int)
        try Data(count: space - (5 << 20)).write(to: URL(fileURLWithPath: small + "/ballast"))

        let full = try scene.run("resume", "small/run", "budget.steps=1000", "--workers", "1", "--json")
        #expect(full.end["state"]?.string == "PAUSED", "\(full.end) \(full.errors)")
        #expect(full.end["reason"]?.string?.contains("three times in a row") == true)
        #expect(full.lines.contains { $0["event"]?.string == "checkpoint_failed" })
        #expect(try scene.run("checkpoint", "verify", "small/run").code == 0)
        #expect(Set(try listed(scene, "small/run").compactMap { $0["manifest"]?.string }).isSuperset(of: before))

        try FileManager.default.removeItem(atPath: small + "/ballast")
        let last = try scene.run("resume", "small/run", "--workers", "2", "--json")
        #expect(last.code == 0 && last.digest != nil && last.digest == expected.digest, "\(last.errors)")

        // A finished run needs no room: its end is told on a full disk too.
        let rest = try #require(
            try FileManager.default.attributesOfFileSystem(forPath: small)[.systemFreeSize] as? Int)
        try Data(count: rest - (1 << 20)).write(to: URL(fileURLWithPath: small + "/ballast"))
        let told = try scene.run("resume", "small/run", "save_total_limit=1000", "--json")
        #expect(told.code == 0 && told.digest == expected.digest, "\(told.errors)")
    }

    @Test(.enabled(if: canMount, "a small disk to fill needs the right to mount one"))
    func `a disk that fills up to the last byte pauses the job, which ends with the same bits`() throws {
        let whole = try Scene(epochs: 60).run("train", "job.yaml", "--workers", "1", "--json")
        let scene = try Scene(epochs: 60)
        let small = scene.folder.appendingPathComponent("run").path
        try FileManager.default.createDirectory(atPath: small, withIntermediateDirectories: true)
        try #require(Self.command("mount", "-t", "tmpfs", "-o", "size=48m", "none", small))
        defer { _ = Self.command("umount", "-l", small) }
        let running = try scene.start("train", "job.yaml", "--workers", "2", "--json")
        try scene.waitForLog(lines: 5)
        // Ends when nothing more goes in.
        _ = Self.command("dd", "if=/dev/zero", "of=\(small)/ballast", "bs=1k")

        let full = running.outcome()
        #expect(full.end["state"]?.string == "PAUSED", "\(full.end) \(full.errors)")
        #expect(full.code == 130)
        #expect(full.end["reason"]?.string?.contains("the disk") == true)
        // Still full: refused, or paused again.
        #expect([1, 130].contains(try scene.run("resume", "run", "--json").code))
        try FileManager.default.removeItem(atPath: small + "/ballast")
        #expect(try scene.run("fsck", "run").code == 0)
        let last = try scene.run("resume", "run", "--workers", "1", "--json")
        #expect(last.code == 0 && last.digest != nil && last.digest == whole.digest, "\(last.errors)")
        #expect(try scene.loggedSteps() == Array(1...(last.end["steps"]?.int ?? 0)))
        #expect(!FileManager.default.fileExists(atPath: small + "/state/reserve"))
    }

    /// Whether this process may mount a disk.
    private static let canMount: Bool = {
        let folder = NSTemporaryDirectory() + "drover-mount-\(UUID().uuidString)"
        guard command("mkdir", folder) else { return false }
        defer { _ = command("rmdir", folder) }
        return command("mount", "-t", "tmpfs", "-o", "size=1m", "none", folder) && command("umount", folder)
    }()

    private static func command(_ words: String...) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    @Test func `a project's budget ends its job, which goes on when it is raised; a guest asks with a token`() throws {
        let expected = try Scene().run("train", "job.yaml", "--workers", "1", "--json")
        let cluster = try Cluster(Scene())
        for name in ["w1", "w2"] { try cluster.join(name) }
        #expect(try cluster.ask("budget", "add", "lab", "15 steps", "--json").code == 0)
        let first = try cluster.ask("train", "job.yaml", "project=lab", "--json")
        #expect(first.code == 3 && first.end["state"]?.string == "BUDGET_EXHAUSTED", "\(first.errors)")
        #expect(first.end["steps"]?.int == 15)

        func token() throws -> String {
            try #require(try cluster.ask("client", "invite", "--json").end["token"]?.string)
        }
        let shown = try cluster.ask("budget", "show", "lab", "--json", "--token", try token(), user: "guest").end
        #expect(shown["limits"]?["steps"]?.double == 15 && shown["spent"]?["steps"]?.double == 15)
        let used = try cluster.ask("usage", "--json", "--token", try token(), user: "other").end.array?.first
        #expect(used?["project"]?.string == "lab" && used?["steps"]?.double == 15)
        let now = try cluster.ask("checkpoint", "now", "1", "--json", "--token", try token(), user: "third")
        #expect(now.code == 2 && now.errors.contains("BUDGET_EXHAUSTED"), "\(now.errors)")

        // What was saved there is looked at, pinned and fetched from here.
        let saved = try cluster.ask("checkpoint", "ls", "1", "--json").end.array ?? []
        #expect(saved.first?["step"]?.int == 15 && saved.first?["kind"]?.string == "final", "\(saved)")
        #expect(try cluster.ask("checkpoint", "show", "1", "--step", "15", "--json").end["step"]?.int == 15)
        #expect(try cluster.ask("checkpoint", "verify", "1", "--json").end["sound"]?.bool == true)
        let oldest = try #require(saved.last?["step"]?.int)
        #expect(try cluster.ask("checkpoint", "pin", "1", "--step", "\(oldest)").code == 0)
        let pruned = try cluster.ask("checkpoint", "prune", "1", "--keep", "2", "--json")
        #expect(pruned.code == 0 && pruned.end["kept"]?.array?.isEmpty == false, "\(pruned.errors)")
        #expect(try cluster.ask("checkpoint", "show", "1", "--step", "99").code != 0)
        let exported = try cluster.ask("checkpoint", "export", "1", "--format", "peft", "-o", "fetched", "--json")
        #expect(exported.code == 0 && exported.end["model_sha256"]?.string == first.digest, "\(exported.errors)")

        #expect(try cluster.ask("budget", "add", "lab", "1000 steps", "--json").code == 0)
        let last = try cluster.ask("resume", "1", "--json")
        #expect(last.code == 0 && last.digest != nil && last.digest == expected.digest, "\(last.errors)")
    }
}
