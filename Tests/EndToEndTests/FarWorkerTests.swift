import Foundation
import Testing

/// Workers that can open nothing of the submitter's or the coordinator's.
@Suite(.serialized) struct FarWorkerTests {
    @Test func `far workers begin to train before the data are whole, and end with the same bits`() throws {
        let scene = try Scene()
        try scene.write(Scene.rows(50_000), to: "data.jsonl")
        let keys = [
            "max_steps=60", "num_train_epochs=null", "val_size=0.001", "max_eval_samples=8", "eval_steps=1000",
            "--json",
        ]
        let expected = try scene.run("train", ["job.yaml", "--workers", "1", "output_dir=alone"] + keys).digest
        let cluster = try Cluster(scene)
        let workers = try ["far", "farther"].map { try cluster.join($0, isAfar: true) }
        let end = try scene.start(["train", "job.yaml", "--coordinator", cluster.address] + keys, user: "owner")
            .outcome()

        #expect(end.digest != nil && end.digest == expected, "\(end.errors)")
        for worker in workers {
            let line = try #require(
                worker.said.split(separator: "\n").first { $0.contains("training begins with") }, "\(worker.said)")
            let numbers = line.split(separator: " ").compactMap { Int($0) }
            #expect(numbers.count == 2 && 2 * numbers[0] < numbers[1], "\(line)")
        }
        // A worker of the same machine fetches nothing.
        let near = try cluster.join("near")
        for worker in workers { kill(worker.process.processIdentifier, SIGKILL) }
        let again = try scene.start(
            ["train", "job.yaml", "--coordinator", cluster.address, "output_dir=again", "workers.min=1"] + keys,
            user: "owner"
        ).outcome()
        #expect(again.digest == expected, "\(again.errors)")
        #expect(!near.said.contains("fetching") && !near.said.contains("blocks"), "\(near.said)")
    }
}
