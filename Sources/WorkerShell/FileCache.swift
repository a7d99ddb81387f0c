import Coordination
import ModelFiles
import Foundation
import Hashing
import StorageShell
package import Terms

/// Job files on this machine: where the submitter has them, when that is here, or in the worker's own folder by digest.
package final class FileCache {
    private let root: String
    private let readsPaths: Bool
    private let believesStates: Bool
    /// Files whose digest was checked since the process started, by path, as they were before that.
    private var verified: [String: (digest: Digest, state: FileState)] = [:]

    /// - Parameters:
    ///   - root: a folder of the worker's state directory; made when missing.
    ///   - readsPaths: whether the submitter's paths may lead to something on this machine.
    ///   - believesStates: whether a file that is as it was when the submitter took its digest need not be read again:
    ///     only where the submitter may read no other files than this worker.
    init(root: String, readsPaths: Bool = true, believesStates: Bool = false) throws {
        self.readsPaths = readsPaths
        self.believesStates = believesStates
        // Links point at it from another folder.
        self.root = URL(fileURLWithPath: root).standardizedFileURL.path
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    }

    private func cached(_ digest: Digest) -> String { "\(root)/\(digest.hex)" }

    /// A path with exactly the file's bytes, nil when it must be fetched.
    func place(of file: JobFile) -> String? {
        [readsPaths ? file.path : "", cached(file.digest)].first { path in
            guard !path.isEmpty, let state = try? FileState(path: path), state.size == file.size else { return false }
            if let known = verified[path], known.state == state { return known.digest == file.digest }
            if believesStates, file.state == state.text { return true }
            if file.kind == .data, DigestNote.known(path) == file.digest { return true }
            guard (try? Self.digest(ofFile: path)) == file.digest else { return false }
            verified[path] = (file.digest, state)
            return true
        }
    }

    /// A folder in which every file stands under its own name.
    func folder(of files: [JobFile]) throws -> String {
        guard let first = files.first else { throw LoadProblem(description: "the job names no model files") }
        if files.allSatisfy({ place(of: $0) == $0.path && $0.path.hasSuffix("/\($0.name)") }) {
            return String(first.path.dropLast(first.name.utf8.count + 1))
        }
        var hasher = SHA256Hasher()
        for file in files { Array("\(file.name) \(file.digest.hex)\n".utf8).withUnsafeBytes { hasher.update($0) } }
        let folder = "\(root)/folder-\(hasher.finish().hex.prefix(32))"
        for file in files {
            guard let place = place(of: file) else {
                throw LoadProblem(description: "the file \(file.name) is not on this machine yet")
            }
            let path = "\(folder)/\(file.name)"
            try FileManager.default.createDirectory(
                atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            if !FileManager.default.fileExists(atPath: path) {
                try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: place)
            }
        }
        return folder
    }

    /// Takes in a fetched file: checks it, makes it durable, gives it its name.
    func take(_ file: JobFile, from temporary: String) throws {
        guard try Self.digest(ofFile: temporary) == file.digest else {
            try? FileManager.default.removeItem(atPath: temporary)
            throw LoadProblem(description: "the file \(file.name) arrived with other bytes than the job names")
        }
        guard rename(temporary, cached(file.digest)) == 0 else {
            throw LoadProblem(description: "can't store \(file.name) in \(root): \(String(cString: strerror(errno)))")
        }
        if let state = try? FileState(path: cached(file.digest)) {
            verified[cached(file.digest)] = (file.digest, state)
        }
    }

    /// Opens a file that arrives in blocks, by its table, which is here.
    func blocks(of file: JobFile, _ table: JobFile, wake: @escaping @Sendable () -> Void) throws -> BlockFile {
        guard let place = place(of: table), let bytes = FileManager.default.contents(atPath: place),
            let known = BlockTable([UInt8](bytes), digest: file.digest, size: file.size)
        else { throw LoadProblem(description: "\(table.name) is no table of the blocks of \(file.name)") }
        let path = temporary(file)
        var status = stat()
        let here = stat(path, &status) == 0 ? Int(status.st_blocks) * 512 : 0
        let free = try POSIXFileSystem().space(root).available
        guard file.size - here <= free else {
            throw LoadProblem(description: "\(root) has \(free) bytes free, \(file.name) takes \(file.size - here)")
        }
        return try BlockFile(file, known, path: path, wake: wake)
    }

    /// Gives a file all of whose blocks have arrived its name, with a note that it was checked.
    static func finish(_ blocks: BlockFile) throws {
        guard try DigestNote.digest(of: blocks.path) == blocks.file.digest else {
            throw LoadProblem(description: "\(blocks.file.name) has another digest than the job names")
        }
        let name = (blocks.path as NSString).deletingPathExtension
        try DigestNote.rename(blocks.path, to: name)
        unlink(BlockFile.bitmapPath(blocks.path))
    }

    /// Where a file is written while it arrives.
    func temporary(_ file: JobFile) -> String { "\(root)/\(file.digest.hex).part" }

    /// SHA-256 of a file, read in pieces of 1 MiB.
    package static func digest(ofFile path: String) throws -> Digest {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw LoadProblem(description: "can't read \(path): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var hasher = SHA256Hasher()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { buffer.deallocate() }
        while true {
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            guard count >= 0 else {
                throw LoadProblem(description: "can't read \(path): \(String(cString: strerror(errno)))")
            }
            if count == 0 { return hasher.finish() }
            hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }
}
