/// The few things that storage asks of a disk; everything durable goes through it, so that tests can fail any call.
///
/// Rules that callers rely on: what was written is durable after `sync`, a name after `syncFolder` of its folder. After
/// a failed `sync` the bytes must count as lost: write a new file, never sync the same one again.
package protocol FileSystem: Sendable {
    /// Makes one folder, mode 0700; false when something of that name exists.
    func makeFolder(_ path: String) throws(FileError) -> Bool
    /// Makes a new file for writing; `.exists` when the name is taken; follows no link.
    func create(_ path: String, mode: UInt32) throws(FileError) -> OpenFile
    /// Opens for writing at the end, making the file (mode 0644) when there is none.
    func openForAppending(_ path: String) throws(FileError) -> OpenFile
    /// Writes all bytes; after an error any part of them may have been written.
    func write(_ bytes: UnsafeRawBufferPointer, to file: OpenFile) throws(FileError)
    /// Cuts the file to `size` bytes.
    func truncate(_ file: OpenFile, to size: Int) throws(FileError)
    /// Makes the file's content durable.
    func sync(_ file: OpenFile) throws(FileError)
    /// Ends the use of a file; never fails, because a failure would say nothing that `sync` has not said.
    func close(_ file: OpenFile)
    /// Renames; without `replacing`, `.exists` when the new name is taken.
    func rename(_ path: String, to newPath: String, replacing: Bool) throws(FileError)
    func remove(_ path: String) throws(FileError)
    /// Removes an empty folder.
    func removeFolder(_ path: String) throws(FileError)
    /// Makes the names in a folder durable.
    func syncFolder(_ path: String) throws(FileError)
    /// Names in a folder, ascending by their bytes, without `.` and `..`.
    func list(_ folder: String) throws(FileError) -> [String]
    /// What stands under a name, nil when nothing; a link is not followed.
    func status(_ path: String) throws(FileError) -> FileStatus?
    /// Reads a whole plain file of at most `buffer.count` bytes and returns its size; `.tooLarge` when it has more.
    ///
    /// `fromDisk` asks for what the disk holds, not for the system's cached copy.
    func read(_ path: String, into buffer: UnsafeMutableRawBufferPointer, fromDisk: Bool) throws(FileError) -> Int
    /// Space on the disk that holds `path`.
    func space(_ path: String) throws(FileError) -> DiskSpace
    /// Takes a folder for this process alone, until the lock is let go; `.locked` when another holds it.
    func lock(_ folder: String) throws(FileError) -> DirectoryLock
}

/// A file open for writing.
package struct OpenFile: Sendable {
    package let path: String
    /// The system's number for it.
    package let number: Int32
    package init(path: String, number: Int32) {
        self.path = path
        self.number = number
    }
}

/// What stands under a name.
package struct FileStatus: Sendable, Equatable {
    package enum Kind: Sendable { case file, folder, other }
    package var kind: Kind
    /// Bytes.
    package var size: Int
    /// Wall clock of the last change, seconds since 1970.
    package var modifiedUnixSeconds: Int
    package init(kind: Kind, size: Int, modifiedUnixSeconds: Int) {
        self.kind = kind
        self.size = size
        self.modifiedUnixSeconds = modifiedUnixSeconds
    }
}

/// Space on a disk, in bytes.
package struct DiskSpace: Sendable, Equatable {
    /// What this user may still write.
    package var available: Int
    package var total: Int
    package init(available: Int, total: Int) {
        self.available = available
        self.total = total
    }
}

/// The sole use of a folder, for as long as this object lives or until `release`; it also ends with the process.
package final class DirectoryLock: Sendable {
    private let letGo: @Sendable () -> Void

    /// A lock that `letGo` gives back, called once when the object dies.
    package init(letGo: @escaping @Sendable () -> Void) { self.letGo = letGo }

    deinit { letGo() }
}

extension FileSystem {
    /// A new file with this content, durable, its name not yet; nothing is left behind after an error.
    package func writeNew(_ path: String, _ bytes: UnsafeRawBufferPointer, mode: UInt32) throws(FileError) {
        let file = try create(path, mode: mode)
        do throws(FileError) {
            try write(bytes, to: file)
            try sync(file)
            close(file)
        } catch {
            close(file)
            try? remove(path)
            throw error
        }
    }

    /// As `writeNew` of memory.
    package func writeNew(_ path: String, bytes: [UInt8], mode: UInt32) throws(FileError) {
        let result: Result<Void, FileError> = bytes.withUnsafeBytes { raw in
            do throws(FileError) { return .success(try writeNew(path, raw, mode: mode)) } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// Writes bytes at the end of an open file.
    package func append(_ bytes: [UInt8], to file: OpenFile) throws(FileError) {
        let result: Result<Void, FileError> = bytes.withUnsafeBytes { raw in
            do throws(FileError) { return .success(try write(raw, to: file)) } catch { return .failure(error) }
        }
        try result.get()
    }

    /// The whole content of a plain file of at most `limit` bytes.
    package func contents(_ path: String, limit: Int, fromDisk: Bool = false) throws(FileError) -> [UInt8] {
        guard let status = try status(path) else { throw .missing(path: path) }
        guard status.kind == .file else { throw .notRegular(path: path) }
        guard status.size <= limit else { throw .tooLarge(path: path, limit: limit) }
        // One byte more than there was: a file that grows meanwhile is read whole or refused, never cut.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: status.size + 1, alignment: 16)
        defer { buffer.deallocate() }
        let count = try read(path, into: buffer, fromDisk: fromDisk)
        return Array(buffer[0..<count])
    }

    /// Makes every missing folder on the way to `path`; their names are durable then, and that of the last one before.
    package func makeFolders(_ path: String) throws(FileError) {
        let parent = Self.parent(of: path)
        if let status = try status(path), status.kind == .folder {
            // Whoever made it may have ended before its name was durable. Where that can't be looked into (13: no
            // permission), it was made by somebody else.
            do throws(FileError) { return try syncFolder(parent) } catch .failed(_, _, 13) { return }
        }
        if parent != path { try makeFolders(parent) }
        _ = try makeFolder(path)
        try syncFolder(parent)
    }

    /// The folder that a path stands in; `.` for a bare name, `/` for the root.
    package static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
