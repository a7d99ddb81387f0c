import Glibc
import Terms

/// An open file of the operating system, closed when the value goes away.
struct OpenFile: ~Copyable {
    let descriptor: Int32
    let path: String

    deinit { close(descriptor) }

    /// Opens a regular file for reading; symbolic links are followed (model caches are made of them), pipes refused.
    static func reading(_ path: String, advice: String = "check the path") throws(ModelFileError) -> OpenFile {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { throw .missingFile(path: path, advice: advice) }
            throw .system(path: path, operation: "open", code: errno)
        }
        let file = OpenFile(descriptor: descriptor, path: path)
        let status = try file.status()
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .system(path: path, operation: "read", code: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL)
        }
        return file
    }

    /// What the system knows about the file.
    func status() throws(ModelFileError) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(path: path, operation: "inspect", code: errno) }
        return status
    }

    /// Reads until `buffer` is full or the file ends; the number of bytes read.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(ModelFileError) -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = Glibc.read(descriptor, buffer.baseAddress! + filled, buffer.count - filled)
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw .system(path: path, operation: "read", code: errno)
            }
            filled += count
        }
        return filled
    }

    /// Writes all of `bytes`.
    func write(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) {
        var written = 0
        while written < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
            if count < 0 {
                if errno == EINTR { continue }
                throw .system(path: path, operation: "write", code: errno)
            }
            written += count
        }
    }

    /// Returns once the bytes have reached the disk.
    func synchronise() throws(ModelFileError) {
        guard fsync(descriptor) == 0 else { throw .system(path: path, operation: "flush", code: errno) }
    }
}
