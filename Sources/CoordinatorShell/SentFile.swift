import CSystem
import Glibc

/// A file that goes out where it lies, mapped, for as long as chunks of it wait to be sent.
///
/// Its owner may shorten it meanwhile. What is missing then goes out as zeros, which whoever receives it refuses for
/// their digest: it costs that owner's job something, and not this process its life.
final class SentFile {
    let start: UnsafeRawPointer
    /// Bytes.
    let count: Int
    private let number: Int32

    /// nil when it can't be read, or is empty.
    init?(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0,
            let base = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED
        else { return nil }
        (start, count) = (UnsafeRawPointer(base), Int(status.st_size))
        number = csys_guard_mapping(base, UInt64(count))
    }

    deinit {
        if number >= 0 { csys_forget_mapping(number) }
        munmap(UnsafeMutableRawPointer(mutating: start), count)
    }
}
