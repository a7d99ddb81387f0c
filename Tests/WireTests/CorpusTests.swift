import Collectives
import Foundation
import Terms
import Testing
import Wire

/// The fuzz target begins from one file of every message and of every kind of chunk; here they are held against the
/// types.
@Suite struct CorpusTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Corpus/wire")

    /// By name; a message's is that of its case.
    private static var files: [(name: String, bytes: [UInt8])] {
        let messages = Samples.all.enumerated().map { number, message in
            ("accept-\(String(describing: message).prefix { $0 != "(" })", message.encoded(number: UInt32(number + 1)))
        }
        let headers = (UInt8.min...UInt8.max).compactMap(DataHeader.Kind.init(rawValue:)).map { kind in
            var header = DataHeader(
                kind: kind, job: JobID(3), generation: Generation(9), step: 77, offset: 4096, count: 65536,
                sender: Samples.node)
            header.shards = ShardRange(4, 6)
            header.lossSum = 12.5
            return ("accept-chunk-\(kind)", header.encoded())
        }
        return messages + headers
    }

    @Test func `the corpus holds every message and every kind of chunk as they are written today`() throws {
        for (name, bytes) in Self.files {
            let file = Self.folder.appendingPathComponent("\(name).bin")
            if ProcessInfo.processInfo.environment["DROVER_WRITE_CORPUS"] != nil { try Data(bytes).write(to: file) }
            let stored = try? Data(contentsOf: file)
            #expect(
                stored.map { [UInt8]($0) } == bytes, "write it with DROVER_WRITE_CORPUS=1 in the environment: \(name)")
        }
    }
}
