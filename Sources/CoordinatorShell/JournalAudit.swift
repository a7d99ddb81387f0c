import Budgeting
import Checkpoints
package import Coordination
import Hashing
package import StorageShell
package import Terms

/// The whole journal of a coordinator that does not run, entry by entry: what `drover fsck` holds against its
/// snapshots, its ledgers and the stores. What is wrong with one of these hides nothing of the others.
package struct JournalAudit {
    /// What is in a job's store: the checkpoints that can be read, and the steps of those that can't or were set aside.
    package typealias Stored = (records: [CheckpointRecord], damaged: [Step])

    /// What the entries add up to; where one of them is damaged, what the newest snapshot and those behind it do.
    private var core = Coordinator(epoch: 0, dataEndpoint: "")
    /// Every job's ledger, computed again line by line.
    private var ledgers: [JobID: LedgerWalk] = [:]
    /// Digests of the states that ever counted, by their steps: those of lines that a run has left too.
    private var states: [JobID: [Step: Set<UInt64>]] = [:]
    /// The digests of every ledger's lines.
    private var heads: [JobID: Set<Digest>] = [:]
    /// The digest that the newest snapshot has by its entry.
    private var newest: Digest?
    /// Every entry was read and taken in.
    private var isWhole = true
    /// What is damaged of the journal itself, a sentence; only the first, because the rest follows from it.
    private var damage: String?
    /// What is wrong with the snapshots, a sentence each.
    private var snapshotFaults: [String] = []

    /// Reads the journal in `folder`, every page and every entry; nothing is changed. Throws only when somebody runs
    /// it: damage is among the `faults`.
    package init(_ folder: String) throws(StorageError) {
        do throws(StorageError) { try walk(RestingJournal(folder: folder)) } catch {
            if case .file(.locked) = error { throw error }
            note(error.description)
            isWhole = false
        }
    }

    /// A job as the entries give it; nil = they give none.
    package func job(_ id: JobID) -> JobRun? { core.job(id) }

    private mutating func note(_ problem: String) { damage = damage ?? problem }

    private mutating func walk(_ journal: RestingJournal) {
        do throws(StorageError) { try journal.check() } catch { note(error.description) }
        do throws(StorageError) {
            try journal.replay { number, stored in take(stored, number) }
        } catch {
            note(error.description)
            isWhole = false
        }
        if isWhole { compareNewest(of: journal) } else { recall(journal) }
    }

    private mutating func take(_ stored: StorageShell.JournalEntry, _ number: Int) {
        guard isWhole else { return }
        do {
            let entry = try CoreJournal.entry(stored)
            if case .ledger(let job, let line, let digest) = entry {
                ledgers[job, default: LedgerWalk()].take((line, digest))
                heads[job, default: []].insert(digest)
                // The core could not follow either; whatever else it knows does not come from a ledger.
                if ledgers[job]?.fault != nil { return }
            }
            if case .snapshot(let digest) = entry { compare(digest, number) }
            try core.restore(entry, at: Instant(nanoseconds: 0))
            remember(entry)
        } catch {
            note("entry \(number) of the journal: \(error)")
            isWhole = false
        }
    }

    /// Holds a snapshot's digest against what the entries before it give.
    private mutating func compare(_ digest: Digest, _ number: Int) {
        newest = digest
        // Without a line of a ledger the core is another one: that line is told, and nothing that follows from it.
        guard ledgers.values.allSatisfy({ $0.fault == nil }), Digest.sha256(of: core.snapshot()) != digest,
            Digest.sha256(of: core.snapshot(isPlain: true)) != digest
        else { return }
        snapshotFaults.append("the snapshot of entry \(number) is not what the entries before it give")
    }

    private mutating func compareNewest(of journal: RestingJournal) {
        do throws(StorageError) {
            guard let snapshot = try journal.snapshot(), newest != Digest.sha256(of: snapshot.bytes) else { return }
            snapshotFaults.append("the journal's newest snapshot is not the one that its entry names")
        } catch { note(error.description) }
    }

    private mutating func remember(_ entry: Coordination.JournalEntry) {
        switch entry {
        case .committed(let job, let step): states[job, default: [:]][step.step, default: []].insert(step.digest)
        case .submitted(let job, _):
            guard let past = core.job(job)?.description.branch else { return }
            states[job, default: [:]][past.step, default: []].insert(past.digest)
        default: break
        }
    }

    /// Knows what a start would know, for the stores' sake, where an older entry is damaged; nothing, where that can't
    /// be had either.
    private mutating func recall(_ journal: RestingJournal) {
        let found = try? CoreJournal.recall(journal)
        core = Coordinator(epoch: 0, dataEndpoint: "")
        if let found, found.fault == nil { core = found.core }
        (ledgers, states, heads) = ([:], [:], [:])
    }

    /// What is wrong with the journal and the ledgers, or between them and what the stores hold; a sentence each.
    ///
    /// - Parameters:
    ///   - jobs: those that have a store.
    ///   - stored: what is in a job's store: nothing, where there is none; nil = it can't be read, and somebody else says
    ///     so.
    package func faults(of jobs: [JobID] = [], stored: (JobID) -> Stored?) -> [String] {
        var faults = snapshotFaults
        if let damage { faults.insert(damage, at: 0) }
        // In what is left of a damaged journal there need not be every job.
        for job in jobs where damage == nil && core.job(job) == nil {
            guard let life = stored(job)?.records.first(where: { $0.manifest.coordinatorEpoch > 0 }) else { continue }
            faults.append(
                "job \(job): the journal knows nothing of it, and there is a checkpoint of step \(life.manifest.step): "
                    + "the journal or its end was lost")
        }
        for run in core.jobs {
            faults += ledgerFaults(of: run)
            if let stored = stored(run.id) { faults += storeFaults(of: run, stored) }
        }
        return faults
    }

    private func ledgerFaults(of run: JobRun) -> [String] {
        if isWhole, let fault = (ledgers[run.id] ?? LedgerWalk()).fault(against: run.ledger) {
            return ["job \(run.id): \(fault)"]
        }
        guard let ledger = run.ledger, ledger.position != run.committed else { return [] }
        return ["job \(run.id): its ledger stands at step \(ledger.position), its journal at \(run.committed)"]
    }

    private func storeFaults(of run: JobRun, _ stored: Stored) -> [String] {
        let steps = Set(stored.records.map(\.manifest.step) + stored.damaged)
        var faults: [String] = []
        for (step, part) in promised(by: run) where !steps.contains(step) {
            faults.append(
                "job \(run.id): the journal names a checkpoint of step \(step) as \(part), and it is not there")
        }
        var end: String?
        for record in stored.records {
            if let fault = stateFault(of: record, run.id) {
                faults.append(fault)
            } else {
                // The newest one says it for all.
                end = end ?? endFault(of: record, run)
            }
        }
        return faults + [end].compactMap(\.self)
    }

    /// The checkpoints that the journal counts on, each step once; no retention lets go of them.
    private func promised(by run: JobRun) -> [(step: Step, part: String)] {
        var promised: [(step: Step, part: String)] = []
        func add(_ step: Step, _ part: String) {
            guard step > 0, !promised.contains(where: { $0.step == step }) else { return }
            promised.append((step, part))
        }
        add(run.saved, "saved")
        add(run.trunk ?? 0, "its trunk")
        if run.state == .budgetExhausted { add(run.committed, "what its budget bought") }
        return promised
    }

    /// What is wrong with the state that a checkpoint says it holds: that it never counted at its step, although
    /// another one did.
    private func stateFault(of record: CheckpointRecord, _ job: JobID) -> String? {
        let step = record.manifest.step
        guard let text = record.manifest.extras["state_digest"]?.string, let known = states[job]?[step] else {
            return nil
        }
        if let digest = UInt64(text, radix: 16), known.contains(digest) { return nil }
        let digests = known.sorted().map { String($0, radix: 16) }.joined(separator: " or ")
        return "job \(job): checkpoint \(record.name.text) says it holds the state \(text), but the state that the "
            + "journal committed at step \(step) is \(digests); a resume passes it over"
    }

    /// That a checkpoint is younger than the job's ledger, or of another one. Every line that it counts was durable
    /// before it was made, and SQLite drops without a word what stands in its log behind a page that is damaged.
    private func endFault(of record: CheckpointRecord, _ run: JobRun) -> String? {
        let manifest = record.manifest
        // What a branch was planted with counts another job's lines; of a ledger that is broken enough is said.
        guard manifest.coordinatorEpoch > 0, ledgers[run.id]?.fault == nil else { return nil }
        if CheckpointDesk.isBeyond(manifest, postings: run.ledger?.postingsCount ?? 0) {
            return "job \(run.id): the journal has lost what came after step \(run.committed): checkpoint "
                + "\(record.name.text) was made later; the run is not gone on with"
        }
        guard isWhole, let head = manifest.budget["ledger_head"]?.string.flatMap({ Digest(hex: $0) }),
            heads[run.id]?.contains(head) != true
        else { return nil }
        return "job \(run.id): the journal has lost lines of the ledger, or was gone on with after it had: checkpoint "
            + "\(record.name.text) rests on one that is not there"
    }
}
