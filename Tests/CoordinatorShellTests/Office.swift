import Coordination
import Datasets
import Foundation
import Hashing
import Logging
import Recipes
import Terms
import Testing
import Wire
import ZeroMQShell

@testable import CoordinatorShell

/// A coordinator in this process with folders of its own, and a client's socket to it.
final class Office {
    let folder: URL
    private(set) var service: CoordinatorService
    private(set) var client: ZeroMQSocket
    private let poller = ZeroMQPoller()
    private var asked: UInt64 = 0

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("drover-office-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        (service, client) = try Self.open(folder)
    }

    deinit {
        service.order(.end)
        try? FileManager.default.removeItem(at: folder)
    }

    /// - Parameter queue: messages that libzmq keeps for the client.
    static func open(_ folder: URL) throws -> (CoordinatorService, ZeroMQSocket) {
        let options = CoordinatorService.Options(listen: "tcp://127.0.0.1:*", state: "\(folder.path)/head") {
            "\(folder.path)/head/jobs/\($0)"
        }
        var log = Logger(label: "test", factory: { StreamLogHandler.standardError(label: $0) })
        log.logLevel = .critical
        let service = try CoordinatorService(options, log: log) { _, _ in }
        try service.continueJobs()
        let client = try ZeroMQSocket(.dealer, .init(frameBytes: Int64(WireLimits.controlBytes), queue: 4))
        try client.connect(service.endpoint)
        return (service, client)
    }

    /// Runs the coordinator's loop from now on.
    func run() {
        let thread = Thread { [service] in try? service.run() }
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Sends a request; answers are taken with `replies`.
    @discardableResult
    func send(_ request: [(String, JSONValue)]) throws -> UInt64 {
        asked += 1
        let body = JSONValue.object(JSONObject(request.map { (key: $0.0, value: $0.1) }))
        let end = Date().addingTimeInterval(60)
        while try client.send([Message.request(id: asked, body: body.encoded()).encoded()]) != .sent, Date() < end {
            usleep(1000)
        }
        return asked
    }

    /// The answers to a request up to its last one; at most for 60 seconds.
    func replies(to request: UInt64) throws -> [JSONValue] {
        var answers: [JSONValue] = []
        let end = Date().addingTimeInterval(60)
        while Date() < end {
            try poller.wait([.init(client)], milliseconds: 100)
            while let frames = try client.receive(limit: 1) {
                guard case .reply(let id, let last, let body) = try Message(decoding: frames[0].bytes), id == request
                else { continue }
                answers.append(try JSONValue.parse(body))
                if last { return answers }
            }
        }
        return answers
    }

    func ask(_ request: [(String, JSONValue)]) throws -> JSONValue { try replies(to: send(request)).last ?? .null }

    /// A job over a tiny token cache that stands at `data`.
    func description(data: String) throws -> JobDescription {
        var writer = try TokenCacheWriter(path: data, key: Digest.sha256(of: "key"))
        for number in 0..<8 { try writer.append(Sample(ids: [Int32(number), 6, 7], labels: [5, -100, 7])) }
        _ = try writer.finish(
            train: SequenceTable(oneEach: Array(0..<8)), validation: SequenceTable(oneEach: []),
            counts: DatasetCounts())
        let bytes = try #require(FileManager.default.contents(atPath: data))
        return JobDescription(
            name: "job", parameters: 4, sequences: 8, globalBatch: 4, microBatch: 1, virtualShards: 4, shuffleSeed: 7,
            totalSequences: 16, beta1: 0.9, beta2: 0.999, schedule: .constant, peakRate: 1e-3, warmupRatio: 0,
            files: [
                JobFile(
                    kind: .data, name: "data", digest: Digest.sha256(of: [UInt8](bytes)), size: bytes.count, path: data)
            ])
    }

    /// Submits a job as a client does; returns the answer.
    func submit(data: String) throws -> JSONValue {
        let description = String(decoding: try description(data: data).encoded(), as: UTF8.self)
        return try ask([
            ("op", .string("submit")), ("description", .string(description)), ("resolved", .string("name: job\n")),
        ])
    }
}
