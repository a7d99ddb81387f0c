import Checkpoints
import Coordination
import Foundation
import Hashing
import ModelFiles
import Recipes
import StorageShell
import Terms

/// The checkpoint of another run that a new one begins with.
struct BranchOrigin {
    private let store: CheckpointStore
    private let record: CheckpointRecord
    private let path: String

    /// `RUN`, `RUN@STEP` or the path of a manifest; every byte is read and checked.
    init(_ path: String) throws {
        self.path = path
        let (run, wanted) = try RunFolder.split(path)
        let folder = joinPath(run, "checkpoints")
        guard Disk.hasFolder(folder) else { throw Failure.input("\(path): there are no checkpoints to begin with") }
        store = try CheckpointStore.openReading(folder)
        let now = Int(Date().timeIntervalSince1970 * 1000)
        switch wanted {
        case .named(let name): record = try store.record(RunFolder.run, name)
        case .step(let step):
            guard let found = try store.recover(RunFolder.run, step: step, at: now) else {
                throw Failure.input("\(run) has no checkpoint of step \(step)")
            }
            record = found.record
        case .newest, .state:
            guard let found = try store.recover(RunFolder.run, at: now) else {
                throw Failure.input("\(run) has no checkpoint yet")
            }
            record = found.record
        }
        let findings = try store.verify(record)
        guard findings.isEmpty else { throw Failure.failed("\(path): \(findings[0].path) \(findings[0].problem)") }
    }

    /// Copies the state into the new run's own store, with where it comes from.
    func plant(in folder: String, _ description: JobDescription) throws -> JobDescription.Branch {
        let manifest = record.manifest
        guard let digest = manifest.extras["state_digest"]?.string.flatMap({ UInt64($0, radix: 16) }) else {
            throw Failure.input(
                "\(path): the checkpoint was made by an older release, which did not note its state's digest")
        }
        let layout = try TensorLayout(description.tensors.map { ($0.name, $0.shape) })
        guard
            manifest.expectedTensors == Digest.sha256(of: Manifest.tensorListBytes(layout, roles: TensorRole.allCases))
        else {
            throw Failure.input(
                "\(path): the checkpoint holds other tensors than this job trains (model, finetuning_type or lora_*)")
        }
        let steps = (description.totalSequences + description.globalBatch - 1) / description.globalBatch
        guard manifest.step < steps else {
            throw Failure.input("\(path): step \(manifest.step) is at or beyond the new run's end after \(steps) steps")
        }
        let target = try CheckpointStore.open("\(folder)/checkpoints")
        for chunk in manifest.objects {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk.length, alignment: 64)
            defer { buffer.deallocate() }
            try store.objects.read(chunk.digest, into: buffer)
            try target.objects.put(UnsafeRawBufferPointer(buffer))
        }
        var draft = manifest
        draft.run = RunFolder.run
        draft.job = RunDoor.job
        draft.parent = nil
        draft.kind = .trunk
        draft.coordinatorEpoch = 0
        draft.lineage = Manifest.Lineage(trunk: record.digest, branch: Self.branchName(description.name))
        var extras = manifest.extras.object ?? JSONObject()
        extras["branched_from"] = .members([
            "run": .string(path), "manifest": .string(record.digest.hex), "step": .int(manifest.step),
        ])
        draft.extras = .object(extras)
        _ = try target.publish(draft, at: Int(Date().timeIntervalSince1970 * 1000))
        return .init(step: manifest.step, tokens: manifest.progress.tokens, digest: digest)
    }

    private static func branchName(_ name: String) -> String {
        let fit = name.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") ? $0 : "-" }
        return String(String(fit).prefix(64))
    }
}

/// A plan log: one plan event a line, as every run writes it.
enum PlanLog {
    static func read(_ path: String) throws -> [PlanEvent] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure.input("--plan \(path): can't be read")
        }
        var events: [PlanEvent] = []
        for (number, line) in data.split(separator: 0x0A).enumerated() {
            guard let event = (try? JSONValue.parse(Array(line))).flatMap(PlanEvent.init) else {
                throw Failure.input("--plan \(path): line \(number + 1) is no plan event")
            }
            events.append(event)
        }
        return events
    }
}
