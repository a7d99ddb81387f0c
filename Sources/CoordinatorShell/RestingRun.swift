import Budgeting
import Checkpoints
package import Coordination
import Foundation
import Hashing
package import StorageShell
package import Terms

/// The journal of a coordinator that does not run, replayed: for looking at ledgers, and for changing limits.
package struct RestingRun {
    package private(set) var core: Coordinator
    private let folder: String
    /// Lines of every job's ledger, in order.
    private var lines: [(job: JobID, entry: LedgerEntry, digest: Digest)] = []
    /// What is wrong with the snapshots, a sentence each.
    private var snapshotFaults: [String] = []

    /// Reads the journal in `folder`; nothing is changed. Throws when somebody runs it, or when it is damaged.
    package init(_ folder: String) throws {
        self.folder = folder
        core = Coordinator(epoch: 0, dataEndpoint: "")
        var stored: [StorageShell.JournalEntry] = []
        let snapshot = try SQLiteJournal.read(folder: folder) { _, entry in stored.append(entry) }
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
        if let snapshot, digests.last != Digest.sha256(of: snapshot.bytes) {
            snapshotFaults.append("the journal's newest snapshot is not the one that its entry names")
        }
    }

    /// Raises a limit of a job; durable on return.
    package mutating func raise(_ job: JobID, by text: String) throws {
        let journal = try SQLiteJournal(folder: folder)
        let clock = Int64(Date().timeIntervalSince1970 * 1000)
        let now = CoordinatorService.now()
        var writer = Coordinator(
            epoch: UInt64(journal.epoch), dataEndpoint: "", clockOffset: clock - now.nanoseconds / 1_000_000)
        var facts = CoreJournal(journal)
        try facts.restore(&writer, at: now)
        guard let run = writer.job(job) else { throw DeskError(description: "the journal knows no job \(job)") }
        let output = writer.handle(.limited(job, try BudgetReport.raised(run.limits, by: text)), at: now)
        try facts.append(output.journal, of: writer)
        core = writer
        lines += output.journal.compactMap {
            if case .ledger(let id, let entry, let digest) = $0 { (id, entry, digest) } else { nil }
        }
    }

    /// What `drover budget show` prints.
    package func budget(_ job: JobID) throws -> JSONValue {
        guard let run = core.job(job) else { throw DeskError(description: "the journal knows no job \(job)") }
        return try BudgetReport.json(run, entries: ledger(job))
    }

    private func ledger(_ job: JobID) -> [(entry: LedgerEntry, digest: Digest)] {
        lines.filter { $0.job == job }.map { ($0.entry, $0.digest) }
    }

    /// What `drover usage` prints.
    package func usage(by key: String, since: Int64) throws -> JSONValue {
        try BudgetReport.usage(core.jobs, by: key, since: since) { ledger($0) }
    }

    /// What is wrong with the ledgers, or between them and what the stores hold; a sentence each.
    package func faults(store: (JobID) throws -> CheckpointStore?) throws -> [String] {
        var faults = snapshotFaults
        for run in core.jobs {
            if let fault = BudgetReport.fault(ledger(run.id), run.ledger) { faults.append("job \(run.id): \(fault)") }
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
