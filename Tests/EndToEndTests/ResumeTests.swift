import Foundation
import Terms
import Testing

/// What a run may go on with: the model, the data and the result keys that it began with, and nothing else.
@Suite(.serialized) struct ResumeTests {
    /// A run that a budget ended after some steps, over a model of its own.
    private func begun() throws -> (scene: Scene, weights: URL) {
        let scene = try Scene()
        let weights = try scene.ownWeights()
        let outcome = try scene.run(
            "train", "job.yaml", "model_name_or_path=model", "budget.steps=9", "--workers", "1", "--json")
        #expect(outcome.code == 3, "\(outcome.errors)")
        return (scene, weights)
    }

    private func refused(_ scene: Scene, _ reason: String) throws {
        let outcome = try scene.run("resume", "run", "budget.steps=12", "--workers", "1", "--json")
        #expect(outcome.code == 2 && outcome.errors.contains(reason), "\(reason): \(outcome.errors)")
        #expect(!outcome.lines.contains { $0["event"]?.string == "step" })
    }

    @Test func `another model, other data and other result keys are refused, and put back the run goes on`() throws {
        let (scene, weights) = try begun()
        let old = try Data(contentsOf: weights)
        var flipped = old
        flipped[old.count - 3] ^= 1
        try flipped.write(to: weights)
        try refused(scene, "the base model's model.safetensors has changed since the run began (sha256 ")
        try old.write(to: weights)

        // Neither the record of the data nor the tokens are there to hold it against.
        let data = scene.folder.appendingPathComponent("data.jsonl")
        let rows = try Data(contentsOf: data)
        try FileManager.default.removeItem(at: scene.folder.appendingPathComponent("run/data"))
        try scene.write(Scene.rows(59), to: "data.jsonl")
        try refused(scene, "the data, or what makes tokens of it, has changed since the run began")
        #expect(
            try FileManager.default.contentsOfDirectory(
                atPath: scene.folder.appendingPathComponent("run/data").path) == [])
        try rows.write(to: data)

        let file = scene.folder.appendingPathComponent("run/resolved.yaml")
        let kept = try String(contentsOf: file, encoding: .utf8)
        try scene.write(kept.replacingOccurrences(of: "seed: 42", with: "seed: 41"), to: "run/resolved.yaml")
        try refused(scene, "seed 42 → 41")
        try scene.write(kept, to: "run/resolved.yaml")

        let end = try scene.run("resume", "run", "budget.steps=1000", "--workers", "2", "--json")
        let free = try Scene().run("train", "job.yaml", "--workers", "1", "--json")
        #expect(end.code == 0 && end.digest != nil && end.digest == free.digest, "\(end.errors)")
    }

    @Test func `every evaluation is a line in the run's folder, once, with what it cost to come to it`() throws {
        let scene = try Scene()
        _ = try scene.run("train", "job.yaml", "budget.steps=13", "--workers", "1", "--json")
        let end = try scene.run("resume", "run", "budget.steps=1000", "--workers", "1", "--json")
        let steps = try #require(end.end["steps"]?.int)

        let data = try Data(contentsOf: scene.folder.appendingPathComponent("run/eval_log.jsonl"))
        let lines = try data.split(separator: 0x0A).map { try JSONValue.parse(Array($0)) }
        let (found, hours) = (
            lines.compactMap { $0["current_steps"]?.int }, lines.compactMap { $0["core_hours"]?.double }
        )
        #expect(found.first == 0 && found.contains(10) && found.last == steps && found == Set(found).sorted())
        #expect(hours.count == found.count && hours == hours.sorted() && (hours.last ?? 0) > 0)
        #expect(lines.last?["tokens"]?.int == end.end["tokens"]?.int)
        #expect((end.end["core_hours"]?.double ?? 0) >= (hours.last ?? 1))
        // The trainer's log has steps alone.
        #expect(try scene.loggedSteps() == Array(1...steps))
    }
}
