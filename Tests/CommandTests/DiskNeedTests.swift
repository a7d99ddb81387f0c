import Foundation
import JobSpecs
import Testing

@testable import drover

@Suite struct DiskNeedTests {
    private func spec(_ overrides: [String] = []) throws -> JobSpec {
        let yaml = "model_name_or_path: m\ndataset:\n  - path: d.jsonl\n"
        return try JobSpec.read(yaml: yaml, file: "job.yaml", overrides: overrides).get()
    }

    @Test func `every M-th checkpoint counts, where one is made`() throws {
        func kept(_ saveSteps: Int, _ saveEvery: Int, of steps: Int) throws -> Int {
            DiskNeed.milestones(try spec(["save_steps=\(saveSteps)", "save_every=\(saveEvery)"]), steps: 1..<steps + 1)
        }
        #expect(try kept(100, 300, of: 1000) == 3)
        #expect(try kept(200, 300, of: 1000) == 1, "steps 300 and 900 make none")
        #expect(try kept(100, 0, of: 1000) == 0 && kept(0, 10, of: 1000) == 0)
        #expect(try kept(1, 1, of: .max - 1) == 1_000_000 && kept(.max, .max - 1, of: .max - 1) == 0)

        let job = try spec(["save_steps=100", "save_every=300", "save_total_limit=3", "save_best=1"])
        #expect(DiskNeed.bytes(job, parameters: 1000, steps: 1..<1001) == 12_000 * (3 + 2 + 1 + 3))
        // A branch has those of its past in another store.
        #expect(DiskNeed.milestones(job, steps: 301..<1001) == 2 && DiskNeed.milestones(job, steps: 300..<1001) == 3)
        #expect(DiskNeed.milestones(job, steps: 901..<901) == 0)
    }

    @Test func `however much is stored, the next checkpoint needs its room`() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("drover-need-\(UUID().uuidString)")
        let objects = folder.appendingPathComponent("objects/ab")
        try FileManager.default.createDirectory(at: objects, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let job = try spec()

        #expect(DiskNeed.more(job, parameters: 1000, steps: 1..<10, beyond: folder.path + "/nothing") == 12_000 * 5)
        try Data(count: 1_000_000).write(to: objects.appendingPathComponent("pinned"))
        #expect(DiskNeed.more(job, parameters: 1000, steps: 1..<10, beyond: folder.path) == 12_240)
    }
}
