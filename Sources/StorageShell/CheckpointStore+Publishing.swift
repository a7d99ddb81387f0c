package import Checkpoints
import Hashing
import Synchronization
import Terms

/// What publishing made.
package struct Publication: Sendable, Equatable {
    package let record: CheckpointRecord
    /// Hints that could not be written after the commit point; the checkpoint exists all the same.
    package let warnings: [StorageError]
}

extension CheckpointStore {
    /// Makes a checkpoint exist: all its objects have been put, and after this call it survives a power cut.
    ///
    /// Sets the draft's `sequence`, and its `lineage.restores` from the parent. An error before the commit point leaves
    /// the store as it was (unused objects apart, which pruning takes); try again with the same or another draft.
    ///
    /// Nothing here hashes what lies on the disk: `verify(_:)` the record before relying on it.
    package func publish(
        _ draft: Manifest, at nowUnixMilliseconds: Int
    ) throws(StorageError) -> Publication {
        try requireWritable()
        return try state.withLock { _ throws(StorageError) in
            let manifest = try placed(draft)
            do throws(CheckpointError) { try manifest.validate() } catch { throw .checkpoint(error) }
            let bytes = manifest.canonicalBytes
            let digest = Digest.sha256(of: bytes)
            let name = manifest.name(digest: digest)

            // 1. Objects are there, and their names are durable.
            let chunks = manifest.objects
            try requireObjects(chunks)
            try objects.syncFolders(of: chunks.map(\.digest))
            // 2. The manifest is durable under its name: the commit point.
            try makeRunFolders(manifest.run)
            try commit(manifest.run, name, bytes)
            objects.forget(chunks.map(\.digest))
            // 3. Hints, which may fail.
            var warnings: [StorageError] = []
            do throws(StorageError) { try setHead(manifest.run, name) } catch { warnings.append(error) }
            let event = StoreEvent(
                .published, at: nowUnixMilliseconds, manifest: name.text,
                detail: "\(manifest.kind.rawValue), step \(manifest.step), \(chunks.count) objects")
            do throws(StorageError) { try note(manifest.run, [event]) } catch { warnings.append(error) }
            return Publication(
                record: CheckpointRecord(name: name, digest: digest, manifest: manifest), warnings: warnings)
        }
    }

    /// The draft with its place in the run: after everything published, on the line of its parent.
    private func placed(_ draft: Manifest) throws(StorageError) -> Manifest {
        guard RepositoryLayout.isRunName(draft.run) else {
            throw .checkpoint(.manifest(field: "run", problem: "must be 1 to 64 letters, digits, `_` or `-`"))
        }
        var manifest = draft
        let records = try scan(draft.run).records
        let last = records.map(\.manifest.sequence).max()
        manifest.sequence = last.map { $0 + 1 } ?? 0
        if draft.parent == nil {
            // A start from nothing leaves every earlier line.
            manifest.lineage.restores = last.map { [Manifest.Restore(sequence: $0, step: 0)] } ?? []
        }
        guard let parent = records.first(where: { $0.digest == draft.parent }) else { return manifest }
        manifest.lineage.restores = parent.manifest.lineage.restores
        if let last, last > parent.manifest.sequence {
            // Something newer than the parent exists: training went back.
            manifest.lineage.restores.removeAll { $0.step >= parent.manifest.step }
            manifest.lineage.restores.append(Manifest.Restore(sequence: last, step: parent.manifest.step))
        }
        return manifest
    }

    private func requireObjects(_ chunks: [Manifest.Chunk]) throws(StorageError) {
        var missing: [Digest] = []
        for chunk in chunks where try !objects.has(chunk.digest, length: chunk.length) { missing.append(chunk.digest) }
        if let first = missing.first { throw .missingObjects(count: missing.count, first: first) }
        guard Set(chunks.map(\.digest)).count == chunks.count else {
            throw .checkpoint(.manifest(field: "tensors", problem: "one object is named with two lengths"))
        }
    }

    private func makeRunFolders(_ run: String) throws(StorageError) {
        let folder = path(RepositoryLayout.run(run))
        _ = try disk(fileSystem.makeFolder(folder))
        _ = try disk(fileSystem.makeFolder(path(RepositoryLayout.manifests(run))))
        // Also when they were there: whoever made them may have died before they were durable.
        try disk(fileSystem.syncFolder(folder))
        try disk(fileSystem.syncFolder(path(RepositoryLayout.runs)))
    }

    private func commit(_ run: String, _ name: ManifestName, _ bytes: [UInt8]) throws(StorageError) {
        let staged = path(RepositoryLayout.staging(Self.stagingName)) + "/manifest"
        if try disk(fileSystem.status(staged)) != nil { try disk(fileSystem.remove(staged)) }
        try disk(fileSystem.writeNew(staged, bytes: bytes, mode: 0o444))
        let final = path(RepositoryLayout.manifest(run, name))
        do throws(StorageError) {
            try disk(fileSystem.rename(staged, to: final, replacing: false))
        } catch {
            try? fileSystem.remove(staged)
            throw error
        }
        do throws(StorageError) {
            try disk(fileSystem.syncFolder(path(RepositoryLayout.manifests(run))))
        } catch {
            // The name may or may not last. The attempt failed, so it goes, as far as that can be had.
            try? fileSystem.remove(final)
            throw error
        }
    }
}
