#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A file mapped into memory, read only, for as long as this object lives.
///
/// Safe to share between threads: nobody writes through it, and a published cache is never changed in place.
final class MappedFile: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer

    init(path: String) throws(DatasetError) {
        let descriptor = try FileCalls.openForReading(path)
        defer { close(descriptor) }
        guard let size = FileCalls.size(of: descriptor) else {
            throw .unreadable(path: path, reason: FileCalls.lastError)
        }
        guard size > 0 else { throw .cacheDamaged(path: path, reason: "the file is empty") }
        let start = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0)
        guard start != MAP_FAILED, let start else { throw .unreadable(path: path, reason: FileCalls.lastError) }
        bytes = UnsafeRawBufferPointer(start: start, count: size)
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count) }

    /// The little-endian integer number `index` of the section that starts at byte `section`.
    func integer<T: FixedWidthInteger>(_ type: T.Type, _ section: Int, _ index: Int) -> T {
        T(littleEndian: bytes.loadUnaligned(fromByteOffset: section + index * MemoryLayout<T>.size, as: T.self))
    }
}
