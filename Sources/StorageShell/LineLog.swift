import Synchronization

/// An append-only text file of whole lines: each line is written by one call, and a half-written one is taken back.
package final class LineLog: Sendable {
    package let path: String
    private let fileSystem: any FileSystem
    private let file: OpenFile
    private let size: Mutex<Int>

    /// Opens (or makes) a log and keeps the lines for which `keeps` says true; a last line without line feed goes.
    ///
    /// When what stays is the beginning of the file, the file is cut in place, so that whoever follows it goes on
    /// following; else it is replaced as a whole.
    package init(
        _ path: String, fileSystem: any FileSystem = POSIXFileSystem(), limit: Int = 1 << 30,
        keeps: (ArraySlice<UInt8>) -> Bool = { _ in true }
    ) throws(StorageError) {
        let isThere = try disk(fileSystem.status(path)) != nil
        let bytes = isThere ? try disk(fileSystem.contents(path, limit: limit)) : []
        let (kept, isPrefix) = Self.select(bytes, keeps)
        if !isPrefix { try disk(AtomicFile.write(path, kept, fileSystem: fileSystem)) }
        let file = try disk(fileSystem.openForAppending(path))
        do throws(StorageError) {
            if isPrefix, kept.count < bytes.count { try disk(fileSystem.truncate(file, to: kept.count)) }
            try disk(fileSystem.sync(file))
            try disk(fileSystem.syncFolder(POSIXFileSystem.parent(of: path)))
        } catch {
            fileSystem.close(file)
            throw error
        }
        self.path = path
        self.fileSystem = fileSystem
        self.file = file
        size = Mutex(kept.count)
    }

    deinit { fileSystem.close(file) }

    /// Bytes of all lines.
    package var bytes: Int { size.withLock(\.self) }

    /// Adds lines (none holds a line feed); readers see them on return, `sync` makes them durable.
    package func append(_ lines: [String]) throws(StorageError) {
        let bytes: [UInt8] = lines.flatMap { Array($0.utf8) + [0x0A] }
        try size.withLock { size throws(StorageError) in
            do throws(StorageError) { try disk(fileSystem.append(bytes, to: file)) } catch {
                try? fileSystem.truncate(file, to: size)
                throw error
            }
            size += bytes.count
        }
    }

    /// Makes everything appended durable; after an error open the log anew.
    package func sync() throws(StorageError) { try disk(fileSystem.sync(file)) }

    /// The kept lines, and whether they are the beginning of `bytes`.
    private static func select(
        _ bytes: [UInt8], _ keeps: (ArraySlice<UInt8>) -> Bool
    ) -> (kept: [UInt8], isPrefix: Bool) {
        var kept: [UInt8] = []
        var isPrefix = true
        var start = 0
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            if keeps(bytes[start..<end]) {
                if kept.count != start { isPrefix = false }
                kept += bytes[start...end]
            }
            start = end + 1
        }
        return (kept, isPrefix)
    }
}
