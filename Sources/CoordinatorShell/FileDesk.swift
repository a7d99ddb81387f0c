import Coordination
import Foundation
import Hashing
import StorageShell
import Terms
import Wire

/// Files that clients on other machines bring: by digest, complete and checked before they have their name.
///
/// Service thread only.
final class FileDesk {
    private let root: String
    private var uploads: [(number: UInt32, upload: Upload)] = []
    private var nextNumber: UInt32 = 1

    /// Uploads that may be under way at once.
    private static let most = 16

    private struct Upload {
        var digest: Digest
        var size: Int
        var session: SessionID
        var handle: FileHandle
        var hasher = SHA256Hasher()
        var received = 0
        var problem: String?
    }

    /// - Parameter root: a folder of the coordinator's own; what an earlier start left unfinished there is removed.
    init(root: String) throws {
        // Workers read it from folders of their own.
        let root = URL(fileURLWithPath: root).standardizedFileURL.path
        self.root = root
        try FileManager.default.createDirectory(
            atPath: root, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        for name in try FileManager.default.contentsOfDirectory(atPath: root) where name.hasSuffix(".part") {
            try FileManager.default.removeItem(atPath: "\(root)/\(name)")
        }
    }

    private func path(_ digest: Digest) -> String { "\(root)/\(digest.hex)" }

    /// Where the file with these bytes stands, nil when nobody has brought it yet.
    func place(_ digest: Digest, size: Int) -> String? {
        let path = path(digest)
        let found = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
        return found == size ? path : nil
    }

    /// Begins to take in a file; its chunks carry the number.
    func begin(_ digest: Digest, size: Int, from session: SessionID) throws -> UInt32 {
        guard uploads.count < Self.most else {
            throw DeskError(description: "\(Self.most) files are arriving already: try again")
        }
        let free = try POSIXFileSystem().space(root).available
        guard size < free else {
            throw DeskError(description: "the coordinator has \(free) bytes free, the file takes \(size)")
        }
        let number = nextNumber
        nextNumber += 1
        let part = "\(root)/\(number).part"
        guard FileManager.default.createFile(atPath: part, contents: nil, attributes: [.posixPermissions: 0o600]),
            let handle = FileHandle(forWritingAtPath: part)
        else { throw DeskError(description: "can't write \(part)") }
        uploads.append((number, Upload(digest: digest, size: size, session: session, handle: handle)))
        return number
    }

    /// Takes a chunk in; one that does not continue the file spoils it.
    func receive(_ header: DataHeader, _ payload: [UInt8]) {
        guard let place = uploads.firstIndex(where: { $0.number == header.attempt }) else { return }
        var upload = uploads[place].upload
        let isNext = header.offset == UInt64(upload.received) && header.count == UInt64(payload.count)
        if !isNext || payload.count > upload.size - upload.received {
            upload.problem = "a chunk does not continue the file"
        } else {
            do { try upload.handle.write(contentsOf: payload) } catch { upload.problem = "\(error)" }
            payload.withUnsafeBytes { upload.hasher.update($0) }
            upload.received += payload.count
        }
        uploads[place].upload = upload
    }

    /// How far an upload is; once its last byte is there, checks it and gives it its name.
    func progress(_ number: UInt32) throws -> (received: Int, isComplete: Bool) {
        guard let place = uploads.firstIndex(where: { $0.number == number }) else {
            throw DeskError(description: "no such upload")
        }
        let upload = uploads[place].upload
        guard upload.problem != nil || upload.received == upload.size else { return (upload.received, false) }
        uploads.remove(at: place)
        let part = "\(root)/\(number).part"
        defer { try? FileManager.default.removeItem(atPath: part) }
        if let problem = upload.problem { throw DeskError(description: problem) }
        guard upload.hasher.finish() == upload.digest else {
            throw DeskError(description: "the file arrived with other bytes than named")
        }
        try upload.handle.synchronize()
        try upload.handle.close()
        let fileSystem = POSIXFileSystem()
        try fileSystem.rename(part, to: path(upload.digest), replacing: true)
        try fileSystem.syncFolder(root)
        return (upload.received, true)
    }

    /// Forgets what a client that is gone has not finished.
    func forget(_ session: SessionID) {
        for (number, _) in uploads.filter({ $0.upload.session == session }) {
            try? FileManager.default.removeItem(atPath: "\(root)/\(number).part")
        }
        uploads.removeAll { $0.upload.session == session }
    }
}
