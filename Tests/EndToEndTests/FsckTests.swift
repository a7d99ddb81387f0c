import Foundation
import Terms
import Testing

/// `drover fsck` finds what is damaged or gone, wherever it is, and all of it.
@Suite(.serialized) struct FsckTests {
    private func findings(_ scene: Scene, _ run: String = "run") throws -> [String] {
        let outcome = try scene.run("fsck", run, "--json")
        let list = (outcome.end["findings"]?.array ?? []).compactMap(\.string)
        #expect(outcome.end["sound"]?.bool == list.isEmpty && outcome.code == (list.isEmpty ? 0 : 1))
        return list
    }

    private func remove(_ name: String, of scene: Scene) throws {
        try FileManager.default.removeItem(at: scene.folder.appendingPathComponent(name))
    }

    /// Changes a text wherever the journal's file has it, as a disk would; returns in how many places.
    private func alterJournal(_ scene: Scene, _ old: String, to new: String) throws -> Int {
        let file = scene.folder.appendingPathComponent("run/state/journal.sqlite")
        var (bytes, count) = (try Data(contentsOf: file), 0)
        while let place = bytes.range(of: Data(old.utf8)) {
            bytes.replaceSubrange(place, with: Data(new.utf8))
            count += 1
        }
        try bytes.write(to: file)
        return count
    }

    @Test func `checkpoints that are gone with their folder are missed, unless none was ever saved`() throws {
        let scene = try Scene()
        let steps = try #require(
            try scene.run("train", "job.yaml", "--workers", "1", "--json").end["steps"]?.int)
        #expect(try findings(scene) == [])
        try remove("run/checkpoints", of: scene)
        let missing = "job 1: the journal names a checkpoint of step \(steps) as saved, and it is not there"
        #expect(try findings(scene).contains(missing))

        let held = try scene.run("train", "job.yaml", "output_dir=held", "budget.tokens=3", "--json")
        #expect(held.code == 3 && held.end["steps"]?.int == 0, "\(held.errors)")
        try remove("held/checkpoints", of: scene)
        #expect(try findings(scene, "held") == [])
    }

    @Test func `a damaged journal hides no damaged object, and nothing goes on with it`() throws {
        let scene = try Scene()
        let outcome = try scene.run("train", "job.yaml", "budget.steps=9", "--workers", "1", "--json")
        #expect(outcome.code == 3, "\(outcome.errors)")
        // Whoever writes the journal leaves all of it in its file.
        #expect(try scene.run("budget", "add", "run", "1 steps").code == 0)
        #expect(try findings(scene) == [])
        try scene.damageCheckpoint(of: 9)
        #expect(try alterJournal(scene, "tiny", to: "tinz") > 0)

        let found = try findings(scene)
        #expect(found.count { $0.contains("does not fit the chain") } == 1, "\(found)")
        #expect(found.contains { $0.hasPrefix("run/checkpoints/objects/") }, "\(found)")
        let resumed = try scene.run("resume", "run", "--json")
        #expect(resumed.code == 1 && resumed.errors.contains("does not fit the chain"), "\(resumed.errors)")
        #expect(try scene.run("budget", "show", "run", "--json").code == 1)
    }

    @Test func `a job file that was edited since the run began is found, and one that can't be read`() throws {
        let scene = try Scene()
        _ = try scene.run("train", "job.yaml", "budget.steps=3", "--workers", "1", "--json")
        #expect(try findings(scene) == [])
        let kept = try String(contentsOf: scene.folder.appendingPathComponent("run/resolved.yaml"), encoding: .utf8)
        try scene.write(kept.replacingOccurrences(of: "seed: 42", with: "seed: 41"), to: "run/resolved.yaml")
        #expect(try findings(scene).map { $0.hasSuffix("seed 42 → 41") } == [true])
        try scene.write("{", to: "run/resolved.yaml")
        #expect(try findings(scene).count == 1)
    }

    /// Ends a run without warning, then flips a bit in what the journal's log has that far, as a disk would.
    private func loseEnd(of scene: Scene, _ running: Scene.Running, from share: Double) throws {
        let workers = running.children
        for process in [running.process.processIdentifier] + workers { kill(process, SIGKILL) }
        _ = running.outcome()
        let log = scene.folder.appendingPathComponent("run/state/journal.sqlite-wal")
        var bytes = try Data(contentsOf: log)
        bytes[Int(Double(bytes.count) * share)] ^= 1
        try bytes.write(to: log)
    }

    @Test(arguments: [0.2, 0.5])
    func `a journal that has lost its end to one wrong byte is told, and nothing goes on with it`(share: Double) throws
    {
        let scene = try Scene(epochs: 60)
        let running = try scene.start(
            "train", "job.yaml", "save_steps=2", "save_total_limit=50", "--workers", "1", "--json")
        try scene.waitForLog(lines: 9)
        try loseEnd(of: scene, running, from: share)

        let found = try findings(scene)
        #expect(found.contains { $0.contains("the journal") }, "\(found)")
        let resumed = try scene.run("resume", "run", "--workers", "1", "--json")
        #expect(resumed.code != 0 && resumed.errors.contains("journal"), "\(resumed.errors)")
        let newest = try #require(
            try scene.run("checkpoint", "ls", "run", "--json").end.array?.first?["step"]?.int)
        let next = try scene.run(
            "train", "job.yaml", "output_dir=next", "--resume", "run@\(newest)", "budget.steps=\(newest + 2)",
            "--workers", "1", "--json")
        #expect(next.code == 3 && next.end["steps"]?.int == newest + 2, "\(next.errors)")
    }

    @Test func `sound checkpoints of another run are told from those that the journal is about`() throws {
        let scene = try Scene()
        _ = try scene.run("train", "job.yaml", "--workers", "1", "--json")
        let other = try scene.run(
            "train", "job.yaml", "output_dir=other", "learning_rate=5e-4", "--workers", "1", "--json")
        #expect(other.code == 0, "\(other.errors)")
        try remove("run/checkpoints", of: scene)
        try FileManager.default.copyItem(
            at: scene.folder.appendingPathComponent("other/checkpoints"),
            to: scene.folder.appendingPathComponent("run/checkpoints"))

        #expect(try scene.run("checkpoint", "verify", "run").code == 0)
        let found = try findings(scene)
        #expect(!found.isEmpty && found.allSatisfy { $0.contains("the journal committed at step") }, "\(found)")
    }
}
