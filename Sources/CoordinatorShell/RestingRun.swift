package import Coordination
import Foundation
import StorageShell
package import Terms

/// A coordinator that does not run, as its journal tells of it: for looking at ledgers, and for changing limits.
package struct RestingRun {
    package var core: Coordinator { recollection.core }
    private let folder: String
    private var recollection: CoreJournal.Recollection
    /// Entries of the journal that were read.
    package var entriesRead: Int { recollection.read }

    /// Reads the journal in `folder` from its newest snapshot on; nothing is changed. Throws when somebody runs it, or
    /// when it is damaged.
    package init(_ folder: String) throws {
        self.folder = folder
        recollection = try CoreJournal.recall(RestingJournal(folder: folder))
        if let fault = recollection.fault { throw DeskError(description: fault) }
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
        recollection = try CoreJournal.recall(journal)
    }

    /// What `drover budget show` prints.
    ///
    /// - Parameter currency: of the run's rate card, which the journal does not hold.
    package func budget(_ job: JobID, currency: String? = nil) throws -> JSONValue {
        guard let run = core.job(job) else { throw DeskError(description: "the journal knows no job \(job)") }
        return BudgetReport.json(run, chainOK: try chainHolds(for: run), currency: currency)
    }

    /// Whether every entry of the journal has the hash that the chain gives it, and the job's ledger is what its lines
    /// give from the first one on.
    private func chainHolds(for run: JobRun) throws -> Bool {
        guard recollection.agrees(on: run) else { return false }
        var walk = LedgerWalk()
        do throws(StorageError) {
            try RestingJournal(folder: folder).replay { _, stored in
                if stored.job == run.id, let line = BudgetReport.line(stored) { walk.take(line) }
            }
        } catch {
            guard case .journalDamaged = error else { throw error }
            return false
        }
        return walk.fault(against: run.ledger) == nil
    }

    /// What `drover usage` prints; only a sum that begins at some instant needs the whole journal.
    ///
    /// - Parameter currency: as in `budget`.
    package func usage(by key: String, since: Int64, currency: String? = nil) throws -> JSONValue {
        try BudgetReport.usage(core.jobs, by: key, since: since, currency: currency) {
            try RestingJournal(folder: folder).replay($0)
        }
    }
}
