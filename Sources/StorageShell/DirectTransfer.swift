import CSystem

/// An open file whose transfers go between the disk and the caller's memory, past the system's cache (`O_DIRECT`),
/// until `end`.
struct DirectTransfer {
    /// Bytes of a disk block, at least: memory, place in the file and length have to be multiples of it.
    static let block = 4096
    /// Below this many bytes the cache is as quick.
    static let least = 256 << 10
    private let number: Int32

    /// Nil where the file's disk or the memory does not allow it.
    init?(_ number: Int32, _ memory: UnsafeRawPointer) {
        guard Int(bitPattern: memory) % Self.block == 0, csys_bypass_cache(number, 1) == 0 else { return nil }
        self.number = number
    }

    /// Back to the cache.
    func end() { _ = csys_bypass_cache(number, 0) }
}
