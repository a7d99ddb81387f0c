import Synchronization

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
    /// Bytes that were read since pages were given back.
    private let touched = Atomic<Int>(0)

    /// Bytes of the file that may count as this process's memory.
    private static let residentLimit = 64 << 20

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

    /// Notes that so many bytes were read; now and then gives all pages back, so that reading a file much larger than
    /// memory doesn't make the process look, or be, as large as the file. They stay in the system's cache.
    func hasRead(_ count: Int) {
        let (_, sum) = touched.add(count, ordering: .relaxed)
        guard sum > Self.residentLimit else { return }
        touched.store(0, ordering: .relaxed)
        madvise(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count, MADV_DONTNEED)
    }

    /// The little-endian integer number `index` of the section that starts at byte `section`.
    func integer<T: FixedWidthInteger>(_ type: T.Type, _ section: Int, _ index: Int) -> T {
        T(littleEndian: bytes.loadUnaligned(fromByteOffset: section + index * MemoryLayout<T>.size, as: T.self))
    }
}
