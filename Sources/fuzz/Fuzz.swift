import Foundation
import ModelFiles
import Terms

/// `fuzz CORPUS [--seconds N] [--seed N]`: holds a reader against mutations of its corpus; the folder's name tells
/// which:
/// `safetensors` (files), `wire` (every message and what is inside it), `chunks` (putting gradients together).
///
/// Files named `accept-…` must be taken and files named `refuse-…` refused; whatever grows out of them may be either. A
/// case fails that traps, takes longer than `Limits.milliseconds`, grows the process by more than `Limits.growth`, or
/// is taken for something that it is not: each target says what that means. Every mutation is a function of the seed
/// and its number, so that a failure can be run again.
@main
struct Fuzz {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        func option(_ name: String) -> UInt64? {
            arguments.firstIndex(of: name).flatMap { $0 + 1 < arguments.endIndex ? UInt64(arguments[$0 + 1]) : nil }
        }
        guard let folder = arguments.first, !folder.hasPrefix("--") else {
            quit("usage: fuzz CORPUS [--seconds N] [--seed N]")
        }
        do {
            let corpus = try Corpus(folder)
            var run = try target(URL(fileURLWithPath: folder).lastPathComponent, corpus, seed: option("--seed") ?? 1)
            try run.checkCorpus()
            try run.mutate(seconds: option("--seconds") ?? 60)
            run.report()
        } catch { quit("\(error)") }
    }

    private static func target(_ name: String, _ corpus: Corpus, seed: UInt64) throws -> any Target {
        switch name {
        case "safetensors": return try SafetensorsRun(corpus, seed: seed)
        case "wire": return try WireRun(corpus, seed: seed)
        case "chunks": return try ChunkRun(corpus, seed: seed)
        default: throw Finding(description: "no target `\(name)`: the corpus is safetensors, wire or chunks")
        }
    }

    static func quit(_ sentence: String) -> Never {
        FileHandle.standardError.write(Data("fuzz: \(sentence)\n".utf8))
        exit(1)
    }
}

/// One reader under test.
protocol Target {
    /// Takes every file of the corpus as its name says.
    mutating func checkCorpus() throws
    /// Mutations until the time is up.
    mutating func mutate(seconds: UInt64) throws
    /// What was done, in one line.
    func report()
}

/// What reading one file may cost.
enum Limits {
    /// Time to open and check, in an optimised build; a debug build takes about ten times as long.
    static let milliseconds = isOptimised ? 50.0 : 500
    /// Bytes of address space on top of what the process has when it starts to read.
    static let growth = 64 << 20
    /// A refusal is one sentence of at most so many characters.
    static let characters = 600

    static var isOptimised: Bool {
        var isDebug = false
        assert(
            {
                isDebug = true
                return true
            }())
        return !isDebug
    }
}

extension Limits {
    /// Bytes of address space this process has.
    static var addressSpace: Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        return (text.split(separator: " ").first.flatMap { Int($0) } ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// From now on the process may take `growth` more bytes, and no more.
    static func forbidGrowth() throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
        limit.rlim_cur = rlim_t(addressSpace + growth)
        guard setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0 else {
            throw Finding(description: "the system sets no memory limit")
        }
    }

    /// Runs `body` and returns its value and its shortest time of at most five, in milliseconds: a slow case is tried
    /// again, the machine may have been busy with something else.
    static func time<Value>(_ body: () throws -> Value) rethrows -> (value: Value, milliseconds: Double) {
        var best = Double.infinity
        for attempt in 1... {
            let start = DispatchTime.now().uptimeNanoseconds
            let value = try body()
            best = min(best, Double(DispatchTime.now().uptimeNanoseconds - start) / 1e6)
            if best <= milliseconds || attempt == 5 { return (value, best) }
        }
        preconditionFailure("the loop ends by itself")
    }
}

/// A case that must not be.
struct Finding: Error, CustomStringConvertible { let description: String }

/// The files that everything grows out of, in byte order of their names.
struct Corpus {
    let files: [(name: String, bytes: [UInt8])]

    init(_ folder: String) throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted {
            $0.utf8.lexicographicallyPrecedes($1.utf8)
        }
        files = try names.map { ($0, [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\($0)")))) }
        guard !files.isEmpty else { throw Finding(description: "\(folder) holds no files") }
    }
}
