import Checkpoints
import Hashing
import Synchronization
import Terms

/// Manifests whose bytes are wrong. Nothing can be known of what such a one names, so that no object could ever go for
/// it: it is set aside, and what nobody else names is nobody's from then on.
extension CheckpointStore {
    /// Whether a manifest's bytes, read once more, are not those that its name promises.
    ///
    /// False where the disk refuses to read it, and for what another release may have written: the objects of such a
    /// file may still be needed.
    func isDamaged(_ run: String, fileName: String) -> Bool {
        let path = path(RepositoryLayout.manifests(run)) + "/" + fileName
        guard let name = ManifestName(fileName),
            let bytes = try? fileSystem.contents(path, limit: Manifest.Limits.bytes, fromDisk: true)
        else { return false }
        return !name.names(Digest.sha256(of: bytes))
    }

    /// Sets every damaged manifest of a run aside; returns where they are now, below the root. Throws, and leaves all as
    /// it is, when no other one could be read: then what they name may be all that is left.
    package func setDamagedAside(_ run: String, at nowUnixMilliseconds: Int) throws(StorageError) -> [String] {
        try requireWritable()
        let scan = try scan(run)
        guard !scan.records.isEmpty || scan.rejected.isEmpty else {
            throw .noUsableCheckpoint(run: run, rejected: scan.rejected)
        }
        var places: [String] = []
        for rejected in scan.rejected where isDamaged(run, fileName: rejected.name) {
            let place = try quarantine(run, fileName: rejected.name, when: String(nowUnixMilliseconds))
            places.append(place)
            let detail = "\(rejected.reason); set aside as \(place)"
            // History is for people; nothing must fail because a line of it could not be written.
            try? note(run, [StoreEvent(.rejected, at: nowUnixMilliseconds, manifest: rejected.name, detail: detail)])
        }
        return places
    }

    /// Sets a file aside that can't be used; returns where it is now, below the root. Pruning goes on after that.
    @discardableResult
    package func quarantine(_ run: String, fileName: String, when: String) throws(StorageError) -> String {
        try requireWritable()
        precondition(RepositoryLayout.isRunName(when), "the folder's name is one of our own words")
        let source = path(RepositoryLayout.manifests(run))
        let place = RepositoryLayout.quarantine(when) + "/" + run + "-" + fileName
        try state.withLock { _ throws(StorageError) in
            guard try disk(fileSystem.list(source)).contains(fileName) else {
                throw .noSuchCheckpoint(run: run, wanted: fileName)
            }
            let folder = path(RepositoryLayout.quarantine(when))
            try disk(fileSystem.makeFolders(folder))
            try disk(fileSystem.rename(source + "/" + fileName, to: path(place), replacing: false))
            // Its new name is durable before the old one is gone for good.
            try disk(fileSystem.syncFolder(folder))
            try disk(fileSystem.syncFolder(source))
        }
        return place
    }

    /// What was set aside, below the root, ascending: damaged manifests and histories.
    func filesAside() throws(StorageError) -> [String] {
        var list: [String] = []
        let quarantine = path(RepositoryLayout.quarantine)
        let times = try disk(fileSystem.status(quarantine)) == nil ? [] : disk(fileSystem.list(quarantine))
        for when in times {
            let folder = RepositoryLayout.quarantine(when)
            guard try disk(fileSystem.status(path(folder)))?.kind == .folder else { continue }
            for name in try disk(fileSystem.list(path(folder))) { list.append(folder + "/" + name) }
        }
        for run in try runs() {
            let folder = RepositoryLayout.run(run)
            guard try disk(fileSystem.status(path(folder)))?.kind == .folder else { continue }
            for name in try disk(fileSystem.list(path(folder))) {
                let place = folder + "/" + name
                if place.hasPrefix(RepositoryLayout.damagedEvents(run)) { list.append(place) }
            }
        }
        return list.sorted()
    }
}
