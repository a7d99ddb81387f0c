import GRDB
import Terms

import struct Foundation.Data

/// The journal's tables and the few statements on them.
enum JournalTables {
    /// "drov" in ASCII: whose file this is.
    private static let application = 0x6472_6F76
    private static let version = 1

    private static let schema = """
        CREATE TABLE entries(
            seq INTEGER PRIMARY KEY, job INTEGER NOT NULL, kind INTEGER NOT NULL, payload BLOB NOT NULL,
            hash BLOB NOT NULL
        ) STRICT;
        CREATE TABLE texts(key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE head(
            one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL
        ) STRICT;
        """

    /// Made when it is first needed, also in a journal that was begun without it.
    private static let snapshotSchema = """
        CREATE TABLE IF NOT EXISTS snapshot(
            one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, bytes BLOB NOT NULL
        ) STRICT
        """

    struct Position: Equatable {
        var epoch: Int
        var sequence: Int
        var hash: Digest
    }

    /// Makes the tables in an empty file, checks the tail, and commits the next epoch.
    static func open(_ database: Database, _ path: String) throws -> Position {
        func damaged(_ problem: String) -> StorageError { .journalDamaged(path: path, problem: problem) }
        var result: Position?
        try database.inTransaction(.immediate) {
            let found = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
            let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_schema") ?? 0
            if found == 0, tables == 0 {
                try database.execute(sql: schema)
                try database.execute(sql: "PRAGMA application_id = \(application); PRAGMA user_version = \(version)")
                try database.execute(
                    sql: "INSERT INTO head(one, epoch, seq, hash) VALUES (1, 0, 0, ?)",
                    arguments: [Data(JournalChain.start.bytes)])
            } else if found != application {
                throw damaged("is another program's database")
            }
            let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            guard version == Self.version else {
                throw damaged("has version \(version), this program reads \(Self.version)")
            }
            guard var head = try head(database) else { throw damaged("its head row is missing or wrong") }
            let last = try Row.fetchOne(database, sql: "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")
            let lastSequence = try last?.decode(Int.self, atIndex: 0) ?? 0
            let lastHash = try last.map { Digest(bytes: try $0.decode(Data.self, atIndex: 1)) } ?? JournalChain.start
            guard lastSequence == head.sequence, lastHash == head.hash else {
                throw wrongEnd(path, lastSequence, head.sequence)
            }
            head.epoch += 1
            try setEpoch(database, head.epoch)
            result = head
            return .commit
        }
        guard let result else { throw damaged("could not be opened") }
        return result
    }

    static func insert(_ database: Database, _ sequence: Int, _ entry: JournalEntry, _ hash: Digest) throws {
        let statement = try database.cachedStatement(
            sql: "INSERT INTO entries(seq, job, kind, payload, hash) VALUES (?, ?, ?, ?, ?)")
        try statement.execute(arguments: [
            sequence, Int(entry.job.number), Int(entry.kind), Data(entry.payload), Data(hash.bytes),
        ])
    }

    static func setTail(_ database: Database, _ sequence: Int, _ hash: Digest) throws {
        let statement = try database.cachedStatement(sql: "UPDATE head SET seq = ?, hash = ? WHERE one = 1")
        try statement.execute(arguments: [sequence, Data(hash.bytes)])
    }

    static func setEpoch(_ database: Database, _ epoch: Int) throws {
        try database.execute(sql: "UPDATE head SET epoch = ? WHERE one = 1", arguments: [epoch])
    }

    static func set(_ database: Database, _ setting: JournalSetting) throws {
        guard let value = setting.value else {
            return try database.execute(sql: "DELETE FROM texts WHERE key = ?", arguments: [setting.key])
        }
        try database.execute(
            sql: "INSERT INTO texts(key, value) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
            arguments: [setting.key, value])
    }

    static func setSnapshot(_ database: Database, _ sequence: Int, _ bytes: [UInt8]) throws {
        try database.execute(sql: snapshotSchema)
        try database.execute(
            sql: "INSERT INTO snapshot(one, seq, bytes) VALUES (1, ?, ?) "
                + "ON CONFLICT(one) DO UPDATE SET seq = excluded.seq, bytes = excluded.bytes",
            arguments: [sequence, Data(bytes)])
    }

    static func snapshot(_ database: Database) throws -> JournalSnapshot? {
        guard try database.tableExists("snapshot"),
            let row = try Row.fetchOne(database, sql: "SELECT seq, bytes FROM snapshot WHERE one = 1")
        else { return nil }
        return JournalSnapshot(
            sequence: try row.decode(Int.self, atIndex: 0), bytes: Array(try row.decode(Data.self, atIndex: 1)))
    }

    /// Walks the chain from entry `first` on, calls `body` for each, and returns where the chain ends.
    static func replay(
        _ database: Database, _ path: String, from first: Int, _ body: (Int, JournalEntry) -> Void
    ) throws -> (sequence: Int, hash: Digest) {
        var hash = JournalChain.start
        if first > 1 {
            let before = try Data.fetchOne(
                database, sql: "SELECT hash FROM entries WHERE seq = ?", arguments: [first - 1])
            guard let before = before.flatMap(Digest.init(bytes:)) else {
                throw StorageError.journalDamaged(path: path, problem: "entry \(first - 1) is missing")
            }
            hash = before
        }
        return try walk(database, path, after: (max(0, first - 1), hash), body)
    }

    /// Walks the chain over the entries behind one with its hash, at most `count` of them (-1 = all), calls `body` for
    /// each, and returns the last one with the chain's hash there.
    static func walk(
        _ database: Database, _ path: String, after: (sequence: Int, hash: Digest), atMost count: Int = -1,
        _ body: (Int, JournalEntry) -> Void = { _, _ in }
    ) throws -> (sequence: Int, hash: Digest) {
        var (sequence, hash) = after
        let rows = try Row.fetchCursor(
            database, sql: "SELECT seq, job, kind, payload, hash FROM entries WHERE seq > ? ORDER BY seq LIMIT ?",
            arguments: [sequence, count])
        while let row = try rows.next() {
            let found = try row.decode(Int.self, atIndex: 0)
            guard found == sequence + 1, let job = UInt32(exactly: try row.decode(Int.self, atIndex: 1)),
                let kind = UInt16(exactly: try row.decode(Int.self, atIndex: 2))
            else {
                throw StorageError.journalDamaged(path: path, problem: "entry \(found) follows entry \(sequence)")
            }
            let entry = JournalEntry(job: JobID(job), kind: kind, payload: Array(try row.decode(Data.self, atIndex: 3)))
            sequence += 1
            hash = JournalChain.next(hash, sequence: sequence, entry)
            guard Data(hash.bytes) == (try row.decode(Data.self, atIndex: 4)) else {
                throw StorageError.journalDamaged(path: path, problem: "entry \(sequence) does not fit the chain")
            }
            body(sequence, entry)
        }
        return (sequence, hash)
    }

    /// Throws when entries that were walked to their end are not all that the head row knows of.
    static func requireEnd(_ database: Database, _ path: String, _ end: (sequence: Int, hash: Digest)) throws {
        guard let head = try head(database) else {
            throw StorageError.journalDamaged(path: path, problem: "its head row is missing or wrong")
        }
        guard end == (head.sequence, head.hash) else { throw wrongEnd(path, end.sequence, head.sequence) }
    }

    private static func wrongEnd(_ path: String, _ last: Int, _ wanted: Int) -> StorageError {
        .journalDamaged(path: path, problem: "its last entry is \(last), its head row says \(wanted)")
    }

    private static func head(_ database: Database) throws -> Position? {
        guard let row = try Row.fetchOne(database, sql: "SELECT epoch, seq, hash FROM head WHERE one = 1"),
            let hash = Digest(bytes: try row.decode(Data.self, atIndex: 2))
        else { return nil }
        return Position(
            epoch: try row.decode(Int.self, atIndex: 0), sequence: try row.decode(Int.self, atIndex: 1), hash: hash)
    }
}
