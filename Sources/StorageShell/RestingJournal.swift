import GRDB

/// The journal of a coordinator that does not run, for reading; nobody can write it meanwhile.
package final class RestingJournal: JournalReading {
    private let path: String
    private let lock: DirectoryLock
    private let queue: DatabaseQueue

    /// Opens the journal in `folder`; throws `.file(.locked)` while somebody writes it. Changes nothing.
    package init(folder: String) throws(StorageError) {
        path = folder + "/journal.sqlite"
        lock = try disk(POSIXFileSystem().lock(folder))
        var configuration = Configuration()
        configuration.readonly = true
        let path = path
        queue = try SQLiteJournal.attempt("opening", path) {
            try DatabaseQueue(path: path, configuration: configuration)
        }
    }

    /// Looks at every page of the file; throws when one is damaged.
    package func check() throws(StorageError) {
        try SQLiteJournal.attempt("reading", path) { try queue.read { try JournalSettings.check($0) } }
    }

    package func snapshot() throws(StorageError) -> JournalSnapshot? {
        try SQLiteJournal.attempt("reading", path) { try queue.read { try JournalTables.snapshot($0) } }
    }

    package func replay(from first: Int, _ body: (Int, JournalEntry) -> Void) throws(StorageError) {
        let path = path
        _ = try SQLiteJournal.attempt("reading", path) {
            try queue.unsafeRead { database in
                let end = try JournalTables.replay(database, path, from: first, body)
                try JournalTables.requireEnd(database, path, end)
            }
        }
    }
}
