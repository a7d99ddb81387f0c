import Foundation
import ModelFiles
import Terms

/// `fuzz CORPUS [--seconds N] [--seed N]`: holds the safetensors reader against mutations of the corpus.
///
/// Files named `accept-…` must be read and files named `refuse-…` refused; whatever grows out of them may do either. A
/// case fails that traps, takes longer than `Limits.milliseconds`, grows the process by more than `Limits.growth`, is
/// refused by more than one sentence, or is read with tensors that are not where the file has them. Every mutation is a
/// function of the seed and its number, so that a failure can be run again.
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
            var run = try Run(corpus, seed: option("--seed") ?? 1)
            try run.checkCorpus()
            try run.mutate(seconds: option("--seconds") ?? 60)
            run.report()
        } catch { quit("\(error)") }
    }

    static func quit(_ sentence: String) -> Never {
        FileHandle.standardError.write(Data("fuzz: \(sentence)\n".utf8))
        exit(1)
    }
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
        assert({ isDebug = true; return true }())
        return !isDebug
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
