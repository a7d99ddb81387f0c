import Glibc

/// What the file system says about a file: two equal states mean that nobody wrote to it in between.
package struct FileState: Sendable, Equatable {
    /// Where the file is.
    package let path: String
    private let numbers: [Int]

    /// The state now.
    package init(path: String) throws(ModelFileError) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .system(path: path, operation: "inspect", code: errno) }
        self.init(path, status)
    }

    /// The state of an open file now, whatever its path leads to by then.
    init(_ file: borrowing OpenFile) throws(ModelFileError) { self.init(file.path, try file.status()) }

    private init(_ path: String, _ status: stat) {
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
