package import Checkpoints
import Coordination
import Foundation
package import StorageShell
package import Terms

/// What can be asked of one job's checkpoints, answered from their store: the same for a run's folder and for a job of
/// a coordinator.
package struct CheckpointInquiry: Sendable {
    private let folder: String
    /// nil = nobody in this process has it open.
    private let store: CheckpointStore?
    private let policy: RetentionPolicy
    /// No save of the job is under way.
    private let isAtRest: Bool

    /// - Parameters:
    ///   - folder: the store's.
    ///   - store: the store, where this process has it open for writing already.
    ///   - policy: what the job itself keeps.
    ///   - isAtRest: no save of the job is under way.
    package init(folder: String, store: CheckpointStore? = nil, policy: RetentionPolicy, isAtRest: Bool = true) {
        self.folder = folder
        self.store = store
        self.policy = policy
        self.isAtRest = isAtRest
    }

    /// Why there is no answer; the user asked for something that is not there.
    package enum Fault: Error, CustomStringConvertible {
        case noCheckpoints
        case noStep(Step, known: [Step])
        /// Nobody can give it back to pruning.
        case stays(Step, Manifest.Kind)
        case unknown

        package var description: String {
            switch self {
            case .noCheckpoints: "there are no checkpoints yet"
            case .noStep(let step, let known):
                "there is no checkpoint of step \(step); there are those of steps "
                    + known.map(String.init).joined(separator: ", ")
            case .stays(let step, let kind):
                "the checkpoint of step \(step) is a \(kind.rawValue) one, which always stays: only pinned ones and "
                    + "those that somebody asked for can be given back to pruning"
            case .unknown: "a question about checkpoints has `do`: ls, show, verify, prune, pin or unpin"
            }
        }
    }

    /// `{"do": "ls"}` · `{"do": "show", "step": N}` · `{"do": "verify", "share": 0.05}` ·
    /// `{"do": "prune", "keep": N, "every": M, "best": K, "set_aside": true, "dry_run": true}` ·
    /// `{"do": "pin"|"unpin", "step": N}`.
    ///
    /// May take long: verifying reads every byte.
    package func answer(_ request: JSONValue) throws -> JSONValue {
        switch request["do"]?.string {
        case "ls": return try list()
        case "show":
            let store = try reading()
            let record = try record(request["step"]?.int, store)
            var manifest = record.manifest
            manifest.modelDigest = try store.modelDigest(of: record)
            return .members([
                "name": .string(record.name.text), "manifest": try JSONValue.parse(manifest.canonicalBytes),
            ])
        case "verify": return try verify(share: request["share"]?.double ?? 1)
        case "prune": return try prune(request)
        case "pin": return try pin(request["step"]?.int, true)
        case "unpin": return try pin(request["step"]?.int, false)
        default: throw Fault.unknown
        }
    }

    /// Keeps a checkpoint from pruning, or gives it back.
    private func pin(_ step: Step?, _ isPinned: Bool) throws -> JSONValue {
        let store = try writing()
        let record = try record(step, store)
        let (name, manifest) = (record.name, record.manifest)
        if isPinned {
            try store.pin(CheckpointDesk.run, name, at: Self.now)
        } else {
            if manifest.kind.isPinned(isReleased: true) { throw Fault.stays(manifest.step, manifest.kind) }
            try store.unpin(CheckpointDesk.run, name, at: Self.now)
        }
        return .members(["manifest": .string(name.text), "pinned": .bool(isPinned)])
    }

    private func reading() throws -> CheckpointStore { try store ?? CheckpointStore.openReading(folder) }

    private func writing() throws -> CheckpointStore { try store ?? CheckpointStore.open(folder) }

    /// Milliseconds since 1970.
    private static var now: Int { Int(Date().timeIntervalSince1970 * 1000) }

    /// The newest checkpoint, or the newest one of `step`.
    private func record(_ step: Step?, _ store: CheckpointStore) throws -> CheckpointRecord {
        let records = try store.scan(CheckpointDesk.run).records
        guard let newest = records.first else { throw Fault.noCheckpoints }
        guard let step else { return newest }
        guard let record = records.first(where: { $0.manifest.step == step }) else {
            throw Fault.noStep(step, known: records.map(\.manifest.step))
        }
        return record
    }

    private func list() throws -> JSONValue {
        let store = try reading()
        var unreadable = try store.scan(CheckpointDesk.run).rejected
        if let fault = store.pinFault(CheckpointDesk.run) {
            unreadable.append(RejectedCheckpoint(name: "PINS", reason: fault + "; until then every one stays"))
        }
        return .members([
            "checkpoints": .array(try store.list(CheckpointDesk.run).map(Self.json)),
            "unreadable": .array(
                unreadable.map { .members(["path": .string($0.name), "problem": .string($0.reason)]) }),
        ])
    }

    private static func json(_ listing: CheckpointListing) -> JSONValue {
        let manifest = listing.record.manifest
        let created = Date(timeIntervalSince1970: Double(manifest.createdUnixMilliseconds) / 1000)
        return .members([
            "step": .int(manifest.step), "kind": .string(manifest.kind.rawValue), "pinned": .bool(listing.isPinned),
            // ISO 8601 in UTC.
            "bytes": .int(manifest.stateBytes), "created": .string(ISO8601DateFormatter().string(from: created)),
            "manifest": .string(listing.record.name.text),
        ])
    }

    private func verify(share: Double) throws -> JSONValue {
        let report = try CheckpointStore.verify(folder, share: share)
        return .members([
            "sound": .bool(report.isSound), "runs": .int(report.runs), "manifests": .int(report.manifests),
            "objects": .int(report.objects), "hashed": .int(report.hashed), "bytes": .int(report.bytes),
            "findings": .array(
                report.findings.map { .members(["path": .string($0.path), "problem": .string($0.problem)]) }),
            "unusable": .array(report.unusable.map(JSONValue.string)),
            "set_aside": .array(report.setAside.map(JSONValue.string)),
        ])
    }

    /// Prunes by the job's own policy, parts of which the request may set otherwise. While the job rests no object that
    /// nobody names is of a save under way, and what is let go is free at once. A dry run says what that would free.
    private func prune(_ request: JSONValue) throws -> JSONValue {
        let isDryRun = request["dry_run"]?.bool == true
        let policy = RetentionPolicy(
            last: request["keep"]?.int ?? policy.last, every: request["every"]?.int ?? policy.every,
            best: request["best"]?.int ?? policy.best)
        let store = try isDryRun ? reading() : writing()
        let isCleared = !isDryRun && request["set_aside"]?.bool == true
        let aside = try isCleared ? store.setDamagedAside(CheckpointDesk.run, at: Self.now) : []
        let report = try store.prune(
            [(CheckpointDesk.run, policy)], graceSeconds: isAtRest ? 0 : CheckpointStore.grace, at: Self.now,
            dryRun: isDryRun)
        let decisions = report.runs.flatMap(\.decisions)
        let refusal = report.refusal ?? report.runs.compactMap(\.refusal).first
        return .members([
            "dry_run": .bool(isDryRun), "refused": refusal.map(JSONValue.string) ?? .null,
            "deleted": .array(decisions.filter { !$0.keeps }.map { .string($0.name.text) }),
            "kept": .array(decisions.filter(\.keeps).map { .string($0.name.text) }),
            "reasons": .object(
                JSONObject(decisions.map { (key: $0.name.text, value: .string($0.reason.description)) })),
            "objects": .int(report.plan.sweep.count), "bytes": .int(report.plan.sweptBytes),
            "set_aside": .array(aside.map(JSONValue.string)),
        ])
    }
}

extension JobDescription {
    /// Which of its checkpoints the job keeps.
    var retention: RetentionPolicy { RetentionPolicy(last: saveTotalLimit, every: keepEvery, best: keepBest) }
}
