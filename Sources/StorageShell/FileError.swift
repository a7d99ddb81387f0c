/// Why the file system refused.
package enum FileError: Error, Equatable, CustomStringConvertible {
    case missing(path: String)
    case exists(path: String)
    case noSpace(path: String)
    /// A link, device or folder where a plain file should stand.
    case notRegular(path: String)
    case tooLarge(path: String, limit: Int)
    /// Another process holds the folder; its id when the kernel tells.
    case locked(path: String, holder: Int?)
    /// Anything else, with the system's error number.
    case failed(operation: FileOperation, path: String, code: Int32)

    package var description: String {
        switch self {
        case .missing(let path): "\(path): no such file"
        case .exists(let path): "\(path): exists already"
        case .noSpace(let path): "\(path): no space left on the disk; free some, nothing that exists was damaged"
        case .notRegular(let path): "\(path): not a plain file"
        case .tooLarge(let path, let limit): "\(path): larger than \(limit) bytes"
        case .locked(let path, let holder):
            "\(path) is in use by \(holder.map { "process \($0)" } ?? "another process"); "
                + "stop that one first, or choose another folder"
        case .failed(let operation, let path, let code):
            "\(path): \(operation.rawValue) failed, \(SystemError.text(code))"
        }
    }

    /// True when the disk has no room left for what was asked.
    package var isFullDisk: Bool { if case .noSpace = self { true } else { false } }

    /// True when the same attempt may succeed later without anybody mending the disk.
    package var isTransient: Bool {
        switch self {
        case .noSpace, .locked: true
        case .missing, .exists, .notRegular, .tooLarge, .failed: false
        }
    }
}

/// What was asked of the file system.
package enum FileOperation: String, Sendable {
    case makeFolder = "making the folder"
    case create = "creating the file"
    case open = "opening"
    case write = "writing"
    case truncate = "cutting"
    case sync = "making the file durable"
    case syncFolder = "making the folder durable"
    case rename = "renaming"
    case remove = "removing"
    case list = "listing"
    case read = "reading"
    case status = "looking at it"
    case space = "asking for free space"
    case lock = "locking"
}
