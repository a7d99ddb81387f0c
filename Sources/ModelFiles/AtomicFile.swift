import Glibc

/// A file that exists under its name only when it is whole: written beside it, flushed, renamed, folder flushed.
final class AtomicFile {
    private let file: OpenFile
    private let path: String
    private let partial: String
    private var published = false

    /// Starts a file that will replace `path`; its folder must exist. Another writer of the same path is refused.
    init(path: String) throws(ModelFileError) {
        let (folder, name) = splitPath(path)
        let partial = joinPath(folder, ".\(name).partial")
        file = try Self.openLocked(partial, for: path)
        self.path = path
        self.partial = partial
    }

    private static func openLocked(_ partial: String, for path: String) throws(ModelFileError) -> OpenFile {
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .system(path: path, operation: "create", code: errno) }
        let file = OpenFile(descriptor: descriptor, path: path)
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw .system(path: path, operation: "lock", code: errno)
        }
        // The writer before us may have renamed the file between our open and our lock: then it is no longer ours.
        var there = stat()
        let here = try file.status()
        guard lstat(partial, &there) == 0, there.st_ino == here.st_ino, there.st_dev == here.st_dev else {
            throw .system(path: path, operation: "lock", code: EWOULDBLOCK)
        }
        guard ftruncate(descriptor, 0) == 0 else { throw .system(path: path, operation: "write", code: errno) }
        return file
    }

    deinit { if !published { unlink(partial) } }

    /// Appends bytes.
    func write(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) { try file.write(bytes) }

    /// Makes the file exist under its name, durably; nothing may be written afterwards.
    func publish() throws(ModelFileError) {
        try file.synchronise()
        guard rename(partial, path) == 0 else { throw .system(path: path, operation: "replace", code: errno) }
        published = true
        try Disk.synchroniseFolder(splitPath(path).folder)
    }
}

/// Folder and last component; the folder of a bare name is ".".
func splitPath(_ path: String) -> (folder: String, name: String) {
    guard let slash = path.utf8.lastIndex(of: 0x2F) else { return (".", path) }
    let name = String(path[path.utf8.index(after: slash)...])
    return (slash == path.startIndex ? "/" : String(path[..<slash]), name)
}

/// `folder/name` with exactly one slash between.
package func joinPath(_ folder: String, _ name: String) -> String {
    folder.utf8.last == 0x2F ? folder + name : folder + "/" + name
}
