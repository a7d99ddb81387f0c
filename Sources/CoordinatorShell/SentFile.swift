import Glibc
import Mappings

/// A file that goes out where it lies, mapped, for as long as chunks of it wait to be sent.
///
/// Its owner may shorten it meanwhile. What is missing then goes out as zeros, which whoever receives it refuses for
/// their digest: it costs that owner's job something, and not this process its life.
final class SentFile {
    private let mapping: FileMapping

    /// nil when it can't be read, or is empty.
    init?(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0,
            let mapping = FileMapping(descriptor: descriptor, count: Int(status.st_size))
        else { return nil }
        self.mapping = mapping
    }

    var bytes: UnsafeRawBufferPointer { mapping.bytes }
}
