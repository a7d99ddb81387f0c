import Coordination
import Foundation
import Recipes
import Terms
import Wire
import ZeroMQShell

/// Every reader of bytes that come over a connection: control messages and what is inside them, chunk headers, requests
/// of the authentication protocol, join tokens, addresses.
///
/// What is read and written again must be the same bytes: then nothing was passed over, guessed or read twice.
struct WireRun: Target {
    private let corpus: Corpus
    private let seed: UInt64
    private var cases = 0
    private var accepted = 0
    private var slowest = 0.0
    private let started: Int
    private static let largest = 1 << 17

    init(_ corpus: Corpus, seed: UInt64) throws {
        (self.corpus, self.seed) = (corpus, seed)
        // What the first cases load belongs to the program, not to the readers.
        for file in corpus.files { _ = try Self.read(file.bytes, file.name) }
        started = Limits.addressSpace
        try Limits.forbidGrowth()
    }

    mutating func checkCorpus() throws {
        for file in corpus.files {
            let isAccepted = try take(file.bytes, file.name)
            if file.name.hasPrefix("accept-") != isAccepted {
                throw Finding(description: "\(file.name) was \(isAccepted ? "read" : "refused")")
            }
        }
    }

    mutating func mutate(seconds: UInt64) throws {
        let end = DispatchTime.now().uptimeNanoseconds + seconds * 1_000_000_000
        var number: UInt64 = 0
        while DispatchTime.now().uptimeNanoseconds < end {
            var mutation = ByteMutation(corpus, seed: seed, number: number, limit: Self.largest)
            _ = try take(mutation.bytes(), "seed \(seed), number \(number)")
            number += 1
        }
    }

    func report() {
        let grown = Double(max(0, Limits.addressSpace - started)) / 1_048_576
        let sentence =
            "fuzz wire: \(cases) cases, \(accepted) read, \(cases - accepted) refused; slowest "
            + String(format: "%.1f ms", slowest) + ", address space grew by " + String(format: "%.1f MiB", grown) + "\n"
        FileHandle.standardOutput.write(Data(sentence.utf8))
    }

    private mutating func take(_ bytes: [UInt8], _ name: String) throws -> Bool {
        cases += 1
        var (isAccepted, milliseconds) = try Limits.time { try Self.read(bytes, name) }
        // A slow case is tried again: the machine may have been busy with something else.
        for _ in 0..<4 where milliseconds > Limits.milliseconds {
            (isAccepted, milliseconds) = try Limits.time { try Self.read(bytes, name) }
        }
        slowest = max(slowest, milliseconds)
        guard milliseconds <= Limits.milliseconds else { throw Finding(description: "\(name) took \(milliseconds) ms") }
        if isAccepted { accepted += 1 }
        return isAccepted
    }

    /// Whether any of the readers takes the bytes.
    private static func read(_ bytes: [UInt8], _ name: String) throws -> Bool {
        var isAccepted = false
        if let message = try? Message(decoding: bytes) {
            isAccepted = true
            guard message.encoded(number: Message.number(of: bytes)) == bytes else {
                throw Finding(description: "\(name): a message is written otherwise than it was read: \(message)")
            }
            try readInside(message, name)
        }
        if let header = try? DataHeader(decoding: bytes) {
            isAccepted = true
            guard header.encoded() == bytes else {
                throw Finding(description: "\(name): a header is written otherwise than it was read: \(header)")
            }
        }
        // The parts of the other protocols, each from all bytes and from those without a frame around them.
        for start in [0, 9, 21] where start <= bytes.count { readParts(Array(bytes[start...])) }
        return isAccepted
    }

    /// What a receiver reads next.
    private static func readInside(_ message: Message, _ name: String) throws {
        switch message {
        case .lease(let lease):
            for recipe in lease.recipes {
                guard let read = try? Recipe(decoding: recipe) else { continue }
                guard read.encoded() == recipe else {
                    throw Finding(description: "\(name): a recipe is written otherwise than it was read")
                }
            }
        case .assign(let assignment): _ = try? JobDescription(decoding: assignment.description)
        case .request(_, let body), .reply(_, _, let body):
            _ = try? JSONValue.parse(body, limits: JSONLimits(depth: 32, values: 10_000))
        case .hello(let hello): _ = PeerAddress(hello.dataEndpoint)
        default: break
        }
    }

    private static func readParts(_ bytes: [UInt8]) {
        _ = try? Recipe(decoding: bytes)
        _ = try? ShelfOffer(decoding: bytes)
        _ = try? ShelfPlace(decoding: bytes)
        _ = ZAPRequest(frames: bytes.split(separator: 0xFF, omittingEmptySubsequences: false).map(Array.init))
        let text = String(decoding: bytes.prefix(4096), as: UTF8.self)
        _ = JoinToken(text)
        _ = PeerAddress(text)
    }
}
