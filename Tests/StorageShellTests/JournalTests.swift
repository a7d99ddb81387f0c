import Foundation
import GRDBSQLite
import StorageShell
import Terms
import Testing

/// One suite for the SQLite journal and its twin in memory.
@Suite struct JournalTests {
    /// Something that can be opened again after it was closed.
    final class Place {
        private let folder: TemporaryFolder?
        private let medium = MemoryJournal.Medium()
        init(_ twin: Twin) throws { folder = twin == .sqlite ? try TemporaryFolder() : nil }
        func open() throws -> any Journal {
            if let folder { return try SQLiteJournal(folder: folder("state")) }
            return try MemoryJournal(medium)
        }
    }
    enum Twin: CaseIterable { case sqlite, memory }

    private func entry(_ job: UInt32, _ kind: UInt16, _ text: String) -> JournalEntry {
        JournalEntry(job: JobID(job), kind: kind, payload: Array(text.utf8))
    }
    private func all(_ journal: any Journal, from first: Int = 1) throws -> [(Int, JournalEntry)] {
        var list: [(Int, JournalEntry)] = []
        try journal.replay(from: first) { list.append(($0, $1)) }
        return list
    }

    @Test(arguments: Twin.allCases) func `entries come back in order, numbered from 1, after opening anew`(_ twin: Twin)
        throws
    {
        let place = try Place(twin)
        let entries = [entry(1, 2, "a"), entry(0, 65_535, ""), entry(.max, 0, "c")]
        do {
            let journal = try place.open()
            #expect(journal.lastSequence == 0)
            #expect(try journal.append(Array(entries.prefix(2))) == 2)
            #expect(try journal.append(Array(entries.suffix(1))) == 3)
        }

        let journal = try place.open()

        #expect(journal.lastSequence == 3)
        #expect(try all(journal).map(\.0) == [1, 2, 3])
        #expect(try all(journal).map(\.1) == entries)
        #expect(try all(journal, from: 3).map(\.1) == [entries[2]])
        #expect(try all(journal, from: 4).isEmpty)
    }

    @Test(arguments: Twin.allCases) func `every opening has a higher epoch, and it can be raised above a seen one`(
        _ twin: Twin
    ) throws {
        let place = try Place(twin)
        var epochs: [Int] = []
        for _ in 0..<3 { epochs.append(try place.open().epoch) }
        do {
            let journal = try place.open()
            try journal.raiseEpoch(above: 2)
            epochs.append(journal.epoch)
            try journal.raiseEpoch(above: 10)
            epochs.append(journal.epoch)
        }
        epochs.append(try place.open().epoch)

        #expect(epochs == [1, 2, 3, 4, 11, 12])
    }

    @Test(arguments: Twin.allCases) func `texts are set with entries, replaced, deleted, and listed in order`(
        _ twin: Twin
    ) throws {
        let place = try Place(twin)
        do {
            let journal = try place.open()
            try journal.append([entry(1, 1, "x")], settings: [.init("b", "1"), .init("a", "2"), .init("c", "3")])
            try journal.append([], settings: [.init("b", "4"), .init("c", nil)])
        }

        let journal = try place.open()

        #expect(try journal.values() == [.init("a", "2"), .init("b", "4")])
        #expect(try journal.value("b") == "4")
        #expect(try journal.value("c") == nil)
        #expect(journal.lastSequence == 1)
    }

    @Test(arguments: Twin.allCases) func `the chain is walked in pieces, to the entry that was named`(_ twin: Twin)
        throws
    {
        let journal = try Place(twin).open()
        try journal.append((1...10).map { entry(1, 1, "entry \($0)") })
        var (walk, pieces) = (ChainWalk(through: 8), 0)
        while !walk.isOver {
            try journal.walk(&walk, atMost: 3)
            pieces += 1
        }
        #expect(pieces == 3)
        #expect(ChainWalk(through: 0).isOver)
        let reached = walk
        try journal.walk(&walk, atMost: 3)
        #expect(walk == reached)
    }

    @Test(arguments: Twin.allCases) func `a second coordinator on the same folder is refused`(_ twin: Twin) throws {
        let place = try Place(twin)
        let first = try place.open()

        let error = #expect(throws: StorageError.self) { _ = try place.open() }

        guard case .file(.locked) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(error?.isTransient == true)
        withExtendedLifetime(first) {}
    }
}

/// What only a journal on a disk can suffer.
@Suite struct SQLiteJournalTests {
    private func filled(_ folder: TemporaryFolder, _ count: Int = 5) throws {
        let journal = try SQLiteJournal(folder: folder("state"))
        for number in 1...count {
            try journal.append([JournalEntry(job: JobID(1), kind: 1, payload: Array("entry \(number)".utf8))])
        }
    }

    /// Runs SQL on the closed file through the system's own tool-free way: another journal's connection can't, so the
    /// bytes are changed directly.
    private func replace(_ path: String, _ old: String, _ new: String) throws {
        var data = try Data(contentsOf: URL(fileURLWithPath: path))
        let range = try #require(data.range(of: Data(old.utf8)))
        data.replaceSubrange(range, with: Data(new.utf8))
        try data.write(to: URL(fileURLWithPath: path))
    }

    @Test func `a changed entry breaks the chain`() throws {
        let folder = try TemporaryFolder()
        try filled(folder)
        try replace(folder("state/journal.sqlite"), "entry 3", "entry 7")
        let journal = try SQLiteJournal(folder: folder("state"))
        var seen = 0

        let error = #expect(throws: StorageError.self) { try journal.replay { _, _ in seen += 1 } }

        #expect(seen == 2)
        guard case .journalDamaged(_, let problem) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem == "entry 3 does not fit the chain")
    }

    @Test func `a walk in pieces ends at a changed entry, and at one that is missing`() throws {
        let folder = try TemporaryFolder()
        try filled(folder, 9)
        try replace(folder("state/journal.sqlite"), "entry 7", "entry 3")
        let journal = try SQLiteJournal(folder: folder("state"))
        var walk = ChainWalk(through: 9)
        for _ in 0..<3 { try journal.walk(&walk, atMost: 2) }
        #expect(
            throws: StorageError.journalDamaged(
                path: folder("state/journal.sqlite"), problem: "entry 7 does not fit the chain")
        ) { try journal.walk(&walk, atMost: 2) }
        // Nothing of the piece counts.
        var short = ChainWalk(through: 6)
        while !short.isOver { try journal.walk(&short, atMost: 100) }
        var long = ChainWalk(through: 12)
        try journal.append([JournalEntry(job: JobID(1), kind: 1, payload: [])])
        #expect(throws: StorageError.self) { while !long.isOver { try journal.walk(&long, atMost: 6) } }
    }

    @Test func `a journal whose newest entries are gone is refused, by a start and by who only looks`() throws {
        let folder = try TemporaryFolder()
        try filled(folder, 9)
        var database: OpaquePointer?
        #expect(sqlite3_open(folder("state/journal.sqlite"), &database) == SQLITE_OK)
        #expect(sqlite3_exec(database, "DELETE FROM entries WHERE seq > 7", nil, nil, nil) == SQLITE_OK)
        #expect(sqlite3_close(database) == SQLITE_OK)

        let cut = StorageError.journalDamaged(
            path: folder("state/journal.sqlite"), problem: "its last entry is 7, its head row says 9")
        #expect(throws: cut) { _ = try SQLiteJournal(folder: folder("state")) }
        let resting = try RestingJournal(folder: folder("state"))
        #expect(throws: cut) { try resting.replay { _, _ in } }
        #expect(throws: cut) { try resting.replay(from: 7) { _, _ in } }
    }

    @Test func `bytes that are no database are refused`() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder("state"), withIntermediateDirectories: true)
        try Data(repeating: 7, count: 8_192).write(to: URL(fileURLWithPath: folder("state/journal.sqlite")))
        let error = #expect(throws: StorageError.self) { _ = try SQLiteJournal(folder: folder("state")) }
        guard case .journalDamaged = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func `what append returned from is in a copy taken while the journal is open`() throws {
        let folder = try TemporaryFolder()
        let journal = try SQLiteJournal(folder: folder("state"))
        for number in 1...50 {
            try journal.append([JournalEntry(job: JobID(1), kind: 1, payload: [UInt8(number)])])
            guard number % 10 == 0 else { continue }
            let copy = folder("copy\(number)")
            try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
            for name in ["journal.sqlite", "journal.sqlite-wal"] {
                try FileManager.default.copyItem(atPath: folder("state/" + name), toPath: copy + "/" + name)
            }
            let found = try SQLiteJournal(folder: copy)
            var payloads: [UInt8] = []
            try found.replay { payloads += $1.payload }
            #expect(payloads == (1...UInt8(number)).map { $0 })
            #expect(found.epoch == journal.epoch + 1)
        }
    }

    @Test func `damage anywhere in the file is refused or leaves the entries as they were, never a trap`() throws {
        let folder = try TemporaryFolder()
        try filled(folder, 3)
        let original = try Data(contentsOf: URL(fileURLWithPath: folder("state/journal.sqlite")))
        for offset in stride(from: 0, to: original.count, by: 97) {
            var data = original
            data[offset] ^= 0x55
            let copy = folder("copy\(offset)")
            try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
            try data.write(to: URL(fileURLWithPath: copy + "/journal.sqlite"))
            var texts: [String] = []
            do {
                let journal = try SQLiteJournal(folder: copy)
                try journal.replay { texts.append(String(decoding: $1.payload, as: UTF8.self)) }
            } catch { continue }
            #expect(texts == ["entry 1", "entry 2", "entry 3"], "byte \(offset)")
        }
    }
}
