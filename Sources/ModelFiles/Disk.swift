import Glibc
import Hashing
package import Terms

/// Whole small files, folders and file digests.
package enum Disk {
    /// Largest config.json or file like it that this module reads, bytes.
    package static let jsonBytes = 1 << 20

    /// Whether something that is not a folder stands at `path` (symbolic links followed).
    package static func hasFile(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR
    }

    /// Whether a folder stands at `path` (symbolic links followed).
    package static func hasFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Makes `path` and every folder above it that is missing, mode 0755.
    package static func createFolder(_ path: String) throws(ModelFileError) {
        if hasFolder(path) { return }
        let (parent, _) = splitPath(path)
        if parent != path, parent != "." { try createFolder(parent) }
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            throw .system(path: path, operation: "create", code: errno)
        }
        try synchroniseFolder(parent)
    }

    /// Makes renames and new names inside `path` durable.
    package static func synchroniseFolder(_ path: String) throws(ModelFileError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system(path: path, operation: "open", code: errno) }
        let folder = OpenFile(descriptor: descriptor, path: path)
        try folder.synchronise()
    }

    /// Whether two paths lead to the same file.
    static func isSame(_ first: String, _ second: String) -> Bool {
        var (one, other) = (stat(), stat())
        return stat(first, &one) == 0 && stat(second, &other) == 0 && one.st_ino == other.st_ino
            && one.st_dev == other.st_dev
    }

    /// Whether two pieces of memory hold the same bytes.
    static func isEqual(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Bool {
        guard first.count == second.count, let one = first.baseAddress, let other = second.baseAddress else {
            return first.count == second.count
        }
        return memcmp(one, other, first.count) == 0
    }

    /// Removes the file at `path`, if there is one.
    static func remove(_ path: String) throws(ModelFileError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw .system(path: path, operation: "remove", code: errno) }
    }

    /// All bytes of the file at `path`, which must not be longer than `limit`.
    package static func read(
        _ path: String, limit: Int, advice: String = "check the path"
    ) throws(ModelFileError) -> [UInt8] {
        let file = try OpenFile.reading(path, advice: advice)
        let size = Int(try file.status().st_size)
        guard size <= limit else {
            throw .malformed(path: path, format: .json, problem: "it has \(size) bytes, more than \(limit)")
        }
        var bytes = [UInt8](repeating: 0, count: size)
        var failure: ModelFileError?
        var filled = 0
        bytes.withUnsafeMutableBytes { buffer in
            do throws(ModelFileError) { filled = try file.read(into: buffer) } catch { failure = error }
        }
        if let failure { throw failure }
        bytes.removeLast(size - filled)
        return bytes
    }

    /// The JSON value in the file at `path`, which must not be longer than `limit` bytes.
    package static func readJSON(
        _ path: String, format: ModelFileFormat = .json, limit: Int = jsonBytes, advice: String = "check the path"
    ) throws(ModelFileError) -> JSONValue {
        let bytes = try read(path, limit: limit, advice: advice)
        do throws(JSONError) {
            return try JSONValue.parse(bytes, limits: JSONLimits(values: 1_000_000))
        } catch {
            throw .malformed(path: path, format: format, problem: printable(error.description))
        }
    }

    /// Replaces the file at `path` durably by `bytes`.
    package static func write(_ bytes: [UInt8], to path: String) throws(ModelFileError) {
        let file = try AtomicFile(path: path)
        var failure: ModelFileError?
        bytes.withUnsafeBytes { buffer in
            do throws(ModelFileError) { try file.write(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
        try file.publish()
    }

    /// Replaces the file at `path` durably by indented JSON with a final line feed.
    package static func write(json: JSONValue, to path: String) throws(ModelFileError) {
        try write(Array((json.prettyText + "\n").utf8), to: path)
    }

    /// Copies a file of any size durably, through a buffer of 1 MiB.
    package static func copy(_ source: String, to path: String) throws(ModelFileError) {
        let target = try AtomicFile(path: path)
        try forEachPiece(of: source) { bytes throws(ModelFileError) in
            try target.write(bytes)
            return true
        }
        try target.publish()
    }

    /// The SHA-256 of the file at `path`, read through a buffer of 1 MiB.
    ///
    /// - Parameters:
    ///   - dropsBehind: whether the system may forget at once what was read.
    ///   - goesOn: told of the bytes of each piece; false ends the reading, and the digest is then of no use.
    package static func digest(
        ofFile path: String, dropsBehind: Bool = false, goesOn: (Int) -> Bool = { _ in true }
    ) throws(ModelFileError) -> Digest {
        var hasher = SHA256Hasher()
        try forEachPiece(of: path, dropsBehind: dropsBehind) { bytes throws(ModelFileError) in
            hasher.update(bytes)
            return goesOn(bytes.count)
        }
        return hasher.finish()
    }

    /// Bytes that are read before the system is told to forget them.
    private static let dropBytes = 16 << 20

    /// Runs `body` on each piece until it returns false.
    private static func forEachPiece(
        of path: String, dropsBehind: Bool = false, _ body: (UnsafeRawBufferPointer) throws(ModelFileError) -> Bool
    ) throws(ModelFileError) {
        let file = try OpenFile.reading(path)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { buffer.deallocate() }
        // Told so, the system reads further ahead.
        posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
        var (done, dropped) = (0, 0)
        while true {
            let count = try file.read(into: buffer)
            guard count > 0, try body(UnsafeRawBufferPointer(rebasing: buffer[..<count])) else { return }
            done += count
            guard dropsBehind, done - dropped >= dropBytes else { continue }
            posix_fadvise(file.descriptor, off_t(dropped), off_t(done - dropped), POSIX_FADV_DONTNEED)
            dropped = done
        }
    }
}
