import GRDB
import Hashing
import Synchronization
import Terms

/// The coordinator's journal in one SQLite file, written by one connection of one process.
///
/// WAL with `synchronous=FULL`: an entry is on the disk when `append` returns. No other program may open the live file,
/// which `locking_mode=EXCLUSIVE` and the folder's lock enforce; two writers are what SQLite before 3.51.3 can be
/// corrupted by. Every setting is read back at opening, because the library above SQLite lowers some of them.
package final class SQLiteJournal: Journal {
    private let path: String
    private let lock: DirectoryLock
    private let queue: DatabaseQueue
    private let state: Mutex<State>

    private struct State {
        var epoch: Int
        var sequence: Int
        var hash: Digest
        /// Why nothing more may be written, once something happened after which only a restart tells what is true.
        var stopped: String?
    }

    /// Opens or makes the journal in `folder`, which this process then holds alone.
    ///
    /// Checks the file (`quick_check`, while it is small), every durability setting, the tail of the chain; makes the
    /// new epoch durable.
    ///
    /// - Parameters:
    ///   - fileSystem: the disk that `folder` is on.
    ///   - databaseDisk: SQLite's name for that disk, nil = the system's own.
    package init(
        folder: String, fileSystem: any FileSystem = POSIXFileSystem(), databaseDisk: String? = nil
    ) throws(StorageError) {
        try disk(fileSystem.makeFolders(folder))
        lock = try disk(fileSystem.lock(folder))
        path = folder + "/journal.sqlite"
        if try disk(fileSystem.status(path)) == nil {
            // Made by us, for our user alone; an empty file is an empty database.
            fileSystem.close(try disk(fileSystem.create(path, mode: 0o600)))
            try disk(fileSystem.syncFolder(folder))
        }
        try Self.renewLog(path, fileSystem)
        var configuration = Configuration()
        configuration.journalMode = .wal
        configuration.label = "drover.journal"
        let path = path
        do {
            queue = try DatabaseQueue(
                path: databaseDisk.map { "file:\(path)?vfs=\($0)" } ?? path, configuration: configuration)
        } catch {
            throw Self.failure(error, "opening", path)
        }
        let queue = queue
        let opened = try Self.attempt("opening", path) {
            try queue.writeWithoutTransaction { database in
                try JournalSettings.apply(database)
                return try JournalTables.open(database, path)
            }
        }
        // SQLite made its log file beside the database.
        try disk(fileSystem.syncFolder(folder))
        state = Mutex(State(epoch: opened.epoch, sequence: opened.sequence, hash: opened.hash, stopped: nil))
    }

    /// Writes SQLite's log anew, when an earlier process left one: after a sync that failed, the system shows what the
    /// disk does not hold. SQLite would believe it, and what is appended after it would be lost with it.
    private static func renewLog(_ path: String, _ fileSystem: any FileSystem) throws(StorageError) {
        let (log, copy) = (path + "-wal", path + "-wal.new")
        if try disk(fileSystem.status(copy)) != nil { try disk(fileSystem.remove(copy)) }
        guard let status = try disk(fileSystem.status(log)), status.size > 0 else { return }
        try disk(fileSystem.writeNew(copy, bytes: fileSystem.contents(log, limit: 1 << 30), mode: 0o600))
        try disk(fileSystem.rename(copy, to: log, replacing: true))
        try disk(fileSystem.syncFolder(POSIXFileSystem.parent(of: path)))
    }

    package var epoch: Int { state.withLock { $0.epoch } }
    package var lastSequence: Int { state.withLock { $0.sequence } }

    package func append(
        _ entries: [JournalEntry], settings: [JournalSetting], snapshot: [UInt8]?
    ) throws(StorageError) -> Int {
        try state.withLock { state throws(StorageError) in
            try write(&state, "appending") { database, state in
                var (sequence, hash) = (state.sequence, state.hash)
                for entry in entries {
                    precondition(entry.payload.count <= JournalEntry.payloadLimit, "a journal entry has at most 1 MiB")
                    sequence += 1
                    hash = JournalChain.next(hash, sequence: sequence, entry)
                    try JournalTables.insert(database, sequence, entry, hash)
                }
                for setting in settings { try JournalTables.set(database, setting) }
                if !entries.isEmpty { try JournalTables.setTail(database, sequence, hash) }
                if let snapshot { try JournalTables.setSnapshot(database, sequence, snapshot) }
                (state.sequence, state.hash) = (sequence, hash)
            }
            return state.sequence
        }
    }

    package func replay(from first: Int, _ body: (Int, JournalEntry) -> Void) throws(StorageError) {
        try state.withLock { state throws(StorageError) in
            let path = path
            let (sequence, hash) = (state.sequence, state.hash)
            guard first <= sequence + 1 else { return }
            try Self.attempt("reading", path) {
                try queue.unsafeRead { database in
                    let end = try JournalTables.replay(database, path, from: first, body)
                    guard end.sequence == sequence, end.hash == hash else {
                        throw StorageError.journalDamaged(
                            path: path, problem: "it ends at entry \(end.sequence) instead of \(sequence)")
                    }
                }
            }
        }
    }

    package func walk(_ walk: inout ChainWalk, atMost count: Int) throws(StorageError) {
        let (path, before) = (path, walk)
        let reached = try Self.attempt("reading", path) {
            try queue.unsafeRead { database in
                try JournalTables.walk(
                    database, path, after: (before.sequence, before.hash),
                    atMost: min(count, before.end - before.sequence))
            }
        }
        guard reached.sequence > before.sequence || count == 0 || before.isOver else {
            throw .journalDamaged(path: path, problem: "entry \(before.sequence + 1) is missing")
        }
        (walk.sequence, walk.hash) = reached
    }

    package func snapshot() throws(StorageError) -> JournalSnapshot? {
        try Self.attempt("reading", path) { try queue.unsafeRead { try JournalTables.snapshot($0) } }
    }

    package func value(_ key: String) throws(StorageError) -> String? {
        try Self.attempt("reading", path) {
            try queue.unsafeRead {
                try String.fetchOne($0, sql: "SELECT value FROM texts WHERE key = ?", arguments: [key])
            }
        }
    }

    package func values() throws(StorageError) -> [JournalSetting] {
        try Self.attempt("reading", path) {
            try queue.unsafeRead { database in
                try Row.fetchAll(database, sql: "SELECT key, value FROM texts ORDER BY key COLLATE BINARY")
                    .map {
                        JournalSetting(try $0.decode(String.self, atIndex: 0), try $0.decode(String.self, atIndex: 1))
                    }
            }
        }
    }

    package func raiseEpoch(above seen: Int) throws(StorageError) {
        try state.withLock { state throws(StorageError) in
            guard seen >= state.epoch else { return }
            try write(&state, "raising the epoch") { database, state in
                try JournalTables.setEpoch(database, seen + 1)
                state.epoch = seen + 1
            }
        }
    }

    /// One transaction; `state` changes only when it is durable.
    private func write(
        _ state: inout State, _ operation: String, _ body: (Database, inout State) throws -> Void
    ) throws(StorageError) {
        if let reason = state.stopped { throw .journalStopped(reason: reason) }
        do throws(StorageError) {
            let before = state
            state = try Self.attempt(operation, path) {
                var after = before
                try queue.unsafeReentrantWrite { database in
                    try database.inTransaction(.immediate) {
                        try body(database, &after)
                        return .commit
                    }
                }
                return after
            }
        } catch {
            // A full disk is told before anything is written. After any other failure the log's end is unknown.
            if !error.isTransient { state.stopped = error.description }
            throw error
        }
    }

    /// Runs database work and turns what it throws into this module's error.
    static func attempt<Value>(
        _ operation: String, _ path: String, _ body: () throws -> Value
    ) throws(StorageError) -> Value {
        do { return try body() } catch { throw failure(error, operation, path) }
    }

    private static func failure(_ error: any Error, _ operation: String, _ path: String) -> StorageError {
        if let error = error as? StorageError { return error }
        guard let error = error as? DatabaseError else {
            return .journalDamaged(path: path, problem: "a row has another form than was written: \(error)")
        }
        let code = Int(error.extendedResultCode.rawValue)
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            return .journalDamaged(path: path, problem: error.message ?? "SQLite calls it damaged")
        default: return .journalFailed(operation: operation, code: code, message: error.message ?? "no reason given")
        }
    }
}
