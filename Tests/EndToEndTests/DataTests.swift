import Foundation
import Terms
import Testing

/// A job's data on disk while it runs and between its starts.
@Suite(.serialized) struct DataTests {
    @Test func `a data file that changes under a running job stops it, and a resume wants the old one back`() throws {
        let scene = try Scene(epochs: 5000)
        let data = scene.folder.appendingPathComponent("data.jsonl")
        let old = try Data(contentsOf: data)
        let running = try scene.start("train", "job.yaml", "--json")
        _ = try running.firstLine()
        // The same bytes again are no change.
        try old.write(to: data)
        usleep(2_500_000)
        try scene.write("{\"input_ids\":[1,2,3]}\n", to: "data.jsonl")
        let stopped = running.outcome()

        #expect(stopped.code == 1)
        #expect(stopped.end["event"]?.string == "end")
        #expect(stopped.end["state"]?.string == "PAUSED")
        #expect(stopped.errors.contains("data.jsonl changed while the job was running"), "\(stopped.errors)")

        let refused = try scene.run("resume", "run", "--json")
        #expect(refused.code == 2)
        #expect(refused.errors.contains("data.jsonl changed since this run started"), "\(refused.errors)")

        try old.write(to: data)
        let resumed = try scene.start("resume", "run", "--json")
        _ = try resumed.firstLine()
        usleep(1_500_000)
        kill(resumed.process.processIdentifier, SIGINT)
        let end = resumed.outcome()
        let start = end.lines.first { $0["event"]?.string == "resume" }
        #expect(start?["from_step"]?.int == stopped.end["steps"]?.int)
        #expect(end.end["state"]?.string == "PAUSED")
    }

    @Test func `a model that changes under a running job stops it, and the job goes on with the old one`() throws {
        let scene = try Scene(epochs: 5000)
        let weights = try scene.ownWeights()
        let running = try scene.start("train", "job.yaml", "model_name_or_path=model", "--json")
        _ = try running.firstLine()
        usleep(1_500_000)
        let handle = try FileHandle(forUpdating: weights)
        let end = try handle.seekToEnd()
        try handle.seek(toOffset: end - 4)
        let old = try #require(try handle.readToEnd())
        try handle.seek(toOffset: end - 4)
        try handle.write(contentsOf: Data([0, 0, 0x80, 0x3E]))
        let stopped = running.outcome()

        #expect(stopped.code == 1 && stopped.end["state"]?.string == "PAUSED", "\(stopped.errors)")
        #expect(stopped.errors.contains("model.safetensors changed while the job was running"), "\(stopped.errors)")

        try handle.seek(toOffset: end - 4)
        try handle.write(contentsOf: old)
        let resumed = try scene.start("resume", "run", "--json")
        _ = try resumed.firstLine()
        usleep(1_500_000)
        kill(resumed.process.processIdentifier, SIGINT)
        let outcome = resumed.outcome()
        let start = outcome.lines.first { $0["event"]?.string == "resume" }
        // What was computed since the newest checkpoint is computed again.
        #expect((start?["from_step"]?.int ?? .max) <= (stopped.end["steps"]?.int ?? 0))
        #expect(outcome.code == 130 && outcome.end["state"]?.string == "PAUSED", "\(outcome.errors)")
    }

    @Test func `a model that is shortened under a running job stops it, and no worker dies of it`() throws {
        let scene = try Scene(epochs: 5000)
        let weights = try scene.ownWeights()
        let running = try scene.start("train", "job.yaml", "model_name_or_path=model", "--json")
        try scene.waitForLog(lines: 10)
        #expect(truncate(weights.path, 4096) == 0)
        let stopped = running.outcome()

        #expect(stopped.code == 1 && stopped.end["state"]?.string == "PAUSED", "\(stopped.errors)")
        #expect(stopped.errors.contains("\(weights.path) changed while the job was running"), "\(stopped.errors)")
        #expect(!stopped.lines.contains { $0["event"]?.string == "worker_left" })
        let troubles = stopped.lines.filter { $0["event"]?.string == "trouble" }.compactMap { $0["text"]?.string }
        // The launcher may have looked before any worker did; then there is none.
        #expect(troubles.allSatisfy { $0.contains("somebody wrote to \(weights.path)") }, "\(troubles)")

        let refused = try scene.run("resume", "run", "--json")
        #expect(refused.code == 2 && refused.errors.contains("model.safetensors"), "\(refused.errors)")
    }

    @Test func `tokens that are shortened under a running job are named, and put back cost neither a worker nor a bit`()
        throws
    {
        let free = try Scene(epochs: 40).run("train", "job.yaml", "--json")
        let scene = try Scene(epochs: 40)
        let running = try scene.start("train", "job.yaml", "--json")
        try scene.waitForLog(lines: 10)
        let folder = scene.folder.appendingPathComponent("run/data")
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).first { $0.hasSuffix(".tokens") })
        let cache = folder.appendingPathComponent(name)
        let bytes = try Data(contentsOf: cache)
        #expect(chmod(cache.path, 0o644) == 0 && truncate(cache.path, 0) == 0)
        usleep(1_500_000)
        let file = try FileHandle(forWritingTo: cache)
        try file.write(contentsOf: bytes)
        try file.close()
        let outcome = running.outcome()

        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(outcome.digest == free.digest)
        #expect(!outcome.lines.contains { $0["event"]?.string == "worker_left" })
        let troubles = outcome.lines.filter { $0["event"]?.string == "trouble" }.compactMap { $0["text"]?.string }
        #expect(troubles.contains { $0.contains("somebody wrote to \(cache.path)") }, "\(troubles)")
    }

    @Test func `rows that are too long are counted before the first step`() throws {
        let scene = try Scene(epochs: 1)
        let outcome = try scene.run("train", "job.yaml", "cutoff_len=12", "packing=false", "--json")
        let data = outcome.lines.first { $0["event"]?.string == "data" }

        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(data?["rows"]?.int == 60)
        #expect((data?["dropped"]?.int ?? 0) > 10)
        #expect((data?["dropped"]?.int ?? 0) + (data?["samples"]?.int ?? 0) == 60)
        #expect(data?["files"]?.array?.first?["type"]?.string == "tokens")
    }

    @Test func `a run beside another one takes its tokens when data and settings are the same`() throws {
        let scene = try Scene(epochs: 1)
        func tokens(_ run: String) throws -> [String: Int] {
            let folder = scene.folder.appendingPathComponent(run).appendingPathComponent("data").path
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".tokens") }
            return try Dictionary(
                uniqueKeysWithValues: names.map {
                    let values = try FileManager.default.attributesOfItem(atPath: "\(folder)/\($0)")
                    return ($0, values[.systemFileNumber] as? Int ?? 0)
                })
        }
        let first = try scene.run("train", "job.yaml", "--json")
        let second = try scene.run("train", "job.yaml", "output_dir=other", "--json")
        let third = try scene.run("train", "job.yaml", "output_dir=longer", "cutoff_len=48", "--json")

        #expect([first.code, second.code, third.code] == [0, 0, 0], "\(second.errors)\(third.errors)")
        #expect(first.digest != nil && first.digest == second.digest)
        #expect(try tokens("run").count == 1 && tokens("run") == tokens("other"))
        #expect(try tokens("longer").count == 1 && tokens("longer") != tokens("run"))

        try FileManager.default.removeItem(at: scene.folder.appendingPathComponent("run"))
        #expect(try scene.run("fsck", "other", "--json").code == 0)
    }

    @Test func `a job that says max_steps trains on an excerpt of a large file, the same on any workers`() throws {
        let scene = try Scene(epochs: 1)
        // Whatever is wrong at the end of the file, this job never comes to it.
        try scene.write(Scene.rows(12_000) + "not json\n", to: "data.jsonl")
        let job = ["job.yaml", "--json", "num_train_epochs=null", "shuffle=false", "max_steps=6", "save_steps=2"]
        let excerpt = job + ["streaming=true"]
        let one = try scene.run("train", excerpt + ["--workers", "1"])
        let two = try scene.run("train", excerpt + ["output_dir=two", "--workers", "2"])
        let data = one.lines.first { $0["event"]?.string == "data" }?["excerpt"]
        let step = one.lines.last { $0["event"]?.string == "step" }

        #expect([one.code, two.code] == [0, 0], "\(one.errors)\(two.errors)")
        #expect(one.digest != nil && one.digest == two.digest)
        #expect(data?["chunks"]?.int == 1 && (data?["of_chunks"]?.int ?? 0) > 3)
        #expect((step?["epoch"]?.double ?? 1) < 0.02, "an epoch is one of the whole dataset")

        // What was settled is kept, and a branch that is a little longer goes on in the same data.
        let resolved = try String(contentsOf: scene.folder.appendingPathComponent("run/resolved.yaml"), encoding: .utf8)
        #expect(resolved.contains("\nstreaming: true\n"))
        let branch = try scene.run("resume", "run", "--from", "4", "--as", "longer", "max_steps=8", "--json")
        func tokens(_ run: String) throws -> [String] {
            let folder = scene.folder.appendingPathComponent(run).appendingPathComponent("data").path
            return try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".tokens") }
        }
        #expect(branch.code == 0 && branch.end["steps"]?.int == 8, "\(branch.errors)")
        #expect(try tokens("longer") == tokens("run") && tokens("run").count == 1)

        // Whoever reads all of the file, or asks for what can't be, is told so before anything is done.
        let whole = try scene.run("train", job + ["output_dir=whole"])
        #expect(whole.code == 2 && whole.errors.contains("data.jsonl:12001"), "\(whole.errors)")
        try scene.write("text\na\n", to: "data.csv")
        for (overrides, reason) in [
            (["max_steps=null"], "streaming true needs max_steps or max_tokens"),
            (["dataset.0.path=data.csv"], "data.csv is not JSON Lines"),
        ] {
            let refused = try scene.run("train", excerpt + ["output_dir=none"] + overrides)
            #expect(refused.code == 2 && refused.errors.contains(reason), "\(refused.errors)")
        }
    }

    @Test func `an excerpt is the same on a cluster, on workers here and elsewhere, and can be probed`() throws {
        let scene = try Scene(epochs: 1)
        // Whoever reads all of the file is stopped by its last line.
        try scene.write(Scene.rows(12_000) + "not json\n", to: "data.jsonl")
        let keys = [
            "job.yaml", "--json", "num_train_epochs=null", "shuffle=false", "streaming=true", "max_steps=120",
            "save_steps=50",
        ]
        let expected = try scene.run("train", keys + ["output_dir=alone", "--workers", "1"])
        let cluster = try Cluster(scene)
        try cluster.join("near")
        let far = try cluster.join("far", isAfar: true)
        let end = try scene.start(["train"] + keys + ["--coordinator", cluster.address], user: "owner").outcome()

        #expect(end.code == 0 && end.digest != nil && end.digest == expected.digest, "\(end.errors)\(expected.errors)")
        func excerpt(_ outcome: Scene.Outcome) -> JSONValue? {
            outcome.lines.first { $0["event"]?.string == "data" }?["excerpt"]
        }
        let (chunks, all) = (excerpt(end)?["chunks"]?.int ?? 0, excerpt(end)?["of_chunks"]?.int ?? 0)
        #expect(chunks > 0 && chunks < all && excerpt(end) == excerpt(expected), "\(chunks) of \(all)")
        #expect(far.said.contains("rank"), "\(far.said)")
        let resolved = try String(contentsOf: scene.folder.appendingPathComponent("run/resolved.yaml"), encoding: .utf8)
        #expect(resolved.contains("\nstreaming: true\n"))

        let probed = try scene.run("estimate", keys + ["--probe", "--workers", "1"])
        #expect(probed.code == 0 && probed.end["steps"]?.int == end.end["steps"]?.int, "\(probed.errors)")
        #expect(probed.end["tokens"]?.int == end.end["tokens"]?.int)
    }
}
