import Checkpoints
import Coordination
import Foundation
import Hashing
import StorageShell
import Terms
import Wire
import WorkerShell
import ZeroMQShell

/// Moves files between a client and its coordinator's data socket: a job's files there, its checkpoint back.
final class FileTransfer {
    private let client: CoordinatorClient
    private let socket: ZeroMQSocket
    private let poller = ZeroMQPoller()
    /// Seconds without a byte after which it is given up.
    private static let patience = 30.0

    init(_ client: CoordinatorClient) throws {
        self.client = client
        let address = try client.dataAddress()
        var options = ZeroMQSocket.Options(frameBytes: Int64(WireLimits.chunkBytes + 1024), queue: 64)
        options.usesIPv6 = PeerAddress.isIPv6(address.endpoint)
        if let key = address.key, let trust = client.trust { options.curve = .client(trust.keys, server: key) }
        socket = try ZeroMQSocket(.dealer, options)
        try socket.connect(address.endpoint)
    }

    // MARK: There

    /// Brings the files that the coordinator does not have.
    ///
    /// - Parameter progress: a file's name, bytes brought, bytes in all.
    func bring(_ files: [JobFile], progress: (String, Int, Int) -> Void) throws {
        let wanted = files.map { file in
            JSONValue.members([
                "sha256": .string(file.digest.hex), "bytes": .int(file.size), "path": .string(file.path),
            ])
        }
        let answer = try client.ask(.members(["op": .string("files"), "files": .array(wanted)]))
        let missing = Set((answer["missing"]?.array ?? []).compactMap { $0.string })
        for file in files where missing.contains(file.digest.hex) { try bring(file, progress) }
    }

    private func bring(_ file: JobFile, _ progress: (String, Int, Int) -> Void) throws {
        let begun = try client.ask(
            .members([
                "op": .string("upload"), "sha256": .string(file.digest.hex), "bytes": .int(file.size),
            ]))
        guard let number = begun["upload"]?.int.flatMap({ UInt32(exactly: $0) }),
            let handle = FileHandle(forReadingAtPath: file.path)
        else { throw Failure.failed("can't send \(file.path)") }
        var sent = 0
        while sent < file.size, let data = try handle.read(upToCount: WireLimits.chunkBytes), !data.isEmpty {
            var header = DataHeader(
                kind: .file, job: JobID(0), generation: Generation(0), step: 0, offset: UInt64(sent),
                count: UInt64(data.count), sender: client.node)
            header.attempt = number
            try send([header.encoded(), [UInt8](data)])
            sent += data.count
            progress(file.name, sent, file.size)
        }
        try waitForEnd(of: number, file)
    }

    private func send(_ frames: [[UInt8]]) throws {
        let deadline = Date().addingTimeInterval(Self.patience)
        while try socket.send(frames) != .sent {
            guard Date() < deadline else { throw Failure.failed("the coordinator takes no more of the file") }
            try poller.wait([.init(socket, sending: true)], milliseconds: 100)
        }
    }

    private func waitForEnd(of number: UInt32, _ file: JobFile) throws {
        var (received, deadline) = (-1, Date().addingTimeInterval(Self.patience))
        while Date() < deadline {
            let answer = try client.ask(.members(["op": .string("upload"), "upload": .int(Int(number))]))
            if answer["complete"]?.bool == true { return }
            if let now = answer["received"]?.int, now > received {
                (received, deadline) = (now, Date().addingTimeInterval(Self.patience))
            }
            usleep(50_000)
        }
        throw Failure.failed("the coordinator did not get the whole of \(file.name)")
    }

    // MARK: Back

    /// Copies a job's newest checkpoint, or the newest one of `step`, into the store `folder`; what is there already is
    /// not fetched again.
    ///
    /// - Returns: what the coordinator says of it, `resolved` with the job file among it.
    @discardableResult
    func fetchCheckpoint(
        of job: Int, step: Step?, into folder: String, progress: (String, Int, Int) -> Void
    ) throws -> JSONValue {
        var request = JSONObject([(key: "op", value: .string("result")), (key: "job", value: .int(job))])
        request["step"] = step.map(JSONValue.int)
        let result = try client.ask(.object(request))
        guard let path = result["manifest"]?["path"]?.string, let text = result["manifest"]?["text"]?.string,
            !path.hasPrefix("/"), !path.split(separator: "/").contains("..")
        else { throw Failure.failed("the coordinator sent no checkpoint") }
        // Opening makes the store, with everything that is not an object, and holds it alone.
        let store = try CheckpointStore.open(folder)
        defer { withExtendedLifetime(store) {} }
        let objects = result["objects"]?.array ?? []
        let total = objects.reduce(0) { $0 + ($1["bytes"]?.int ?? 0) }
        var fetched = 0
        for object in objects {
            guard let digest = object["sha256"]?.string.flatMap(Digest.init(hex:)), let size = object["bytes"]?.int,
                size >= 0, size <= RepositoryLayout.chunkLimit
            else { throw Failure.failed("the coordinator named an object that can't be") }
            let target = "\(folder)/\(RepositoryLayout.object(digest))"
            if !FileManager.default.fileExists(atPath: target) {
                let bytes = try fetch(digest, size, job)
                try FileManager.default.createDirectory(
                    atPath: "\(folder)/\(RepositoryLayout.objectFolder(digest))", withIntermediateDirectories: true)
                try AtomicFile.write(target, bytes, mode: 0o444)
            }
            fetched += size
            progress("checkpoint", fetched, total)
        }
        let manifest = "\(folder)/\(path)"
        try FileManager.default.createDirectory(
            atPath: (manifest as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        // Last: from here on the checkpoint exists.
        try AtomicFile.write(manifest, Array(text.utf8), mode: 0o444)
        return result
    }

    /// The bytes of an object, checked.
    private func fetch(_ digest: Digest, _ size: Int, _ job: Int) throws -> [UInt8] {
        guard let id = UInt32(exactly: job) else { throw Failure.input("no job \(job)") }
        let header = DataHeader(
            kind: .fileRequest, job: JobID(id), generation: Generation(0), step: 0, offset: 0, count: UInt64(size),
            sender: client.node)
        try send([header.encoded(), digest.bytes])
        var bytes: [UInt8] = []
        var deadline = Date().addingTimeInterval(Self.patience)
        while bytes.count < size {
            guard Date() < deadline else {
                throw Failure.failed("the coordinator does not send the object \(digest.hex)")
            }
            try poller.wait([.init(socket)], milliseconds: 100)
            while bytes.count < size, let frames = try socket.receive(limit: 2) {
                guard frames.count == 2, let header = try? DataHeader(decoding: frames[0].bytes), header.kind == .file
                else { throw Failure.failed("the coordinator sent something else than the object \(digest.hex)") }
                if header.count == 0 { throw Failure.failed(String(decoding: frames[1].bytes, as: UTF8.self)) }
                guard header.offset == UInt64(bytes.count), frames[1].bytes.count <= size - bytes.count
                else { throw Failure.failed("the coordinator sent something else than the object \(digest.hex)") }
                bytes += frames[1].bytes
                deadline = Date().addingTimeInterval(Self.patience)
            }
        }
        var hasher = SHA256Hasher()
        bytes.withUnsafeBytes { hasher.update($0) }
        guard hasher.finish() == digest else {
            throw Failure.failed("the object \(digest.hex) arrived with other bytes")
        }
        return bytes
    }
}
