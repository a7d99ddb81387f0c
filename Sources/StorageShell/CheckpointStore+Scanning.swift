package import Checkpoints
import Hashing
import Synchronization
package import Terms

/// A published checkpoint whose manifest is right in itself; its objects may not have been looked at.
package struct CheckpointRecord: Sendable, Equatable {
    package let name: ManifestName
    /// SHA-256 of the manifest's bytes; what children call their parent.
    package let digest: Digest
    package let manifest: Manifest

    /// Newer published ones stand first.
    static func isNewer(_ left: CheckpointRecord, _ right: CheckpointRecord) -> Bool {
        (left.name.epoch, left.manifest.sequence, left.name) > (right.name.epoch, right.manifest.sequence, right.name)
    }
}

/// What lies in a run's folder.
package struct RunScan: Sendable, Equatable {
    /// Readable checkpoints, newest first.
    package var records: [CheckpointRecord] = []
    /// Files that should be manifests and can't be read, newest name first.
    package var rejected: [RejectedCheckpoint] = []
}

/// One line of a listing.
package struct CheckpointListing: Sendable, Equatable {
    package let record: CheckpointRecord
    /// Kept by its kind or by an operator, or because `PINS` can't be read.
    package let isPinned: Bool
    package let health: RetentionCandidate.Health
}

extension CheckpointStore {
    /// Reads every manifest of a run; a run without folder has none.
    package func scan(_ run: String) throws(StorageError) -> RunScan {
        precondition(RepositoryLayout.isRunName(run), "a run's name was checked when the job was submitted")
        let folder = path(RepositoryLayout.manifests(run))
        var scan = RunScan()
        guard try disk(fileSystem.status(folder)) != nil else { return scan }
        for fileName in try disk(fileSystem.list(folder)) {
            do throws(StorageError) {
                scan.records.append(try record(run, fileName: fileName))
            } catch {
                // Pruned between listing and reading: it was never part of the answer.
                if case .file(.missing) = error { continue }
                scan.rejected.append(RejectedCheckpoint(name: fileName, reason: Self.reason(error)))
            }
        }
        scan.records.sort(by: CheckpointRecord.isNewer)
        scan.rejected.reverse()
        return scan
    }

    /// The readable checkpoints of a run, newest first.
    package func list(_ run: String) throws(StorageError) -> [CheckpointListing] {
        let records = try scan(run).records
        let pins = try? pinList(run)
        return records.map { record in
            // With pins that nobody can read everything stays, as pruning has it.
            let isPinned =
                pins.map {
                    $0.contains(record.name)
                        || record.manifest.kind.isPinned(isReleased: $0.released.contains(record.name))
                } ?? true
            return CheckpointListing(record: record, isPinned: isPinned, health: health(of: record))
        }
    }

    /// One manifest, checked: its bytes have the digest in its name, are canonical, and belong to the run.
    package func record(_ run: String, _ name: ManifestName) throws(StorageError) -> CheckpointRecord {
        try record(run, fileName: name.text)
    }

    /// What is known of a checkpoint's objects since the store was opened.
    package func health(of record: CheckpointRecord) -> RetentionCandidate.Health {
        state.withLock { $0.health[record.digest.hex] ?? .unknown }
    }

    func record(_ run: String, fileName: String) throws(StorageError) -> CheckpointRecord {
        let path = path(RepositoryLayout.manifests(run)) + "/" + fileName
        guard let name = ManifestName(fileName) else { throw .damaged(path: path, problem: "is no manifest's name") }
        let bytes = try disk(fileSystem.contents(path, limit: Manifest.Limits.bytes, fromDisk: true))
        let digest = Digest.sha256(of: bytes)
        guard name.names(digest) else { throw .damaged(path: path, problem: "its bytes have the digest \(digest)") }
        let manifest: Manifest
        do throws(CheckpointError) { manifest = try Manifest.parse(bytes) } catch {
            throw .damaged(path: path, problem: error.description)
        }
        guard manifest.name(digest: digest) == name else {
            throw .damaged(
                path: path, problem: "names step \(manifest.step) of epoch \(manifest.coordinatorEpoch) inside")
        }
        guard manifest.run == run else { throw .damaged(path: path, problem: "belongs to run \(manifest.run)") }
        guard manifest.expectedTensors == Digest.sha256(of: manifest.tensorListBytes) else {
            throw .damaged(path: path, problem: "lists other tensors than the model had when it was saved")
        }
        return CheckpointRecord(name: name, digest: digest, manifest: manifest)
    }

    /// The sentence of an error without the path, where the reader knows the file already.
    static func reason(_ error: StorageError) -> String {
        if case .damaged(_, let problem) = error { return problem }
        return error.description
    }
}
