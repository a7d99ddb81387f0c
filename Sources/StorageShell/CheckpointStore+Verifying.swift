package import Checkpoints
import Hashing
import Synchronization
package import Terms

/// One thing that is wrong in a store.
package struct StoreFinding: Sendable, Equatable {
    /// The bad file, below the root.
    package let path: String
    /// One sentence.
    package let problem: String
}

/// What `verify` saw.
package struct VerifyReport: Sendable, Equatable {
    package var runs = 0
    package var manifests = 0
    package var objects = 0
    /// Objects that were read and hashed: all, or the share that was asked for.
    package var hashed = 0
    /// Bytes of all objects.
    package var bytes = 0
    /// Every bad file, ascending by path.
    package var findings: [StoreFinding] = []
    /// Checkpoints (`run/name`) that can't be used because of them.
    package var unusable: [String] = []
    /// Damaged files that were set aside, below the root, ascending: nothing is wrong with the store for them any more.
    package var setAside: [String] = []

    /// The steps of a run's manifests among those that were set aside.
    package func stepsAside(of run: String) -> [Step] {
        setAside.compactMap { place in
            let name = place.split(separator: "/").last ?? ""
            guard place.hasPrefix(RepositoryLayout.quarantine + "/"), name.hasPrefix(run + "-") else { return nil }
            return ManifestName(String(name.dropFirst(run.utf8.count + 1)))?.step
        }
    }

    package var isSound: Bool { findings.isEmpty }
}

extension CheckpointStore {
    /// Reads every byte of a store, referenced or not, and names every bad file; changes nothing, takes no lock.
    ///
    /// - Parameter share: of the objects, drawn anew each time, that are read and hashed, in 0…1. The others are only
    ///   there in their right length.
    package static func verify(
        _ root: String, share: Double = 1, fileSystem: any FileSystem = POSIXFileSystem(), threads: Int = 8
    ) throws(StorageError) -> VerifyReport {
        let store = unchecked(root, fileSystem: fileSystem, threads: threads)
        var report = VerifyReport()
        if let finding = try store.formatFinding() { report.findings.append(finding) }
        let good = try store.verifyObjects(&report, share)
        for run in try store.runs() { try store.verifyRun(run, good, &report) }
        report.setAside = try store.filesAside()
        report.findings.sort { ($0.path, $0.problem) < ($1.path, $1.problem) }
        return report
    }

    /// What is wrong with `FORMAT`; throws for a folder that is no store at all.
    private func formatFinding() throws(StorageError) -> StoreFinding? {
        let file = path(RepositoryLayout.format)
        do throws(StorageError) {
            try checkFormat()
            return nil
        } catch {
            let isMissing = (try? fileSystem.status(file)) == .some(nil)
            let objects = try disk(fileSystem.status(path(RepositoryLayout.objects)))
            let runs = try disk(fileSystem.status(path(RepositoryLayout.runs)))
            if isMissing, objects == nil, runs == nil { throw error }
            let problem =
                switch error {
                case .unknownFormat where isMissing: "is missing"
                case .unknownFormat: "does not say `\(RepositoryLayout.formatText.dropLast())`"
                default: Self.reason(error)
                }
            return StoreFinding(path: RepositoryLayout.format, problem: problem)
        }
    }

    /// Reads every byte of one checkpoint, from the disk where the system can be told to; no findings = it can be used.
    package func verify(_ record: CheckpointRecord) throws(StorageError) -> [StoreFinding] {
        let chunks = record.manifest.objects
        let found = Mutex<[StoreFinding]>([])
        try ParallelLoop.run(chunks.count, threads: objects.threads) { (index) throws(StorageError) in
            if let finding = try finding(chunks[index]) { found.withLock { $0.append(finding) } }
        }
        var findings = found.withLock { $0 }.sorted { $0.path < $1.path }
        if findings.isEmpty, try !hasStatedModel(record.manifest) {
            findings.append(
                StoreFinding(
                    path: RepositoryLayout.manifest(record.manifest.run, record.name),
                    problem: "its parameters do not have the model_sha256 it states"))
        }
        state.withLock { $0.health[record.digest.hex] = findings.isEmpty ? .verified : .damaged }
        return findings
    }

    /// What whoever put a checkpoint's objects knows of them.
    package func note(_ record: CheckpointRecord, _ health: RetentionCandidate.Health) {
        state.withLock { $0.health[record.digest.hex] = health }
    }

    /// `model_sha256` of a state whose pieces have been put and were read back; they are not hashed once more.
    package func modelDigest(_ plan: SavePlan, _ digests: [Digest]) throws(StorageError) -> Digest {
        precondition(digests.count == plan.pieces.count, "one digest a piece")
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: RepositoryLayout.chunkLimit, alignment: 4096)
        defer { buffer.deallocate() }
        var hasher = SHA256Hasher()
        var next = 0
        for (index, tensor) in plan.layout.tensors.enumerated() {
            hasher.update(utf8: tensor.name + "\0")
            while next < plan.pieces.count, plan.pieces[next].tensor == index {
                defer { next += 1 }
                guard plan.pieces[next].role == .parameter else { continue }
                let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<plan.pieces[next].bytes])
                let path = objects.path(digests[next])
                // Small ones are in the system's cache since they were read back.
                let isLarge = bytes.count >= DirectTransfer.least
                guard try disk(fileSystem.read(path, into: bytes, fromDisk: isLarge)) == bytes.count else {
                    throw .damaged(path: path, problem: "has fewer than the \(bytes.count) bytes it should have")
                }
                hasher.update(UnsafeRawBufferPointer(bytes))
            }
        }
        return hasher.finish()
    }

    /// Whether the parameters are those whose `model_sha256` the manifest states, where it states one.
    func hasStatedModel(_ manifest: Manifest) throws(StorageError) -> Bool {
        guard let stated = manifest.modelDigest else { return true }
        return try modelDigest(manifest) == stated
    }

    /// `model_sha256` of a published checkpoint: what it states, or else computed from its objects.
    package func modelDigest(of record: CheckpointRecord) throws(StorageError) -> Digest {
        if let stated = record.manifest.modelDigest { return stated }
        return try modelDigest(record.manifest)
    }

    /// `model_sha256` of a stored checkpoint, computed from its objects.
    package func modelDigest(_ manifest: Manifest) throws(StorageError) -> Digest {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: RepositoryLayout.chunkLimit, alignment: 4096)
        defer { buffer.deallocate() }
        var hasher = SHA256Hasher()
        for tensor in manifest.tensors where tensor.role == .parameter {
            hasher.update(utf8: tensor.name + "\0")
            for chunk in tensor.chunks {
                let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<chunk.length])
                try objects.read(chunk.digest, into: bytes)
                hasher.update(UnsafeRawBufferPointer(bytes))
            }
        }
        return hasher.finish()
    }

    /// What is wrong with one object; the disk failing otherwise than by wrong bytes counts as wrong too.
    private func finding(_ chunk: Manifest.Chunk) throws(StorageError) -> StoreFinding? {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk.length, alignment: 4096)
        defer { buffer.deallocate() }
        do throws(StorageError) {
            try objects.read(chunk.digest, into: buffer, fromDisk: true)
            return nil
        } catch {
            let reason = if case .missingObjects = error { "is missing" } else { Self.reason(error) }
            return StoreFinding(path: RepositoryLayout.object(chunk.digest), problem: reason)
        }
    }

    /// Hashes a share of the objects; returns the right ones, and those not looked at, with their sizes.
    private func verifyObjects(_ report: inout VerifyReport, _ share: Double) throws(StorageError) -> [Digest: Int] {
        var chunks: [Manifest.Chunk] = []
        let folder = path(RepositoryLayout.objects)
        let folders = try disk(fileSystem.status(folder)) == nil ? [] : disk(fileSystem.list(folder))
        for name in folders {
            let inside = folder + "/" + name
            guard try disk(fileSystem.status(inside))?.kind == .folder else {
                report.findings.append(
                    StoreFinding(path: RepositoryLayout.objects + "/" + name, problem: "is no folder"))
                continue
            }
            for file in try disk(fileSystem.list(inside)) {
                let relative = RepositoryLayout.objects + "/" + name + "/" + file
                guard let digest = RepositoryLayout.digest(folder: name, name: file) else {
                    report.findings.append(StoreFinding(path: relative, problem: "is no object's name"))
                    continue
                }
                guard let status = try disk(fileSystem.status(path(relative))) else { continue }
                guard status.kind == .file, (1...RepositoryLayout.chunkLimit).contains(status.size) else {
                    report.findings.append(StoreFinding(path: relative, problem: "has \(status.size) bytes"))
                    continue
                }
                chunks.append(Manifest.Chunk(digest: digest, length: status.size))
            }
        }
        report.objects = chunks.count
        report.bytes = chunks.reduce(0) { $0 + $1.length }
        if share < 1 { chunks.shuffle() }
        report.hashed = min(chunks.count, Int((max(0, share) * Double(chunks.count)).rounded(.up)))
        let list = Array(chunks.prefix(report.hashed))
        let unread = chunks.dropFirst(report.hashed).map { ($0.digest, $0.length) }
        let results = Mutex<(good: [Digest: Int], bad: [StoreFinding])>((Dictionary(uniqueKeysWithValues: unread), []))
        try ParallelLoop.run(list.count, threads: objects.threads) { (index) throws(StorageError) in
            let finding = try finding(list[index])
            results.withLock { results in
                if let finding {
                    results.bad.append(finding)
                } else {
                    results.good[list[index].digest] = list[index].length
                }
            }
        }
        let (good, bad) = results.withLock { $0 }
        report.findings += bad
        return good
    }
}
