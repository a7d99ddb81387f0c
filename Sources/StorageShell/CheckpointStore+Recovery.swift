import Checkpoints
package import Terms

/// Where a run goes on, and what had to be passed over.
package struct Recovery: Sendable, Equatable {
    /// The newest checkpoint of which every byte was read and found right.
    package let record: CheckpointRecord
    /// Newer ones and unreadable files, each with the reason, and with where it is now if it was set aside.
    package fileprivate(set) var rejected: [RejectedCheckpoint]
    /// The highest step that any rejected file's name claims; work up to there is lost.
    package let lostStep: Step?
    /// Why a checkpoint is passed over that is sound and that the caller does not accept.
    package static let otherLine = "it belongs to a line that the run has left"
}

extension CheckpointStore {
    /// Finds where a run goes on: newest first, fully verified, never by HEAD; nil when it never published anything.
    ///
    /// `step` asks for one step; `accepts` refuses those of another line of the run. Opened for writing, it also makes
    /// the found checkpoint durable (the process that published it may have died before its last fsync), puts HEAD
    /// right, sets damaged manifests aside and writes the rejections to the history.
    package func recover(
        _ run: String, step: Step? = nil, at nowUnixMilliseconds: Int,
        accepts: (CheckpointRecord) -> Bool = { _ in true }
    ) throws(StorageError) -> Recovery? {
        let scan = try scan(run)
        var rejected = scan.rejected
        for record in scan.records where step == nil || record.manifest.step == step {
            guard accepts(record) else {
                rejected.append(RejectedCheckpoint(name: record.name.text, reason: Recovery.otherLine))
                continue
            }
            let findings = try verify(record)
            guard findings.isEmpty else {
                rejected.append(RejectedCheckpoint(name: record.name.text, reason: Self.summary(findings)))
                continue
            }
            let lost = rejected.compactMap { ManifestName($0.name)?.step }.max()
            var recovery = Recovery(record: record, rejected: rejected, lostStep: step == nil ? lost : nil)
            if isWritable { try settle(run, &recovery, nowUnixMilliseconds) }
            return recovery
        }
        if scan.records.isEmpty, rejected.isEmpty { return nil }
        if let step, !scan.records.contains(where: { $0.manifest.step == step }), scan.rejected.isEmpty {
            throw .noSuchCheckpoint(run: run, wanted: "at step \(step)")
        }
        throw .noUsableCheckpoint(run: run, rejected: rejected)
    }

    /// Makes everything a checkpoint needs durable, whoever wrote it.
    package func harden(_ record: CheckpointRecord) throws(StorageError) {
        let run = record.manifest.run
        try objects.syncFolders(of: record.manifest.objects.map(\.digest))
        for folder in [RepositoryLayout.manifests(run), RepositoryLayout.run(run), RepositoryLayout.runs] {
            try disk(fileSystem.syncFolder(path(folder)))
        }
        try disk(fileSystem.syncFolder(root))
    }

    private func settle(_ run: String, _ recovery: inout Recovery, _ now: Int) throws(StorageError) {
        try harden(recovery.record)
        if head(run) != recovery.record.name { try setHead(run, recovery.record.name) }
        guard !recovery.rejected.isEmpty else { return }
        // Only now that something to go on from is safe. What can't be moved today is tried again at the next start.
        for index in recovery.rejected.indices where isDamaged(run, fileName: recovery.rejected[index].name) {
            let name = recovery.rejected[index].name
            guard let place = try? quarantine(run, fileName: name, when: String(now)) else { continue }
            recovery.rejected[index].reason += "; set aside as \(place)"
        }
        var events = recovery.rejected.map {
            StoreEvent(.rejected, at: now, manifest: $0.name, detail: $0.reason)
        }
        events.append(StoreEvent(.fallback, at: now, manifest: recovery.record.name.text))
        if let lost = recovery.lostStep, lost > recovery.record.manifest.step {
            events.append(
                StoreEvent(
                    .lostWork, at: now, manifest: recovery.record.name.text,
                    detail: "steps \(recovery.record.manifest.step + 1) to \(lost)"))
        }
        // History is for people; a run must not stop because a line of it could not be written.
        try? note(run, events)
    }

    static func summary(_ findings: [StoreFinding]) -> String {
        guard let first = findings.first else { return "" }
        let more = findings.count > 1 ? " (and \(findings.count - 1) more)" : ""
        return "\(first.path): \(first.problem)\(more)"
    }
}
