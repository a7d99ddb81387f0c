import ArgumentParser
import Checkpoints
import Foundation
import Glibc
import Hashing
import Kernels
import ModelFiles
import StorageShell
import Terms

/// `drover bench checkpoint`: how fast training state becomes durable and comes back.
struct BenchCheckpoint: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint", abstract: "Times saving, verifying and restoring a checkpoint.",
        discussion: """
            Ceilings, in turn with what they belong to: one file of the same size written and made durable, the same file
            read again, in pieces of 4 MiB by one thread, as any program does; both past the system's cache (direct), which
            the store uses where it may; SHA-256 on one thread. What is read is out of the page cache before.
            """)

    @Option(help: "Size of the state, MiB: a third parameters, two thirds moments.")
    var mib = 256
    @Option(help: "Rounds; medians are shown.")
    var rounds = 3
    @Option(help: "Folder on the disk to measure; default: the working directory.")
    var directory = "."
    @Flag(help: "One JSON object on standard output.")
    var json = false

    func validate() throws {
        guard (3...1 << 20).contains(mib) else { throw ValidationError("--mib must be in 3…1048576") }
        guard (1...100).contains(rounds) else { throw ValidationError("--rounds must be in 1…100") }
    }

    /// Seconds of one round's parts.
    private struct Round {
        var write = 0.0
        var directWrite = 0.0
        var directRead = 0.0
        var save = 0.0
        var publish = 0.0
        var verify = 0.0
        var restore = 0.0
        var read = 0.0
        var hash = 0.0
        var objects = 0
    }

    func run() throws {
        guard Disk.hasFolder(directory) else { throw Failure.input("\(directory) is no directory") }
        let folder = joinPath(directory, ".drover-bench-\(getpid())")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Disk.createFolder(folder)
        let elements = (mib << 20) / 12
        let done = try (0..<rounds).map { round in
            let name = joinPath(folder, "\(round)")
            defer { try? FileManager.default.removeItem(atPath: name) }
            try Disk.createFolder(name)
            return try self.round(round, elements, name)
        }
        func median(_ part: (Round) -> Double) -> Double { Measuring.median(done.map(part)) }
        let bytes = Double(12 * elements)
        func rate(_ part: (Round) -> Double) -> JSONValue { .double(bytes / median(part) / 1e6) }
        let summary = JSONValue.members([
            "bench": .string("checkpoint"), "bytes": .int(12 * elements), "objects": .int(done[0].objects),
            "rounds": .int(rounds), "save_seconds": .double(median { $0.save }),
            "publish_seconds": .double(median { $0.publish }), "verify_seconds": .double(median { $0.verify }),
            "restore_seconds": .double(median { $0.restore }), "save_mb_per_second": rate { $0.save + $0.publish },
            "verify_mb_per_second": rate { $0.verify }, "restore_mb_per_second": rate { $0.restore },
            "write_ceiling_mb_per_second": rate { $0.write }, "read_ceiling_mb_per_second": rate { $0.read },
            "direct_write_mb_per_second": rate { $0.directWrite }, "direct_read_mb_per_second": rate { $0.directRead },
            "sha256_ceiling_mb_per_second": rate { $0.hash },
            "efficiency": .double(median { $0.write / ($0.save + $0.publish) }),
            "restore_efficiency": .double(median { $0.read / $0.restore }),
        ])
        if json { Output.json(summary) } else { Output.line(summary.prettyText) }
    }

    /// One state, other bytes in each round: what the disk holds already is not written again.
    private func round(_ number: Int, _ elements: Int, _ folder: String) throws -> Round {
        let vectors = (0..<3).map { Measuring.filled(elements, seed: UInt32(3 * number + $0 + 1)) }
        defer { withExtendedLifetime(vectors) {} }
        let state = FlatState(
            elements: elements, parameters: vectors[0].pointer, firstMoment: vectors[1].pointer,
            secondMoment: vectors[2].pointer)
        let layout = try Self.layout(elements)
        let raw = joinPath(folder, "raw")
        var times = Round()
        times.write = try Self.writePlain(vectors, raw)
        times.directWrite = try Self.writeDirectly(vectors, raw)
        let store = try CheckpointStore.open(joinPath(folder, "store"))
        let plan = SavePlan(layout: layout)
        var digests: [Digest] = []
        times.save = try Measuring.seconds { digests = try store.save(plan, from: state) }
        var record: CheckpointRecord?
        times.publish = try Measuring.seconds {
            let draft = Self.manifest(layout, plan.tensors(digests: digests))
            record = try store.publish(draft, at: draft.createdUnixMilliseconds).record
        }
        guard let record else { throw Failure.failed("nothing was published") }
        times.objects = digests.count
        var findings: [StoreFinding] = []
        times.verify = try Measuring.seconds { findings = try store.verify(record) }
        guard findings.isEmpty else { throw Failure.failed("the checkpoint reads back wrong: \(findings[0].problem)") }
        Self.forget(folder)
        times.read = try Self.readPlain(into: vectors[0], raw)
        times.directRead = try Self.readDirectly(into: vectors, raw)
        Self.forget(folder)
        let restorePlan = try RestorePlan(manifest: record.manifest, layout: layout)
        times.restore = try Measuring.seconds { try store.restore(restorePlan, into: state) }
        let hashed = UnsafeRawBufferPointer(start: vectors[0].pointer, count: elements * 4)
        times.hash = 3 * Measuring.seconds { _ = Digest.sha256(of: hashed) }
        return times
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

    /// Of a periodic checkpoint, which hashes its parameters once, in pieces.
    private static func manifest(_ layout: TensorLayout, _ tensors: [Manifest.Tensor]) -> Manifest {
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
            modelDigest: nil)
    }

    /// Lets the page cache forget every file below a folder; they are durable.
    private static func forget(_ folder: String) {
        for name in FileManager.default.enumerator(atPath: folder)?.compactMap({ $0 as? String }) ?? [] {
            let file = open(joinPath(folder, name), O_RDONLY)
            guard file >= 0 else { continue }
            _ = posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
            close(file)
        }
    }

    /// Seconds to read one file of all vectors' size.
    private static func readPlain(into buffer: FloatBuffer, _ path: String) throws -> Double {
        let file = open(path, O_RDONLY)
        guard file >= 0 else { throw Failure.failed("\(path) can't be read") }
        defer { close(file) }
        let piece = min(RepositoryLayout.chunkLimit, buffer.count * 4)
        return Measuring.seconds { while read(file, buffer.pointer, piece) > 0 {} }
    }

    /// Seconds to write all vectors to one file and make it durable.
    private static func writePlain(_ vectors: [FloatBuffer], _ path: String) throws -> Double {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        guard file >= 0 else { throw Failure.failed("\(path) can't be made") }
        defer { close(file) }
        return try Measuring.seconds {
            for vector in vectors {
                let size = vector.count * 4
                for start in stride(from: 0, to: size, by: RepositoryLayout.chunkLimit) {
                    let piece = min(RepositoryLayout.chunkLimit, size - start)
                    guard write(file, UnsafeRawPointer(vector.pointer) + start, piece) == piece else {
                        throw Failure.failed("\(path) can't be written")
                    }
                }
            }
            guard fsync(file) == 0 else { throw Failure.failed("\(path) can't be made durable") }
        }
    }

    /// Seconds to read the vectors' files past the system's cache.
    private static func readDirectly(into vectors: [FloatBuffer], _ path: String) throws -> Double {
        try Measuring.seconds {
            for (number, vector) in vectors.enumerated() {
                let bytes = UnsafeMutableRawBufferPointer(start: vector.pointer, count: vector.count * 4)
                let count = try POSIXFileSystem().read("\(path)\(number)", into: bytes, fromDisk: true)
                guard count == bytes.count else { throw Failure.failed("\(path)\(number) has become shorter") }
            }
        }
    }

    /// Seconds to write the vectors to a file each, past the system's cache, and make them durable.
    private static func writeDirectly(_ vectors: [FloatBuffer], _ path: String) throws -> Double {
        try Measuring.seconds {
            for (number, vector) in vectors.enumerated() {
                let bytes = UnsafeRawBufferPointer(start: vector.pointer, count: vector.count * 4)
                try POSIXFileSystem().writeNew("\(path)\(number)", bytes, mode: 0o600)
            }
        }
    }
}
