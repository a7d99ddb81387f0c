import Foundation
import Glibc
import ModelFiles

/// Makes a folder appear whole or not at all: it is filled beside its place under another name, then renamed.
struct Staging {
    /// Where to write.
    let path: String
    private let target: String
    private let replaces: Bool

    /// A fresh folder for `target`, which must be absent or empty unless `replaces`.
    init(target: String, replaces: Bool = false) throws {
        let trimmed = target.count > 1 && target.hasSuffix("/") ? String(target.dropLast()) : target
        self.target = trimmed
        self.replaces = replaces
        var status = stat()
        if lstat(trimmed, &status) == 0, !replaces {
            guard let entries = try? FileManager.default.contentsOfDirectory(atPath: trimmed), entries.isEmpty else {
                throw Failure.input("\(target) exists already: choose another folder, or remove it")
            }
        }
        path = "\(trimmed).partial-\(getpid())"
        try? FileManager.default.removeItem(atPath: path)
        try Disk.createFolder(path)
    }

    /// Gives the folder its name, in place of what stood there.
    func publish() throws {
        let old = "\(target).old-\(getpid())"
        var status = stat()
        let exists = lstat(target, &status) == 0
        if exists, !replaces {
            // It was empty when this began; rmdir refuses if it no longer is.
            guard rmdir(target) == 0 else {
                throw Failure.failed("\(target) was filled meanwhile: choose another folder")
            }
        } else if exists {
            try rename(target, to: old)
        }
        try rename(path, to: target)
        try Disk.synchroniseFolder(parent)
        if exists, replaces { try? FileManager.default.removeItem(atPath: old) }
    }

    /// Removes what was written.
    func discard() { try? FileManager.default.removeItem(atPath: path) }

    private var parent: String {
        guard let slash = target.lastIndex(of: "/") else { return "." }
        return slash == target.startIndex ? "/" : String(target[..<slash])
    }

    private func rename(_ source: String, to name: String) throws {
        guard Glibc.rename(source, name) == 0 else {
            throw Failure.failed("can't rename \(source) to \(name): \(String(cString: strerror(errno)))")
        }
    }
}
