import CSystem
import Glibc

/// A whole file mapped read-only: its pages are read when touched and are never copied.
///
/// The file must not be shortened while it is mapped (the system would answer with SIGBUS) unless a ``FileGuard``
/// watches over it; writers of this module replace files and never shorten them.
final class MappedFile: @unchecked Sendable {
    let path: String
    /// The bytes, valid as long as this object lives.
    let bytes: UnsafeRawBufferPointer
    private let file: OpenFile
    /// When it was opened.
    let firstState: FileState

    /// The state now; nil when the system doesn't say.
    var state: FileState? { try? FileState(file) }

    /// Maps the regular file at `path`.
    init(path: String, advice: String) throws(ModelFileError) {
        file = try OpenFile.reading(path, advice: advice)
        firstState = try FileState(file)
        let count = firstState.size
        self.path = path
        guard count > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, file.descriptor, 0), base != MAP_FAILED else {
            throw .system(path: path, operation: "map", code: errno)
        }
        bytes = UnsafeRawBufferPointer(start: base, count: count)
    }

    /// Tells the system that the bytes of `range` won't be needed again soon: their pages need not stay in memory.
    func release(_ range: Range<Int>) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = (range.lowerBound + page - 1) / page * page
        let end = range.upperBound / page * page
        guard let base = bytes.baseAddress, start < end else { return }
        madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, MADV_DONTNEED)
    }

    /// Maps the file's own pages again where others stand in for them.
    func restore() {
        guard let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress) else { return }
        // Where that fails the zeros stay, which are not the file's bytes either.
        _ = mmap(base, bytes.count, PROT_READ, MAP_PRIVATE | MAP_FIXED, file.descriptor, 0)
    }

    deinit {
        if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    }
}
