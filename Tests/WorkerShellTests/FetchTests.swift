import Coordination
import Foundation
import Hashing
import Logging
import Recipes
import Synchronization
import Terms
import Testing
import Wire
import WorkerShell
import ZeroMQShell

/// A worker that has to fetch its job's files from a coordinator that a test plays.
@Suite(.serialized) struct FetchTests {
    /// Whether the worker is to end.
    private final class Stop: Sendable { let isAsked = Mutex(false) }

    /// The coordinator's two sockets and a worker on a thread of its own.
    private final class Scene {
        let folder: URL
        let control: ZeroMQSocket
        let endpoint: String
        var data: ZeroMQSocket?
        var dataEndpoint = ""
        private let poller = ZeroMQPoller()
        private var route: [UInt8] = []
        private var sent: UInt32 = 0
        private var greeting: UInt64 = 0
        private let end = Date().addingTimeInterval(60)
        private let stop = Stop()
        private let hasEnded = DispatchSemaphore(value: 0)

        static let options = ZeroMQSocket.Options(frameBytes: 8 << 20, queue: 64)

        init() throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("drover-fetch-\(UUID().uuidString)")
            control = try ZeroMQSocket(.router, Self.options)
            endpoint = try control.bind("tcp://127.0.0.1:*")
            try listen(on: "tcp://127.0.0.1:*")
            let (address, state) = (endpoint.replacing("tcp://", with: ""), folder.path)
            Thread { [stop, hasEnded] in
                var log = Logger(label: "worker", factory: { StreamLogHandler.standardError(label: $0) })
                log.logLevel = .critical
                let options = WorkerProcess.Options(
                    coordinator: address, threads: 1, state: state, node: NodeID(high: 1, low: 2), name: "w")
                _ = try? WorkerProcess(options, log: log).run(shouldStop: { stop.isAsked.withLock { $0 } })
                hasEnded.signal()
            }.start()
        }

        deinit {
            stop.isAsked.withLock { $0 = true }
            say(.shutdown)
            // Its port may be the next test's.
            _ = hasEnded.wait(timeout: .now() + 10)
            try? FileManager.default.removeItem(at: folder)
        }

        func listen(on endpoint: String) throws {
            data = try ZeroMQSocket(.router, Self.options)
            dataEndpoint = try data!.bind(endpoint)
        }

        func say(_ message: Message) {
            sent += 1
            _ = try? control.send([route, message.encoded(number: sent)])
        }

        func welcome() {
            var welcome = Welcome(
                version: 1, session: 1, epoch: 1, heartbeatMilliseconds: 1000, dataEndpoint: dataEndpoint)
            welcome.greeting = greeting
            say(.welcome(welcome))
        }

        /// The next message of the worker that `take` wants.
        func message<Value>(_ take: (Message) -> Value?) throws -> Value {
            while Date() < end {
                try poller.wait([.init(control)], milliseconds: 50)
                while let frames = try control.receive(limit: 2) {
                    route = frames[0].bytes
                    let message = try Message(decoding: frames[1].bytes)
                    if case .hello(let hello) = message { greeting = hello.greeting }
                    if let value = take(message) { return value }
                }
            }
            throw CancellationError()
        }

        /// The next request for a file, and who asks.
        func fileRequest() throws -> (route: [UInt8], header: DataHeader, digest: [UInt8]) {
            while Date() < end {
                guard let data else { break }
                try poller.wait([.init(data)], milliseconds: 50)
                while let frames = try data.receive(limit: 3) {
                    let header = try DataHeader(decoding: frames[1].bytes)
                    if header.kind == .fileRequest { return (frames[0].bytes, header, frames[2].bytes) }
                }
            }
            throw CancellationError()
        }

        /// Sends part of a file.
        func send(_ bytes: ArraySlice<UInt8>, as answer: (route: [UInt8], header: DataHeader, digest: [UInt8])) throws {
            var header = answer.header
            header.kind = .file
            header.offset = UInt64(bytes.startIndex)
            header.count = UInt64(bytes.count)
            _ = try data?.send([answer.route, header.encoded(), Array(bytes)])
        }
    }

    private static let bytes = (0..<5000).map { UInt8($0 % 250) }

    private func assignment(_ file: [UInt8], table: [UInt8]? = nil) -> Message {
        let description = JobDescription(
            name: "job", parameters: 4, sequences: 8, globalBatch: 4, microBatch: 1, virtualShards: 4, shuffleSeed: 7,
            totalSequences: 16, beta1: 0.9, beta2: 0.999, schedule: .constant, peakRate: 1e-3, warmupRatio: 0,
            files: [
                JobFile(kind: .data, name: "data", digest: Digest.sha256(of: file), size: file.count, path: "")
            ]
                + (table.map {
                    [JobFile(kind: .blocks, name: "table", digest: Digest.sha256(of: $0), size: $0.count, path: "")]
                } ?? []))
        return .assign(Assignment(job: JobID(1), description: description.encoded()))
    }

    /// A worker that was given the job and has asked for its file.
    private func fetching(
        _ assignment: Message? = nil
    ) throws -> (scene: Scene, request: (route: [UInt8], header: DataHeader, digest: [UInt8])) {
        let scene = try Scene()
        try scene.message { if case .hello = $0 { () } else { nil } }
        scene.welcome()
        scene.say(assignment ?? self.assignment(Self.bytes))
        return (scene, try scene.fileRequest())
    }

    /// What the worker says once it has everything that it asked for.
    private func problem(_ scene: Scene) throws -> String {
        try scene.message { if case .assigned(let result) = $0 { result.problem } else { nil } }
    }

    @Test func `a fetch that is cut off begins again on the next connection`() throws {
        let (scene, request) = try fetching()
        #expect(request.digest == Digest.sha256(of: Self.bytes).bytes)
        try scene.send(Self.bytes[..<2000], as: request)
        let endpoint = scene.dataEndpoint
        scene.data?.close()
        usleep(300_000)
        try scene.listen(on: endpoint)

        try scene.send(Self.bytes[...], as: try scene.fileRequest())

        // The file is whole; that the job has no model comes after.
        #expect(try problem(scene).contains("settings can't be read"))
        let kept = "\(scene.folder.path)/files/\(Digest.sha256(of: Self.bytes).hex)"
        #expect(FileManager.default.contents(atPath: kept).map { [UInt8]($0) } == Self.bytes)
    }

    @Test func `a coordinator that came back elsewhere is asked again there`() throws {
        let (scene, request) = try fetching()
        try scene.send(Self.bytes[..<2000], as: request)
        let old = scene.data
        try scene.listen(on: "tcp://127.0.0.1:*")
        scene.welcome()
        try scene.send(Self.bytes[...], as: try scene.fileRequest())
        #expect(try problem(scene).contains("settings can't be read"))
        old?.close()
    }

    @Test func `a file that can't be had is a reason`() throws {
        let (scene, request) = try fetching()
        var header = request.header
        header.kind = .file
        header.count = 0
        _ = try scene.data?.send([request.route, header.encoded(), Array("it is gone".utf8)])
        #expect(try problem(scene).contains("it is gone"))
    }

    @Test func `of data with a table one block is fetched first, again when it comes with other bytes, and is checked`()
        throws
    {
        let arriving = try ArrivingScene()
        let (bytes, table) = (arriving.bytes, arriving.table.encoded)
        let (scene, request) = try fetching(assignment(bytes, table: table))
        #expect(request.digest == Digest.sha256(of: table).bytes)
        try scene.send(table[...], as: request)

        let block = try scene.fileRequest()
        #expect(block.digest == arriving.data.digest.bytes)
        #expect(block.header.offset == 0 && block.header.count == UInt64(BlockTable.blockBytes))
        try scene.send(bytes[1..<BlockTable.blockBytes + 1].map { $0 }[...], as: block)
        let again = try scene.fileRequest()
        #expect(again.header == block.header)
        try scene.send(bytes[..<BlockTable.blockBytes], as: again)
        #expect(try problem(scene).contains("no file of tokens"))
    }
}
