import ArgumentParser
import Checkpoints
import Dispatch
import Foundation
import Glibc
import Hashing
import Kernels
import ModelFiles
import StorageShell
import Terms
import Tokenization

/// `drover bench tokenize`: how fast text becomes tokens.
struct BenchTokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize", abstract: "Times the encoding of a text file, on one thread and on all.")

    @Option(help: "Directory with the tokenizer's files.")
    var model: String
    @Option(help: "A UTF-8 text file.")
    var file: String
    @Option(help: "Threads; default: every core.")
    var threads: Int?
    @Flag(help: "One JSON object on standard output.")
    var json = false

    func run() throws {
        guard Disk.hasFolder(model) else { throw Failure.input("\(model) is no directory: give a tokenizer's") }
        let tokenizer = try ModelText(TokenizerFiles(directory: model)).tokenizer
        var texts: [String] = []
        let reading = try Measuring.seconds { texts = try Lines.read(file) }
        let bytes = texts.reduce(0) { $0 + $1.utf8.count + 1 }
        guard bytes > 1 else { throw Failure.input("\(file): holds no text") }
        let threads = max(1, threads ?? MachineOptions.cores)
        var tokens = 0
        let one = Measuring.best(budget: 2) { tokens = tokenizer.encodeBatch(texts).reduce(0) { $0 + $1.count } }
        let all = Measuring.best(budget: 2) {
            _ = tokenizer.encodeBatch(texts) { count, body in Self.share(count, threads, body) }
        }
        let summary = JSONValue.members([
            "bench": .string("tokenize"), "bytes": .int(bytes), "lines": .int(texts.count), "tokens": .int(tokens),
            "threads": .int(threads), "bytes_per_second": .double(Double(bytes) / all),
            "single_thread_bytes_per_second": .double(Double(bytes) / one),
            "bytes_per_token": .double(Double(bytes) / Double(max(1, tokens))),
            "single_thread_mb_per_second": .double(Double(bytes) / one / 1e6),
            "single_thread_tokens_per_second": .double(Double(tokens) / one),
            "mb_per_second": .double(Double(bytes) / all / 1e6), "tokens_per_second": .double(Double(tokens) / all),
            "read_ceiling_mb_per_second": .double(Double(bytes) / reading / 1e6),
        ])
        if json { Output.json(summary) } else { Output.line(summary.prettyText) }
    }

    private static func share(_ count: Int, _ threads: Int, _ body: @Sendable (Int) -> Void) {
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            for index in stride(from: thread, to: count, by: threads) { body(index) }
        }
    }
}

/// `drover bench checkpoint`: how fast training state becomes durable and comes back.
struct BenchCheckpoint: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint", abstract: "Times saving, verifying and restoring a checkpoint.",
        discussion: "Ceilings: one file of the same size written and made durable, and SHA-256 on one thread.")

    @Option(help: "Size of the state, MiB: a third parameters, two thirds moments.")
    var mib = 256
    @Option(help: "Folder on the disk to measure; default: the working directory.")
    var directory = "."
    @Flag(help: "One JSON object on standard output.")
    var json = false

    func validate() throws {
        guard (3...1 << 20).contains(mib) else { throw ValidationError("--mib must be in 3…1048576") }
    }

    func run() throws {
        guard Disk.hasFolder(directory) else { throw Failure.input("\(directory) is no directory") }
        let folder = joinPath(directory, ".drover-bench-\(getpid())")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Disk.createFolder(folder)
        let elements = (mib << 20) / 12
        let vectors = (0..<3).map { Measuring.filled(elements, seed: UInt32($0 + 1)) }
        let state = FlatState(
            elements: elements, parameters: vectors[0].pointer, firstMoment: vectors[1].pointer,
            secondMoment: vectors[2].pointer)
        let layout = try Self.layout(elements)
        let store = try CheckpointStore.open(joinPath(folder, "store"))
        let plan = SavePlan(layout: layout)
        var digests: [Digest] = []
        let save = try Measuring.seconds { digests = try store.save(plan, from: state) }
        var record: CheckpointRecord?
        let publish = try Measuring.seconds {
            let draft = Self.manifest(layout, plan.tensors(digests: digests), state.modelDigest(layout))
            record = try store.publish(draft, at: draft.createdUnixMilliseconds).record
        }
        guard let record else { throw Failure.failed("nothing was published") }
        var findings: [StoreFinding] = []
        let verify = try Measuring.seconds { findings = try store.verify(record) }
        guard findings.isEmpty else { throw Failure.failed("the checkpoint reads back wrong: \(findings[0].problem)") }
        let restorePlan = try RestorePlan(manifest: record.manifest, layout: layout)
        let restore = try Measuring.seconds { try store.restore(restorePlan, into: state) }
        let raw = try Self.writeRaw(vectors, joinPath(folder, "raw"))
        let hashed = UnsafeRawBufferPointer(start: vectors[0].pointer, count: elements * 4)
        let hash = Measuring.seconds { _ = Digest.sha256(of: hashed) }
        let bytes = Double(12 * elements)
        func rate(_ seconds: Double) -> JSONValue { .double(bytes / seconds / 1e6) }
        let summary = JSONValue.members([
            "bench": .string("checkpoint"), "bytes": .int(12 * elements), "objects": .int(digests.count),
            "save_seconds": .double(save), "publish_seconds": .double(publish), "verify_seconds": .double(verify),
            "restore_seconds": .double(restore), "save_mb_per_second": rate(save + publish),
            "verify_mb_per_second": rate(verify), "restore_mb_per_second": rate(restore),
            "write_ceiling_mb_per_second": rate(raw), "sha256_ceiling_mb_per_second": rate(hash * 3),
            "efficiency": .double(raw / (save + publish)),
        ])
        if json { Output.json(summary) } else { Output.line(summary.prettyText) }
    }

    /// Tensors as those of a model: a few dozen megabytes each.
    private static func layout(_ elements: Int) throws -> TensorLayout {
        let width = 4 << 20
        return try TensorLayout(
            stride(from: 0, to: elements, by: width).enumerated().map { number, start in
                let digits = String(number)
                return ("t" + String(repeating: "0", count: 8 - digits.count) + digits, [min(width, elements - start)])
            })
    }

    private static func manifest(_ layout: TensorLayout, _ tensors: [Manifest.Tensor], _ model: Digest) -> Manifest {
        let nothing = Digest.sha256(of: "")
        return Manifest(
            run: RunFolder.run, job: JobID(1), step: 1, coordinatorEpoch: 1, generation: Generation(1), kind: .periodic,
            createdUnixMilliseconds: Int(Date().timeIntervalSince1970 * 1000), exactness: .exact,
            progress: Manifest.Progress(tokens: 0, samples: 0, epoch: 0),
            model: Manifest.Model(config: nothing, base: nil, tokenizer: nil), numerics: .members([:]),
            optimizer: .members([:]), schedule: .members([:]),
            data: Manifest.DataPosition(digest: nothing, epoch: 0, sample: 0), rng: .members([:]),
            budget: .members([:]), tensors: tensors,
            expectedTensors: Digest.sha256(of: Manifest.tensorListBytes(layout, roles: TensorRole.allCases)),
            modelDigest: model)
    }

    /// Seconds to write the same bytes to one file and make them durable.
    private static func writeRaw(_ vectors: [FloatBuffer], _ path: String) throws -> Double {
        let fileSystem = POSIXFileSystem()
        return try Measuring.seconds {
            let file = try fileSystem.create(path, mode: 0o600)
            defer { fileSystem.close(file) }
            for vector in vectors {
                try fileSystem.write(UnsafeRawBufferPointer(start: vector.pointer, count: vector.count * 4), to: file)
            }
            try fileSystem.sync(file)
        }
    }
}
