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
        let first = try JSONValue.parse(try resumed.firstLine())
        #expect(first["event"]?.string == "resume")
        #expect(first["from_step"]?.int == stopped.end["steps"]?.int)
        kill(resumed.process.processIdentifier, SIGINT)
        #expect(resumed.outcome().end["state"]?.string == "PAUSED")
    }
}
