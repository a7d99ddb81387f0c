import CSystem
import Glibc

/// The bytes of a file where they lie, read only, for as long as this object lives; pages are read when touched and
/// never copied.
///
/// Somebody may shorten the file meanwhile. What is missing then reads as zeros, up to the end, instead of a SIGBUS that
/// ends the process: whoever uses what was read asks `losses` before. (Past 4,096 mappings at a time the rest are
/// without that.) Safe to share between threads.
package final class FileMapping: @unchecked Sendable {
    package let bytes: UnsafeRawBufferPointer
    /// What the mapping is known by where zeros stand in for its pages; -1 = nowhere.
    private let number: Int32

    /// Maps the first `count` bytes of an open file, which may be closed afterwards; nil = the system refuses, `errno`
    /// says why.
    package init?(descriptor: Int32, count: Int) {
        precondition(count >= 0, "a file has no fewer than 0 bytes")
        guard count > 0 else {
            (bytes, number) = (UnsafeRawBufferPointer(start: nil, count: 0), -1)
            return
        }
        // Some network disks allow private mappings only.
        var base = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0)
        if base == MAP_FAILED { base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0) }
        guard let base, base != MAP_FAILED else { return nil }
        bytes = UnsafeRawBufferPointer(start: base, count: count)
        number = csys_guard_mapping(base, UInt64(count))
    }

    deinit {
        if number >= 0 { csys_forget_mapping(number) }
        if let base { munmap(base, bytes.count) }
    }

    private var base: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(mutating: bytes.baseAddress) }

    /// How often zeros had to stand in for pages that the file no longer has. The rest of the page inside which it ends
    /// now reads as zeros too, and does not count: its size tells that.
    package var losses: UInt32 { number < 0 ? 0 : csys_lost_pages(number) }

    /// Tells the system that `range` won't be needed again soon: its whole pages need not stay in this process's memory.
    package func giveBack(_ range: Range<Int>) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = (range.lowerBound + page - 1) / page * page
        let end = range.upperBound == bytes.count ? bytes.count : range.upperBound / page * page
        guard let base, start < end else { return }
        madvise(base + start, end - start, MADV_DONTNEED)
    }

    /// Maps the pages of the same file, open as `descriptor`, again where zeros stand in for them.
    package func restore(_ descriptor: Int32) {
        guard let base else { return }
        // Where that fails the zeros stay, which are not the file's bytes either.
        _ = mmap(base, bytes.count, PROT_READ, MAP_PRIVATE | MAP_FIXED, descriptor, 0)
    }
}
