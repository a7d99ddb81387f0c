import Budgeting
import Checkpoints
package import Coordination
import Foundation
import Hashing
package import StorageShell
package import Terms

/// The checkpoint of one run that another one begins with.
package struct CheckpointBranch {
    private let store: CheckpointStore
    private let record: CheckpointRecord
    /// Where it comes from, for people and for the new run's checkpoints.
    private let origin: String

    /// Why a run can't begin with it, a sentence.
    package struct Refusal: Error, CustomStringConvertible {
        package let description: String
    }

    /// The checkpoint `record` of `store`; every byte is read and checked.
    package init(_ record: CheckpointRecord, of store: CheckpointStore, origin: String) throws {
        (self.store, self.record, self.origin) = (store, record, origin)
        let findings = try store.verify(record)
        guard findings.isEmpty else {
            throw Refusal(description: "\(origin): \(findings[0].path) \(findings[0].problem)")
        }
    }

    /// Copies the state into the store of a new run in `folder`, with where it comes from.
    package func plant(
        in folder: String, as job: JobID, _ description: JobDescription
    ) throws -> JobDescription.Branch {
        try copy(to: folder, for: description)
        return try name(in: folder, as: job, description)
    }

    /// The long part: what the state is of goes into the store of a new run in `folder`. Nothing names it yet.
    func copy(to folder: String, for description: JobDescription) throws {
        let manifest = record.manifest
        _ = try digest()
        let layout = try TensorLayout(description.tensors.map { ($0.name, $0.shape) })
        guard
            manifest.expectedTensors == Digest.sha256(of: Manifest.tensorListBytes(layout, roles: TensorRole.allCases))
        else {
            throw Refusal(
                description:
                    "\(origin): the checkpoint holds other tensors than this job trains (model, finetuning_type or lora_*)"
            )
        }
        let steps = description.plannedSteps
        guard manifest.step < steps else {
            throw Refusal(
                description: "\(origin): step \(manifest.step) is at or beyond the new run's end after \(steps) steps")
        }
        try checkBudget(description.budget)
        let target = try CheckpointStore.open("\(folder)/checkpoints")
        for chunk in manifest.objects {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk.length, alignment: 64)
            defer { buffer.deallocate() }
            try store.objects.read(chunk.digest, into: buffer)
            try target.objects.put(UnsafeRawBufferPointer(buffer), readingBack: .all)
        }
    }

    /// The past that comes along counts: with less than it, the new run would begin beyond its limit.
    private func checkBudget(_ budget: Budget) throws {
        for (unit, past) in [(BudgetUnit.steps, record.manifest.step), (.tokens, record.manifest.progress.tokens)] {
            guard let limit = budget[unit], limit < Int64(past) else { continue }
            throw Refusal(
                description: "\(origin): the state has \(past) \(unit.key) behind it, and budget.\(unit.key) allows "
                    + "\(limit) in all: name a higher limit, budget.\(unit.key)=…")
        }
    }

    /// The short one: the copy in `folder` becomes the checkpoint that the new run begins with.
    func name(in folder: String, as job: JobID, _ description: JobDescription) throws -> JobDescription.Branch {
        _ = try CheckpointStore.open("\(folder)/checkpoints").publish(
            draft(job, description), at: Int(Date().timeIntervalSince1970 * 1000))
        return .init(step: record.manifest.step, tokens: record.manifest.progress.tokens, digest: try digest())
    }

    private func digest() throws -> UInt64 {
        guard let digest = record.manifest.extras["state_digest"]?.string.flatMap({ UInt64($0, radix: 16) }) else {
            throw Refusal(
                description:
                    "\(origin): the checkpoint was made by an older release, which did not note its state's digest")
        }
        return digest
    }

    /// The manifest of the copy.
    private func draft(_ job: JobID, _ description: JobDescription) -> Manifest {
        var draft = record.manifest
        draft.run = CheckpointDesk.run
        draft.job = job
        draft.parent = nil
        draft.kind = .trunk
        draft.coordinatorEpoch = 0
        draft.lineage = Manifest.Lineage(trunk: record.digest, branch: Self.branchName(description.name))
        var extras = draft.extras.object ?? JSONObject()
        extras["branched_from"] = .members([
            "run": .string(origin), "manifest": .string(record.digest.hex), "step": .int(draft.step),
        ])
        draft.extras = .object(extras)
        return draft
    }

    private static func branchName(_ name: String) -> String {
        let fit = name.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") ? $0 : "-" }
        return String(String(fit).prefix(64))
    }
}
