import Mappings
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A file of this module's, mapped into memory, read only, for as long as this object lives.
///
/// Safe to share between threads: nobody writes through it, and a published cache is never changed in place.
final class MappedFile: Sendable {
    let path: String
    private let descriptor: Int32
    private let mapping: FileMapping
    private let watch: FileWatch<FileCalls.FileStamp>
    /// Bytes that were read since pages were given back.
    private let touched = Atomic<Int>(0)

    /// Bytes of the file that may count as this process's memory.
    private static let residentLimit = 64 << 20

    init(path: String) throws(DatasetError) {
        let descriptor = try FileCalls.openForReading(path)
        guard let stamp = FileCalls.stamp(of: descriptor), stamp.size > 0,
            let mapping = FileMapping(descriptor: descriptor, count: stamp.size)
        else {
            let reason = FileCalls.lastError
            let isEmpty = FileCalls.size(of: descriptor) == 0
            close(descriptor)
            throw isEmpty
                ? .cacheDamaged(path: path, reason: "the file is empty") : .unreadable(path: path, reason: reason)
        }
        (self.path, self.descriptor, self.mapping) = (path, descriptor, mapping)
        watch = FileWatch(mapping, from: stamp)
    }

    deinit { close(descriptor) }

    var bytes: UnsafeRawBufferPointer { mapping.bytes }

    /// False when somebody has written to the file since the last call, and as long as it holds other bytes than those
    /// that `verify` wants.
    ///
    /// - Parameter mayGrow: the file's own owner writes to it, and only whoever shortens it is noticed.
    func isIntact(mayGrow: Bool, verify: () -> Bool) -> Bool {
        let count = bytes.count
        let state = { [descriptor] in FileCalls.stamp(of: descriptor).flatMap { $0.size >= count ? $0 : nil } }
        return watch.isIntact(descriptor, mayChange: mayGrow, state: state, verify: verify)
    }

    /// Notes that so many bytes were read; now and then gives all pages back, so that reading a file much larger than
    /// memory doesn't make the process look, or be, as large as the file. They stay in the system's cache.
    func hasRead(_ count: Int) {
        let (_, sum) = touched.add(count, ordering: .relaxed)
        guard sum > Self.residentLimit else { return }
        touched.store(0, ordering: .relaxed)
        mapping.giveBack(0..<bytes.count)
    }

    /// The little-endian integer number `index` of the section that starts at byte `section`.
    func integer<T: FixedWidthInteger>(_ type: T.Type, _ section: Int, _ index: Int) -> T {
        T(littleEndian: bytes.loadUnaligned(fromByteOffset: section + index * MemoryLayout<T>.size, as: T.self))
    }
}
