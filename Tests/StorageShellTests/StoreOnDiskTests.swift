import Checkpoints
import Foundation
import Hashing
import StorageShell
import Terms
import Testing

/// The store on the machine's own disk, with several threads.
@Suite struct StoreOnDiskTests {
    @Test func `saves, verifies, prunes and restores on a real disk`() throws {
        let folder = try TemporaryFolder()
        let layout = try TensorLayout([("big", [5, 1 << 18]), ("empty", [0, 7]), ("small", [5])])
        let count = layout.elements
        let vectors = (0..<3).map { _ in UnsafeMutablePointer<Float>.allocate(capacity: count) }
        defer { for vector in vectors { vector.deallocate() } }
        let state = FlatState(
            elements: count, parameters: vectors[0], firstMoment: vectors[1], secondMoment: vectors[2])
        let plan = SavePlan(layout: layout)
        let store = try CheckpointStore.open(folder("store"))
        var parent: CheckpointRecord?
        for step in 1...3 {
            for role in 0..<3 {
                vectors[role].update(repeating: Float(step * (role + 1)), count: count)
                for index in stride(from: 0, to: count, by: 4_001) { vectors[role][index] = Float(index) }
            }
            let half = plan.share(worker: 0, of: 2)
            let digests =
                try store.save(plan, share: half, from: state)
                + store.save(plan, share: half.upperBound..<plan.pieces.count, from: state)
            var draft = try StoreFixture.draft(
                step: step, tensors: plan.tensors(digests: digests), parent: parent?.digest)
            draft.expectedTensors = Digest.sha256(of: Manifest.tensorListBytes(layout, roles: TensorRole.allCases))
            draft.modelDigest = state.modelDigest(layout)
            parent = try store.publish(draft, at: 1).record
        }

        #expect(try CheckpointStore.verify(folder("store")).isSound)
        let report = try store.prune(
            [(run: StoreFixture.run, policy: RetentionPolicy(last: 2))], graceSeconds: -10,
            at: Int(Date().timeIntervalSince1970) * 1_000, dryRun: false)
        #expect(report.plan.sweep.count > 0)
        let sound = try CheckpointStore.verify(folder("store"))
        #expect(sound.isSound && sound.manifests == 2)

        let expected = state.modelDigest(layout)
        for role in 0..<3 { vectors[role].update(repeating: 0, count: count) }
        let recovery = try #require(try store.recover(StoreFixture.run, at: 1))
        try store.restore(try RestorePlan(manifest: recovery.record.manifest, layout: layout), into: state)
        #expect(state.modelDigest(layout) == expected)
        #expect(vectors[2][1] == 9 && vectors[2][4_001] == 4_001)
        let object = try #require(recovery.record.manifest.objects.first)
        let mode = try FileManager.default.attributesOfItem(atPath: store.objects.path(object.digest))[
            .posixPermissions]
        #expect(mode as? Int == 0o444)
    }
}
