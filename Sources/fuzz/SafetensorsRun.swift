import Foundation
import ModelFiles
import Terms

/// Reads safetensors file after file in this process and measures each.
struct SafetensorsRun: Target {
    private let corpus: Corpus
    private let seed: UInt64
    private let path: String
    private var cases = 0
    private var accepted = 0
    private var slowest = 0.0
    private var started = 0

    init(_ corpus: Corpus, seed: UInt64) throws {
        (self.corpus, self.seed) = (corpus, seed)
        path = NSTemporaryDirectory() + "drover-fuzz-\(getpid()).safetensors"
        // What the first case loads belongs to the program, not to the reader.
        _ = try read([], "warm-up")
        started = Limits.addressSpace
        try Limits.forbidGrowth()
    }

    /// Every file of the corpus, and every bomb, as its name says.
    mutating func checkCorpus() throws {
        for file in corpus.files {
            let isAccepted = try read(file.bytes, file.name)
            if file.name.hasPrefix("accept-") != isAccepted {
                throw Finding(description: "\(file.name) was \(isAccepted ? "read" : "refused")")
            }
        }
        for bomb in Bombs.all {
            // Its bytes are gone before it is read: the limit on memory is the reader's.
            try Data(bomb.bytes()).write(to: URL(fileURLWithPath: path))
            guard try !measure(nil, bomb.name) else { throw Finding(description: "\(bomb.name) was read") }
        }
    }

    /// Mutations until the time is up.
    mutating func mutate(seconds: UInt64) throws {
        let end = DispatchTime.now().uptimeNanoseconds + seconds * 1_000_000_000
        var number: UInt64 = 0
        while DispatchTime.now().uptimeNanoseconds < end {
            var mutation = SafetensorsMutation(corpus, seed: seed, number: number)
            _ = try read(mutation.bytes(), "seed \(seed), number \(number)")
            number += 1
        }
    }

    func report() {
        let grown = Double(max(0, Limits.addressSpace - started)) / 1_048_576
        let sentence =
            "fuzz: \(cases) files, \(accepted) read, \(cases - accepted) refused; slowest "
            + String(format: "%.1f ms", slowest) + ", address space grew by " + String(format: "%.1f MiB", grown) + "\n"
        FileHandle.standardOutput.write(Data(sentence.utf8))
    }

    /// Whether the reader takes `bytes`; throws what must not be.
    private mutating func read(_ bytes: [UInt8], _ name: String) throws -> Bool {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return try measure(bytes, name)
    }

    /// Reads the file at `path`, whose contents are `bytes` when they are at hand.
    private mutating func measure(_ bytes: [UInt8]?, _ name: String) throws -> Bool {
        defer { unlink(path) }
        cases += 1
        // A slow case is tried again: the machine may have been busy with something else.
        var (best, refusal): (Double, ModelFileError?) = (.infinity, nil)
        for _ in 0..<5 where best > Limits.milliseconds {
            let start = DispatchTime.now().uptimeNanoseconds
            refusal = open(bytes, name)
            best = min(best, Double(DispatchTime.now().uptimeNanoseconds - start) / 1e6)
        }
        slowest = max(slowest, best)
        guard best <= Limits.milliseconds else {
            throw keep(bytes, "\(name) took \(best) ms")
        }
        guard let refusal else {
            accepted += 1
            return true
        }
        let sentence = "\(refusal)"
        let isOne = sentence.count <= Limits.characters + path.count && !sentence.contains("\n")
        guard case .malformed = refusal, isOne else {
            throw keep(bytes, "\(name) is refused by: \(sentence)")
        }
        return false
    }

    /// Opens the file and reads every tensor; why it was refused.
    private func open(_ bytes: [UInt8]?, _ name: String) -> ModelFileError? {
        do throws(ModelFileError) {
            let file = try SafetensorsFile(path: path)
            var end = 0
            for entry in file.header.entries {
                precondition(entry.range.lowerBound == end, "\(name): tensors must tile the data")
                end = entry.range.upperBound
                let stored = file.bytes(of: entry)
                precondition(stored.count == entry.range.count, "\(name): a tensor must have its bytes")
                if let bytes {
                    let start = bytes.count - dataCount(file)
                    let place = start + entry.range.lowerBound..<start + entry.range.upperBound
                    precondition(
                        stored.elementsEqual(bytes[place]), "\(name): a tensor must be where the file has it")
                }
                if entry.type.widensExactly { _ = try file.floats(of: entry) }
            }
            return nil
        } catch { return error }
    }

    private func dataCount(_ file: SafetensorsFile) -> Int { file.header.entries.map(\.range.upperBound).max() ?? 0 }

    /// A finding, with the file kept beside for a second look.
    private func keep(_ bytes: [UInt8]?, _ sentence: String) -> Finding {
        guard let bytes else { return Finding(description: sentence) }
        let copy = "fuzz-finding-\(cases).safetensors"
        _ = FileManager.default.createFile(atPath: copy, contents: Data(bytes))
        return Finding(description: "\(sentence) (kept as \(copy))")
    }
}
