import Coordination
import Foundation
import StorageShell
import Terms
import Testing

@testable import CoordinatorShell

/// A long run's journal, and what a start reads of it.
@Suite struct CoreJournalTests {
    private static let now = Instant(nanoseconds: 1)

    private func temporaryFolder() -> String { NSTemporaryDirectory() + "drover-facts-\(UUID().uuidString)" }

    private func start(_ journal: any Journal) throws -> (core: Coordinator, read: Int) {
        var (facts, core) = (CoreJournal(journal), Coordinator(epoch: 2, dataEndpoint: ""))
        let read = try facts.restore(&core, at: Self.now)
        return (core, read)
    }

    @Test
    func `a start reads as much of a long run's journal as of a shorter one's, and knows the same as the whole says`()
        throws
    {
        for steps in [1000, 3000] {
            let journal = try MemoryJournal()
            let made = try LongJournal.write(journal, steps: steps)

            let (core, read) = try start(journal)

            #expect(journal.lastSequence > 4 * steps)
            #expect(read < 4000, "\(steps) steps")
            #expect(core.jobs.first?.committed == steps)
            #expect(core.snapshot() == made.snapshot())
            var whole = Coordinator(epoch: 2, dataEndpoint: "")
            try journal.replay { _, entry in
                let entry = try? Coordination.JournalEntry(
                    job: entry.job, kind: Int(entry.kind), payload: entry.payload)
                if let entry { try? whole.restore(entry, at: Self.now) }
            }
            #expect(whole.snapshot() == core.snapshot())
        }
    }

    @Test func `ledger, budget and usage are the same with snapshots, and one that is wrong is found and passed over`()
        throws
    {
        let folder = temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var made: Coordinator?
        do { made = try LongJournal.write(SQLiteJournal(folder: folder), steps: 1200) }
        let run = try RestingRun(folder)
        #expect(run.core.snapshot() == made?.snapshot())
        #expect(try JournalAudit(folder).faults { _ in nil } == [])
        let budget = try run.budget(JobID(1))
        #expect(budget["chain_ok"]?.bool == true)
        #expect(budget["spent"]?["steps"]?.int == 1200)

        do {
            let journal = try SQLiteJournal(folder: folder)
            var bytes = try #require(try journal.snapshot()).bytes
            bytes[bytes.count / 2] ^= 1
            _ = try journal.append([], settings: [], snapshot: bytes)
            let (core, read) = try start(journal)
            #expect(read == journal.lastSequence)
            #expect(core.snapshot() == made?.snapshot())
        }
        let faults = try JournalAudit(folder).faults { _ in nil }
        #expect(faults == ["the journal's newest snapshot is not the one that its entry names"])
    }

    /// A journal whose disk has room for entries, and for no snapshot.
    private final class Narrow: Journal {
        let inner: MemoryJournal
        init() throws { inner = try MemoryJournal() }
        var epoch: Int { inner.epoch }
        var lastSequence: Int { inner.lastSequence }
        func append(
            _ entries: [StorageShell.JournalEntry], settings: [JournalSetting], snapshot: [UInt8]?
        ) throws(StorageError) -> Int {
            guard snapshot == nil else { throw .journalFailed(operation: "appending", code: 13, message: "full") }
            return try inner.append(entries, settings: settings, snapshot: nil)
        }
        func walk(_ walk: inout ChainWalk, atMost count: Int) throws(StorageError) {
            try inner.walk(&walk, atMost: count)
        }
        func value(_ key: String) throws(StorageError) -> String? { try inner.value(key) }
        func values() throws(StorageError) -> [JournalSetting] { try inner.values() }
        func raiseEpoch(above seen: Int) throws(StorageError) { try inner.raiseEpoch(above: seen) }
        func snapshot() throws(StorageError) -> JournalSnapshot? { try inner.snapshot() }
        func replay(from first: Int, _ body: (Int, StorageShell.JournalEntry) -> Void) throws(StorageError) {
            try inner.replay(from: first, body)
        }
    }

    @Test func `where a full disk takes no snapshot, the entries alone say the same`() throws {
        let (narrow, wide) = (try Narrow(), try MemoryJournal())
        let made = try LongJournal.write(narrow, steps: 1500)
        _ = try LongJournal.write(wide, steps: 1500)
        #expect(try wide.snapshot() != nil)
        #expect(try narrow.snapshot() == nil)
        #expect(try start(narrow).core.snapshot() == made.snapshot())
        var kinds: Set<UInt16> = []
        try narrow.replay { _, entry in kinds.insert(entry.kind) }
        var all: Set<UInt16> = []
        try wide.replay { _, entry in all.insert(entry.kind) }
        #expect(all.count == kinds.count + 1, "nor is one named that is not there")
    }

    @Test func `a start refuses a journal of which an old line was changed, a long one's beside its first work`() throws
    {
        let folder = temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        do { _ = try LongJournal.write(SQLiteJournal(folder: folder), steps: 1500) }
        func begin() throws -> CoreJournal {
            var facts = CoreJournal(try SQLiteJournal(folder: folder), walkedAtStart: 1000)
            var core = Coordinator(epoch: 2, dataEndpoint: "")
            #expect(try facts.restore(&core, at: Self.now) < 4000)
            #expect(core.jobs.first?.committed == 1500)
            return facts
        }
        do {
            var facts = try begin()
            var pieces = 0
            while facts.hasPast {
                try facts.walkPast()
                pieces += 1
            }
            #expect(pieces > 1)
        }
        // Among what a start leaves for later, then among what it walks at once.
        try LongJournal.alterLedger(in: folder, line: 1000)
        do {
            var facts = try begin()
            #expect(throws: StorageError.self) { while facts.hasPast { try facts.walkPast() } }
        }
        try LongJournal.alterLedger(in: folder, line: 2)
        let error = #expect(throws: StorageError.self) { _ = try begin() }
        #expect(error?.description.contains("does not fit the chain") == true)
    }

    @Test func `budget and usage of a long run read as much of its journal as those of a shorter one`() throws {
        for steps in [1000, 3000] {
            let folder = temporaryFolder()
            defer { try? FileManager.default.removeItem(atPath: folder) }
            do { _ = try LongJournal.write(SQLiteJournal(folder: folder), steps: steps) }

            let run = try RestingRun(folder)
            #expect(run.entriesRead < 4000, "\(steps) steps")
            let budget = try run.budget(JobID(1))
            #expect(budget["chain_ok"]?.bool == true && budget["spent"]?["steps"]?.int == steps)
            // From some instant on the lines are added up, one by one.
            #expect(try run.usage(by: "job", since: 0) == run.usage(by: "job", since: 1))

            let journal = try SQLiteJournal(folder: folder)
            let recalled = try CoreJournal.recall(journal)
            #expect(recalled.read == run.entriesRead)
            #expect(recalled.core.job(JobID(1)).map(recalled.agrees) == true)
        }
    }

    @Test func `a ledger that the journal does not give is told, whatever it is that differs`() throws {
        let journal = try MemoryJournal()
        let made = try LongJournal.write(journal, steps: 20)
        let run = try #require(made.job(JobID(1)))
        let other = try #require(try LongJournal.write(MemoryJournal(), steps: 21).job(JobID(1)))
        #expect(try CoreJournal.recall(journal).agrees(on: run))
        #expect(try !CoreJournal.recall(journal).agrees(on: other))

        // The last line of the ledger once more: it does not follow from itself.
        var last: StorageShell.JournalEntry?
        try journal.replay { _, entry in if entry.kind == 12 { last = entry } }
        try journal.append([try #require(last)])
        let recalled = try CoreJournal.recall(journal)
        #expect(recalled.fault?.contains("does not follow") == true)
        #expect(!recalled.agrees(on: run))
    }

    @Test func `no bytes that are no snapshot are taken for one`() throws {
        let bytes = try LongJournal.write(MemoryJournal(), steps: 20).snapshot()
        for count in 0..<bytes.count {
            var core = Coordinator(epoch: 2, dataEndpoint: "")
            #expect(throws: ByteError.self) { try core.restore(snapshot: Array(bytes.prefix(count)), at: Self.now) }
        }
        for place in bytes.indices {
            var (core, changed) = (Coordinator(epoch: 2, dataEndpoint: ""), bytes)
            changed[place] ^= 0x80
            // Some are snapshots of other runs; none traps.
            try? core.restore(snapshot: changed, at: Self.now)
        }
    }
}
