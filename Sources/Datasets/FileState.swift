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

    /// True when both are states of one file, under whatever names, and its bytes were not written between them.
    package func isContents(of other: FileState) -> Bool { numbers[..<5] == other.numbers[..<5] }

    /// Bytes of the file.
    package var size: Int { numbers[2] }

    /// For a record that a later process compares with.
    package var text: String { numbers.map(String.init).joined(separator: ":") }
}
