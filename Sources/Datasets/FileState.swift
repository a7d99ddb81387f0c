import Terms

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What the file system says about a file: two equal states mean that nobody wrote to it in between.
package struct FileState: Sendable, Equatable {
    /// Where the file is.
    package let path: String
    private let numbers: [Int]

    /// The state now.
    package init(path: String) throws(DatasetError) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .unreadable(path: path, reason: FileCalls.lastError) }
        self.path = path
        numbers = [
            Int(truncatingIfNeeded: status.st_dev), Int(truncatingIfNeeded: status.st_ino), Int(status.st_size),
            status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
        ]
    }

    /// Bytes of the file.
    package var size: Int { numbers[2] }

    /// For a record that a later process compares with.
    package var text: String { numbers.map(String.init).joined(separator: ":") }

    /// As `text`, without what a second name or other permissions change: equal while nobody writes to the file.
    package var contents: String { numbers[..<5].map(String.init).joined(separator: ":") }
}
