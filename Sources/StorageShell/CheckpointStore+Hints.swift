package import Checkpoints
import Synchronization

/// HEAD, PINS and events.log: hints and history beside the manifests; losing them loses no checkpoint.
extension CheckpointStore {
    /// Largest event log that is read, 64 MiB.
    static let eventLogLimit = 64 << 20

    /// The name in HEAD, nil when there is none or it can't be read; never needed to find a checkpoint.
    package func head(_ run: String) -> ManifestName? {
        guard let bytes = try? fileSystem.contents(path(RepositoryLayout.head(run)), limit: 256) else { return nil }
        return Self.headName(bytes)
    }

    /// Keeps a checkpoint from pruning.
    package func pin(_ run: String, _ name: ManifestName, at nowUnixMilliseconds: Int) throws(StorageError) {
        try editPins(run, name, .pinned, nowUnixMilliseconds) { $0.insert(name) }
    }

    /// Gives a checkpoint back to retention, also one that somebody asked for; a trunk or final one stays all the same.
    package func unpin(_ run: String, _ name: ManifestName, at nowUnixMilliseconds: Int) throws(StorageError) {
        try editPins(run, name, .unpinned, nowUnixMilliseconds) { $0.release(name) }
    }

    /// What operators pinned in a run, and gave back.
    package func pinList(_ run: String) throws(StorageError) -> PinList {
        let path = path(RepositoryLayout.pins(run))
        guard try disk(fileSystem.status(path)) != nil else { return PinList() }
        let bytes = try disk(fileSystem.contents(path, limit: 1 << 20))
        do throws(CheckpointError) { return try PinList(parsing: bytes) } catch {
            throw .damaged(path: path, problem: error.description + "; remove the file and pin again")
        }
    }

    /// Why `PINS` can't be read, a sentence; nil = it can, or nothing was ever pinned.
    package func pinFault(_ run: String) -> String? {
        do throws(StorageError) {
            _ = try pinList(run)
            return nil
        } catch {
            return Self.reason(error)
        }
    }

    /// The history of a run as far as it can be read.
    package func events(_ run: String) throws(StorageError) -> EventFrames.Scan {
        let path = path(RepositoryLayout.events(run))
        guard try disk(fileSystem.status(path)) != nil else { return EventFrames.Scan() }
        return EventFrames.scan(try disk(fileSystem.contents(path, limit: Self.eventLogLimit)))
    }

    /// Adds to the history; durable on return.
    package func note(_ run: String, _ events: [StoreEvent]) throws(StorageError) {
        try requireWritable()
        let path = path(RepositoryLayout.events(run))
        let known = try disk(fileSystem.status(path))
        let frames = events.flatMap(EventFrames.encode)
        guard !frames.isEmpty, (known?.size ?? 0) + frames.count <= Self.eventLogLimit else { return }
        let file = try disk(fileSystem.openForAppending(path))
        defer { fileSystem.close(file) }
        do throws(StorageError) {
            try disk(fileSystem.append(frames, to: file))
            try disk(fileSystem.sync(file))
        } catch {
            // A torn frame would hide every later one.
            try? fileSystem.truncate(file, to: known?.size ?? 0)
            throw error
        }
        if known == nil { try disk(fileSystem.syncFolder(self.path(RepositoryLayout.run(run)))) }
    }

    /// Cuts what a crash left half written at the end of a run's history. One that is wrong before its end is kept
    /// beside, and another one begun: what stands behind the wrong place is still to be had from it.
    func repairEvents(_ run: String) throws(StorageError) {
        let scan = try events(run)
        guard scan.problem != nil else { return }
        guard scan.isTorn else { return try setEventsAside(run) }
        let file = try disk(fileSystem.openForAppending(path(RepositoryLayout.events(run))))
        defer { fileSystem.close(file) }
        try disk(fileSystem.truncate(file, to: scan.soundBytes))
        try disk(fileSystem.sync(file))
    }

    private func setEventsAside(_ run: String) throws(StorageError) {
        var number = 1
        while try disk(fileSystem.status(path(RepositoryLayout.damagedEvents(run, number)))) != nil { number += 1 }
        let place = path(RepositoryLayout.damagedEvents(run, number))
        try disk(fileSystem.rename(path(RepositoryLayout.events(run)), to: place, replacing: false))
        try disk(fileSystem.syncFolder(path(RepositoryLayout.run(run))))
    }

    /// Replaces HEAD.
    func setHead(_ run: String, _ name: ManifestName) throws(StorageError) {
        try replace(RepositoryLayout.head(run), Array((name.text + "\n").utf8))
    }

    static func headName(_ bytes: [UInt8]) -> ManifestName? {
        guard bytes.last == 0x0A else { return nil }
        return String(validating: bytes.dropLast(), as: UTF8.self).flatMap { ManifestName($0) }
    }

    private func editPins(
        _ run: String, _ name: ManifestName, _ kind: StoreEvent.Kind, _ now: Int, _ edit: (inout PinList) -> Void
    ) throws(StorageError) {
        try requireWritable()
        try state.withLock { _ throws(StorageError) in
            guard try isThere(run, name) else {
                throw .noSuchCheckpoint(run: run, wanted: name.text)
            }
            var pins = try pinList(run)
            edit(&pins)
            // Those given back are pruned some day: of what is gone there is nothing to say.
            for name in pins.released where try !isThere(run, name) { pins.remove(name) }
            try replace(RepositoryLayout.pins(run), pins.encoded)
            try note(run, [StoreEvent(kind, at: now, manifest: name.text)])
        }
    }

    private func isThere(_ run: String, _ name: ManifestName) throws(StorageError) -> Bool {
        try disk(fileSystem.status(path(RepositoryLayout.manifest(run, name)))) != nil
    }

    private func replace(_ relative: String, _ bytes: [UInt8]) throws(StorageError) {
        let staged = path(RepositoryLayout.staging(Self.stagingName)) + "/hint"
        try disk(AtomicFile.write(path(relative), bytes, staging: staged, fileSystem: fileSystem))
    }
}
