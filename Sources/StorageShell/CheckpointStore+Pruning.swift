package import Checkpoints
import Synchronization
package import Terms

/// What pruning did, or would do.
package struct PruneReport: Sendable, Equatable {
    /// One run's decisions, newest first.
    package struct Run: Sendable, Equatable {
        package let run: String
        package let decisions: [RetentionPolicy.Decision]
        /// Why nothing of this run may go, nil when retention decided.
        package let refusal: String?
    }

    package var runs: [Run] = []
    /// Objects to go; empty when refused.
    package var plan = PrunePlan(objects: [], manifests: [], graceSeconds: 0)
    /// Why nothing may go at all, nil when decisions and plan hold.
    package var refusal: String?
    package var isDryRun: Bool
}

extension CheckpointStore {
    /// Seconds for which an object that nobody names may be of a save under way.
    package static let grace = 3_600

    /// Deletes the checkpoints that retention lets go, then the objects that nobody names any more.
    ///
    /// Manifests are gone for good before the first object goes. Runs without a policy keep everything. Before anything
    /// goes, the newest checkpoints of a run that nobody has looked at are read and hashed. With `dryRun`, the
    /// same decisions and nothing changed. While a manifest can't be read, nothing goes at all.
    ///
    /// - `preparing`: objects of saves elsewhere that have no manifest yet.
    /// - `graceSeconds`: younger objects that nobody names stay; 0 where nothing is being saved.
    package func prune(
        _ policies: [(run: String, policy: RetentionPolicy)], preparing: Set<Digest> = [],
        graceSeconds: Int = CheckpointStore.grace,
        at nowUnixMilliseconds: Int, dryRun: Bool
    ) throws(StorageError) -> PruneReport {
        if !dryRun { try requireWritable() }
        // The newest are verified before the lock is taken: it takes long, and a publication must not wait for it.
        for (run, _) in policies { try verifyNewest(run) }
        return try state.withLock { state throws(StorageError) in
            var report = PruneReport(isDryRun: dryRun)
            var scans: [(run: String, scan: RunScan)] = []
            for run in try runs() { scans.append((run, try scan(run))) }
            report.refusal = refusal(scans)
            guard report.refusal == nil else { return report }
            var staying: [Manifest] = []
            for (run, scan) in scans {
                var kept = scan.records
                if let policy = policies.first(where: { $0.run == run })?.policy {
                    let (decisions, refusal) = try decide(run, policy, scan.records, state)
                    report.runs.append(PruneReport.Run(run: run, decisions: decisions, refusal: refusal))
                    let gone = Set(decisions.filter { !$0.keeps }.map(\.name))
                    kept.removeAll { gone.contains($0.name) }
                    if !dryRun, !gone.isEmpty { try delete(run, decisions, kept, nowUnixMilliseconds) }
                }
                staying += kept.map(\.manifest)
            }
            report.plan = PrunePlan(
                objects: try storedObjects(nowUnixMilliseconds), manifests: staying,
                preparing: preparing.union(objects.pendingObjects), graceSeconds: graceSeconds)
            if !dryRun {
                for object in report.plan.sweep { try disk(fileSystem.remove(objects.path(object.digest))) }
                try sweepForeignStaging(graceSeconds, nowUnixMilliseconds)
            }
            return report
        }
    }

    /// Why nothing may go: what a manifest names that can't be read is unknown, so no object could go, and manifests
    /// alone free nothing.
    private func refusal(_ scans: [(run: String, scan: RunScan)]) -> String? {
        guard let found = scans.first(where: { !$0.scan.rejected.isEmpty }), let first = found.scan.rejected.first
        else { return nil }
        let more = found.scan.rejected.count > 1 ? " (and \(found.scan.rejected.count - 1) more)" : ""
        let way =
            isDamaged(found.run, fileName: first.name)
            ? "`drover checkpoint prune RUN --set-aside` moves it to quarantine/, and so does the next `drover resume`"
            : "see to it that it can be read, or move it away"
        return "manifest \(first.name) of run \(found.run) can't be read (\(first.reason))\(more): what it names is "
            + "unknown, so nothing is deleted; \(way)"
    }

    /// Reads checkpoints of a run, newest first, until two are known to be right or were read in part when they were
    /// put.
    private func verifyNewest(_ run: String) throws(StorageError) {
        var right = 0
        for record in try scan(run).records {
            if right == 2 { return }
            switch health(of: record) {
            case .verified, .sampled: right += 1
            case .damaged: continue
            case .unknown: if try verify(record).isEmpty { right += 1 }
            }
        }
    }

    private func decide(
        _ run: String, _ policy: RetentionPolicy, _ records: [CheckpointRecord], _ state: State
    ) throws(StorageError) -> (decisions: [RetentionPolicy.Decision], refusal: String?) {
        let pins: PinList
        do throws(StorageError) { pins = try pinList(run) } catch {
            guard case .damaged = error else { throw error }
            let kept = records.map { RetentionPolicy.Decision(name: $0.name, keeps: true, reason: .pinned) }
            return (kept, error.description)
        }
        let candidates = records.map { record in
            RetentionCandidate(
                record.manifest, name: record.name, health: state.health[record.digest.hex] ?? .unknown, pins: pins)
        }
        return (policy.decide(candidates), nil)
    }

    /// Removes manifests, oldest first, and makes their absence durable.
    private func delete(
        _ run: String, _ decisions: [RetentionPolicy.Decision], _ kept: [CheckpointRecord], _ now: Int
    ) throws(StorageError) {
        // HEAD must never name what is gone.
        if let newest = kept.first, head(run) != newest.name {
            // On a full disk HEAD can't be replaced, and deleting is the way out: no hint is better than a wrong one.
            do throws(StorageError) { try setHead(run, newest.name) } catch {
                try? fileSystem.remove(path(RepositoryLayout.head(run)))
            }
        }
        let gone = decisions.filter { !$0.keeps }.reversed()
        try? note(
            run, gone.map { StoreEvent(.deleted, at: now, manifest: $0.name.text, detail: $0.reason.description) })
        for decision in gone { try disk(fileSystem.remove(path(RepositoryLayout.manifest(run, decision.name)))) }
        try disk(fileSystem.syncFolder(path(RepositoryLayout.manifests(run))))
    }

    private func storedObjects(_ now: Int) throws(StorageError) -> [PrunePlan.StoredObject] {
        var list: [PrunePlan.StoredObject] = []
        let folder = path(RepositoryLayout.objects)
        for name in try disk(fileSystem.list(folder)) {
            guard try disk(fileSystem.status(folder + "/" + name))?.kind == .folder else { continue }
            for file in try disk(fileSystem.list(folder + "/" + name)) {
                guard let digest = RepositoryLayout.digest(folder: name, name: file),
                    let status = try disk(fileSystem.status(objects.path(digest))), status.kind == .file
                else { continue }
                list.append(
                    PrunePlan.StoredObject(
                        digest: digest, bytes: status.size, ageSeconds: now / 1_000 - status.modifiedUnixSeconds))
            }
        }
        return list
    }

    /// Removes what other writers staged and left behind longer ago than the grace period.
    private func sweepForeignStaging(_ graceSeconds: Int, _ now: Int) throws(StorageError) {
        let folder = path(RepositoryLayout.staging)
        for writer in try disk(fileSystem.list(folder)) where writer != Self.stagingName {
            let inside = folder + "/" + writer
            guard try disk(fileSystem.status(inside))?.kind == .folder else { continue }
            var isEmpty = true
            for file in try disk(fileSystem.list(inside)) {
                guard let status = try disk(fileSystem.status(inside + "/" + file)) else { continue }
                if now / 1_000 - status.modifiedUnixSeconds >= graceSeconds, status.kind == .file {
                    try disk(fileSystem.remove(inside + "/" + file))
                } else {
                    isEmpty = false
                }
            }
            if isEmpty { try? fileSystem.removeFolder(inside) }
        }
    }
}
