import GRDB

/// The connection settings on which durability rests.
enum JournalSettings {
    /// Name, what to set, what must then be read.
    private static let wanted: [(name: String, set: String, read: String)] = [
        ("synchronous", "FULL", "2"),
        ("locking_mode", "EXCLUSIVE", "exclusive"),
        ("mmap_size", "0", "0"),
        ("trusted_schema", "OFF", "0"),
        ("foreign_keys", "ON", "1"),
        ("cell_size_check", "ON", "1"),
    ]

    /// Sets and reads back; must run after opening, because opening in WAL mode lowers `synchronous`.
    static func apply(_ database: Database) throws {
        for (name, set, _) in wanted { try database.execute(sql: "PRAGMA \(name) = \(set)") }
        for (name, set, read) in [("journal_mode", "WAL", "wal")] + wanted {
            let found = try String.fetchOne(database, sql: "PRAGMA \(name)") ?? ""
            // A library built without memory mapping has no such setting, which is as good as 0.
            if name == "mmap_size", found.isEmpty { continue }
            guard found == read else { throw StorageError.journalSetting(name: name, wanted: set, found: found) }
        }
        let check = try String.fetchAll(database, sql: "PRAGMA quick_check(3)")
        guard check == ["ok"] else {
            throw StorageError.journalDamaged(path: "journal.sqlite", problem: check.joined(separator: "; "))
        }
    }
}
