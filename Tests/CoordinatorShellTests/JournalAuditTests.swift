import Coordination
import Foundation
import Logging
import Simulation
import StorageShell
import Terms
import Testing

@testable import CoordinatorShell

/// What is found wrong in a journal at rest, and what that hides: nothing.
@Suite struct JournalAuditTests {
    private let nothing: JournalAudit.Stored = ([], [])

    /// Makes a folder for a journal, does something with it, and removes it.
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "drover-audit-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    @Test func `a checkpoint that the journal names and that is nowhere is told, a damaged one is not told twice`()
        throws
    {
        try withFolder { folder in
            do { _ = try LongJournal.write(SQLiteJournal(folder: folder), steps: 20) }

            let audit = try JournalAudit(folder)

            let missing = "job 1: the journal names a checkpoint of step 20 as saved, and it is not there"
            #expect(audit.faults { _ in nothing } == [missing])
            #expect(audit.faults { _ in ([], [20]) } == [])
            #expect(audit.faults { _ in nil } == [])
        }
    }

    @Test func `a run that never saved anything is sound without a store`() throws {
        try withFolder { folder in
            var (entries, isSaved, run) = ([Coordination.JournalEntry](), false, LongRun(steps: 20))
            run.run { new, _ in
                for entry in new {
                    if case .published = entry { isSaved = true }
                    if !isSaved { entries.append(entry) }
                }
            }
            #expect(isSaved)
            do {
                var facts = CoreJournal(try SQLiteJournal(folder: folder))
                try facts.append(entries, of: run.core)
            }

            #expect(try JournalAudit(folder).faults { _ in nothing } == [])
        }
    }

    @Test func `a line of a ledger that does not follow is told once, and the stores are looked at all the same`()
        throws
    {
        try withFolder { folder in
            do {
                let journal = try SQLiteJournal(folder: folder)
                _ = try LongJournal.write(journal, steps: 20)
                var last: StorageShell.JournalEntry?
                try journal.replay { _, entry in if entry.kind == 12 { last = entry } }
                try journal.append([try #require(last)])
            }

            let faults = try JournalAudit(folder).faults { _ in nothing }

            #expect(faults.count == 2, "\(faults)")
            #expect(faults.first?.contains("of the ledger does not follow") == true, "\(faults)")
            #expect(faults.last?.contains("step 20 as saved") == true, "\(faults)")
        }
    }

    @Test func `an altered entry is one finding, and the stores are held against the snapshot behind it`() throws {
        try withFolder { folder in
            do { _ = try LongJournal.write(SQLiteJournal(folder: folder), steps: 1200) }
            try LongJournal.alterLedger(in: folder)

            let faults = try JournalAudit(folder).faults { _ in nothing }

            #expect(faults.count == 2, "\(faults)")
            #expect(faults.first?.contains("does not fit the chain") == true, "\(faults)")
            #expect(faults.last?.contains("step 1200 as saved") == true, "\(faults)")
        }
    }

    @Test func `a file that is no journal any more is a finding, one that somebody runs is not`() throws {
        try withFolder { folder in
            do {
                let journal = try SQLiteJournal(folder: folder)
                let error = #expect(throws: StorageError.self) { _ = try JournalAudit(folder) }
                guard case .file(.locked) = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                withExtendedLifetime(journal) {}
            }
            try Data(repeating: 7, count: 8192).write(to: URL(fileURLWithPath: folder + "/journal.sqlite"))

            #expect(try JournalAudit(folder).faults { _ in nothing }.count == 1)
        }
    }

    @Test func `an altered line far behind the newest snapshot breaks the chain for budget show and fsck`() throws {
        try withFolder { folder in
            do { _ = try LongJournal.write(SQLiteJournal(folder: folder), steps: 1200) }
            #expect(try RestingRun(folder).budget(JobID(1))["chain_ok"]?.bool == true)
            try LongJournal.alterLedger(in: folder)

            // The snapshot itself is right, so the balances are still known.
            let budget = try RestingRun(folder).budget(JobID(1))
            #expect(budget["chain_ok"]?.bool == false && budget["spent"]?["steps"]?.int == 1200)
            let faults = try JournalAudit(folder).faults { _ in ([], []) }
            #expect(faults.contains { $0.contains("does not fit the chain") }, "\(faults)")
        }
    }
}
