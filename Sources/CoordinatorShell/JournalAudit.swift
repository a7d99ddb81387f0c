import Budgeting
import Checkpoints
package import Coordination
import Hashing
package import StorageShell
package import Terms

/// The whole journal of a coordinator that does not run, entry by entry: what `drover fsck` holds against its
/// snapshots, its ledgers and the stores.
package struct JournalAudit {
    package private(set) var core = Coordinator(epoch: 0, dataEndpoint: "")
    /// Lines of every job's ledger, in order.
    private var lines: [(job: JobID, entry: LedgerEntry, digest: Digest)] = []
    /// What is wrong with the snapshots, a sentence each.
    private var snapshotFaults: [String] = []

    /// Reads the journal in `folder`, every page and every entry; nothing is changed. Throws when somebody runs it, or
    /// when it is damaged.
    package init(_ folder: String) throws {
        let journal = try RestingJournal(folder: folder)
        try journal.check()
        var stored: [StorageShell.JournalEntry] = []
        try journal.replay { _, entry in stored.append(entry) }
        var digests: [Digest] = []
        for (index, stored) in stored.enumerated() {
            let entry = try CoreJournal.entry(stored)
            if case .snapshot(let digest) = entry {
                digests.append(digest)
                if Digest.sha256(of: core.snapshot()) != digest {
                    snapshotFaults.append("the snapshot of entry \(index + 1) is not what the entries before it give")
                }
            }
            try core.restore(entry, at: Instant(nanoseconds: 0))
            if let line = BudgetReport.line(stored) { lines.append((stored.job, line.entry, line.digest)) }
        }
        if let snapshot = try journal.snapshot(), digests.last != Digest.sha256(of: snapshot.bytes) {
            snapshotFaults.append("the journal's newest snapshot is not the one that its entry names")
        }
    }

    /// What is wrong with the ledgers, or between them and what the stores hold; a sentence each.
    package func faults(store: (JobID) throws -> CheckpointStore?) throws -> [String] {
        var faults = snapshotFaults
        for run in core.jobs {
            let ledger = lines.filter { $0.job == run.id }.map { ($0.entry, $0.digest) }
            if let fault = BudgetReport.fault(ledger, run.ledger) { faults.append("job \(run.id): \(fault)") }
            if let ledger = run.ledger, ledger.position != run.committed {
                faults.append(
                    "job \(run.id): its ledger stands at step \(ledger.position), its journal at \(run.committed)")
            }
            guard let records = try store(run.id)?.scan(CheckpointDesk.run).records else { continue }
            let steps = records.map(\.manifest.step)
            if run.saved > 0, !steps.contains(run.saved) {
                faults.append("job \(run.id): the journal names a checkpoint of step \(run.saved), the store has none")
            }
            if let trunk = run.trunk, trunk > 0, !steps.contains(trunk) {
                faults.append("job \(run.id): its trunk of step \(trunk) is not in the store")
            }
            if run.state == .budgetExhausted, run.committed > 0, !steps.contains(run.committed) {
                faults.append(
                    "job \(run.id) is out of budget at step \(run.committed), of which there is no checkpoint")
            }
        }
        return faults
    }
}
