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
}
