import Foundation
import Terms
import Testing

/// What a run's folder holds belongs to one run, and its export is what the last line says.
@Suite(.serialized) struct RunFolderTests {
    private func adapter(_ scene: Scene) throws -> Data {
        try Data(contentsOf: scene.folder.appendingPathComponent("run/adapter/adapter_model.safetensors"))
    }

    @Test func `a finished run whose last checkpoint is damaged computes it again, to the same bits`() throws {
        let scene = try Scene()
        let first = try scene.run("train", "job.yaml", "--workers", "1", "--json")
        let steps = try #require(first.end["steps"]?.int)
        let exported = try adapter(scene)
        // A finished run needs nothing that may be gone by now.
        try FileManager.default.removeItem(at: scene.folder.appendingPathComponent("data.jsonl"))
        let again = try scene.run("resume", "run", "--json")
        #expect(again.code == 0 && again.digest == first.digest, "\(again.errors)")

        try scene.write("", to: "data.jsonl")
        let changed = try scene.run("resume", "run", "--json")
        #expect(changed.code == 0 && changed.digest == first.digest, "\(changed.errors)")
        let whole = try Scene()
        try FileManager.default.removeItem(at: scene.folder.appendingPathComponent("data.jsonl"))
        try FileManager.default.copyItem(
            at: whole.folder.appendingPathComponent("data.jsonl"), to: scene.folder.appendingPathComponent("data.jsonl")
        )
        try scene.damageCheckpoint(of: steps)
        let mended = try scene.run("resume", "run", "--json")

        #expect(mended.code == 0 && mended.end["state"]?.string == "DONE", "\(mended.errors)")
        #expect(mended.end["steps"]?.int == steps && mended.digest != nil && mended.digest == first.digest)
        #expect(mended.lines.contains { $0["event"]?.string == "step" })
        #expect(try adapter(scene) == exported)
        #expect(try scene.loggedSteps() == Array(1...steps))
        #expect(try scene.run("fsck", "run", "--json").end["sound"]?.bool == true)
    }

    @Test func `a run goes on where its folder was moved to, at any time`() throws {
        let scene = try Scene()
        func move(_ name: String, to other: String) throws {
            try FileManager.default.moveItem(
                at: scene.folder.appendingPathComponent(name), to: scene.folder.appendingPathComponent(other))
        }
        let half = try scene.run("train", "job.yaml", "budget.steps=12", "--workers", "1", "--json")
        #expect(half.code == 3)
        try move("run", to: "second")
        let whole = try scene.run("resume", "second", "budget.steps=1000", "--workers", "1", "--json")
        #expect(whole.code == 0 && whole.digest != nil, "\(whole.errors)")
        try move("second", to: "third")
        for arguments in [["resume", "third"], ["train", "job.yaml", "budget.steps=1000", "output_dir=third"]] {
            let again = try scene.run(arguments[0], Array(arguments.dropFirst()) + ["--json"])
            #expect(again.code == 0 && again.digest == whole.digest, "\(again.errors)")
        }
        #expect(try scene.run("fsck", "third").code == 0)
        #expect(!FileManager.default.fileExists(atPath: scene.folder.appendingPathComponent("run").path))
    }

    @Test func `checkpoints without their journal, and foreign exports, are not mixed with a new run`() throws {
        let scene = try Scene()
        _ = try scene.run("train", "job.yaml", "budget.steps=9", "--workers", "1", "--json")
        let exported = try adapter(scene)
        try FileManager.default.removeItem(at: scene.folder.appendingPathComponent("run/state"))
        for command in ["train", "resume"] {
            let outcome = try scene.run(command, command == "train" ? "job.yaml" : "run", "--json")
            #expect(outcome.code == 2 && outcome.errors.contains("whose journal"), "\(outcome.errors)")
        }
        #expect(try adapter(scene) == exported)
        try FileManager.default.removeItem(at: scene.folder.appendingPathComponent("run/checkpoints"))
        let third = try scene.run("train", "job.yaml", "--json")
        #expect(third.code == 2 && third.errors.contains("adapter exists already"), "\(third.errors)")
        #expect(try adapter(scene) == exported)
    }

    /// A grant that little more than starts the workers: the run goes back to its trunk and mostly gets no further.
    @Test func `what is exported is the state that the last line names, not the newest checkpoint`() throws {
        let scene = try Scene()
        _ = try scene.run("train", "job.yaml", "budget.steps=12", "--workers", "1", "--json")
        let spent = try scene.run("budget", "show", "run", "--json").end["spent"]?["wall_clock"]?.double ?? 0
        let limit = "budget.wall_clock=\((Double(Int(1000 * spent)) + 280) / 1000)s"
        let end = try scene.run("resume", "run", "budget.steps=100", limit, "--workers", "1", "--json").end
        let steps = try #require(end["steps"]?.int)

        let exported = try scene.run(
            "checkpoint", "export", "run", "--step", "\(steps)", "--format", "peft", "-o", "again", "--json")
        #expect(exported.end["model_sha256"]?.string == end["model_sha256"]?.string, "\(exported.errors)")
        let again = scene.folder.appendingPathComponent("again/adapter_model.safetensors")
        #expect(try Data(contentsOf: again) == adapter(scene))
    }

    @Test func `a run goes on under another limit of workers, with the shards it began with, and in its own folder`()
        throws
    {
        let expected = try Scene().run("train", "job.yaml", "virtual_shards=4", "--workers", "1", "--json")
        let scene = try Scene()
        let first = try scene.run("train", "job.yaml", "workers.max=4", "budget.steps=9", "--workers", "1", "--json")
        #expect(first.code == 3, "\(first.errors)")
        let wide = try scene.run("train", "job.yaml", "workers.max=8", "budget.steps=100", "--json")
        #expect(wide.code == 2 && wide.errors.contains("more than virtual_shards 4"), "\(wide.errors)")
        let moved = try scene.run("resume", "run", "output_dir=elsewhere", "budget.steps=100", "--json")
        #expect(moved.code == 2 && moved.errors.contains("--from STEP --as NAME output_dir="), "\(moved.errors)")
        #expect(!FileManager.default.fileExists(atPath: scene.folder.appendingPathComponent("elsewhere").path))

        let second = try scene.run("train", "job.yaml", "workers.max=2", "budget.steps=100", "--json")
        #expect(second.code == 0 && second.end["state"]?.string == "DONE", "\(second.errors)")
        #expect(expected.digest != nil && second.digest == expected.digest)
    }

    @Test func `an older journal beside newer checkpoints is refused`() throws {
        let scene = try Scene()
        _ = try scene.run("train", "job.yaml", "budget.steps=9", "--workers", "1", "--json")
        let state = scene.folder.appendingPathComponent("run/state")
        let old = scene.folder.appendingPathComponent("old")
        try FileManager.default.copyItem(at: state, to: old)
        for grant in ["3 steps", "3 steps"] {
            _ = try scene.run("budget", "add", "run", grant)
            #expect(try scene.run("resume", "run", "--json").code == 3)
        }
        try FileManager.default.removeItem(at: state)
        try FileManager.default.moveItem(at: old, to: state)

        let outcome = try scene.run("resume", "run", "budget.steps=30", "--json")
        #expect(outcome.code == 1 && outcome.errors.contains("an older copy was put back"), "\(outcome.errors)")
    }
}
