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
        let bytes = try Int.fetchOne(
            database, sql: "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        // A start takes no longer for a long journal: of that `fsck` alone looks at every page.
        if bytes ?? 0 <= 32 << 20 { try check(database) }
    }

    /// Looks at every page of the file.
    static func check(_ database: Database) throws {
        let found = try String.fetchAll(database, sql: "PRAGMA quick_check(3)")
        guard found == ["ok"] else {
            throw StorageError.journalDamaged(path: "journal.sqlite", problem: found.joined(separator: "; "))
        }
    }
}
