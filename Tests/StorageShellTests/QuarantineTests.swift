import Checkpoints
import Hashing
import StorageShell
import Terms
import Testing

/// What is set aside because it is damaged, and what is not.
@Suite struct QuarantineTests {
    private let run = StoreFixture.run
    private let keepTwo = [(run: StoreFixture.run, policy: RetentionPolicy(last: 2))]

    private func path(_ name: ManifestName) -> String {
        StoreFixture.root + "/" + RepositoryLayout.manifest(StoreFixture.run, name)
    }

    private func verify(_ disk: FaultyFileSystem) throws -> VerifyReport {
        try CheckpointStore.verify(StoreFixture.root, fileSystem: disk, threads: 1)
    }

    @Test func `a start sets a damaged manifest aside, says so, and space can be freed again`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20, 30, 40])
        let store = try StoreFixture.open(disk)
        let victim = try store.scan(run).records[2].name
        disk.overwrite(path(victim), [1])

        let recovery = try #require(try store.recover(run, at: 77))

        let place = "quarantine/77/run1-" + victim.text
        #expect(recovery.record.manifest.step == 40 && recovery.rejected.map(\.name) == [victim.text])
        #expect(recovery.rejected.first?.reason.hasSuffix("set aside as \(place)") == true)
        let events = try store.events(run).events
        #expect(events.contains { $0.kind == .rejected && $0.manifest == victim.text && $0.detail.contains(place) })
        #expect(disk.bytes(StoreFixture.root + "/" + place) == [1])
        let report = try verify(disk)
        #expect(report.isSound && report.setAside == [place] && report.stepsAside(of: run) == [20])
        #expect(try #require(try store.recover(run, at: 78)).rejected.isEmpty)
        let pruned = try store.prune(keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)
        #expect(pruned.refusal == nil && pruned.plan.sweep.count == 4)
        #expect(try verify(disk).isSound)
    }

    @Test func `what the disk does not give, or another release has written, stays, and nothing is pruned`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20, 30])
        let store = try StoreFixture.open(disk)
        let bytes = Array("{}".utf8)
        let foreign = ManifestName(step: 5, epoch: 1, digest: Digest.sha256(of: bytes))
        try disk.writeNew(path(foreign), bytes: bytes, mode: 0o444)
        let folder = ManifestName(step: 6, epoch: 1, digest: Digest.sha256(of: "x"))
        _ = try disk.makeFolder(path(folder))

        let recovery = try #require(try store.recover(run, at: 7))

        #expect(recovery.rejected.map(\.name) == [folder.text, foreign.text])
        #expect(try store.setDamagedAside(run, at: 8) == [])
        let refused = try store.prune(keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)
        #expect(refused.refusal?.contains("move it away") == true && refused.runs.isEmpty)
        #expect(try store.list(run).map(\.record.manifest.step) == [30, 20, 10])
        #expect(try verify(disk).setAside == [])
    }

    @Test func `without anything to go on from nothing is set aside`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        let store = try StoreFixture.open(disk)
        let name = try #require(try store.scan(run).records.first).name
        disk.overwrite(path(name), [1])

        #expect(throws: StorageError.self) { try store.recover(run, at: 7) }
        #expect(throws: StorageError.self) { try store.setDamagedAside(run, at: 7) }

        #expect(disk.bytes(path(name)) == [1])
        #expect(try verify(disk).setAside == [])
    }

    @Test func `a history that is damaged before its end is kept beside, a torn end is cut`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20])
        let log = StoreFixture.root + "/" + RepositoryLayout.events(run)
        let whole = disk.bytes(log)
        disk.overwrite(log, whole + [7, 0, 0])
        do { #expect(try StoreFixture.open(disk).events(run).events.count == 2) }
        #expect(disk.bytes(log) == whole)
        var damaged = whole
        damaged[9] ^= 1

        for number in 1...2 {
            disk.overwrite(log, damaged)
            let store = try StoreFixture.open(disk)
            #expect(try store.events(run) == EventFrames.Scan())
            let place = StoreFixture.root + "/" + RepositoryLayout.damagedEvents(run, number)
            #expect(disk.bytes(place) == damaged)
            try store.note(run, [StoreEvent(.repaired, at: 1)])
            #expect(try store.events(run).events.count == 1)
        }

        let report = try verify(disk)
        #expect(report.isSound)
        #expect(report.setAside == ["runs/run1/events.log.damaged", "runs/run1/events.log.damaged-2"])
    }

    @Test func `with pins that can't be read every checkpoint counts as pinned, and the reason is told`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20])
        let store = try StoreFixture.open(disk)
        #expect(store.pinFault(run) == nil)
        try store.pin(run, try #require(try store.scan(run).records.first).name, at: 1)
        #expect(try store.list(run).map(\.isPinned) == [true, false])
        disk.overwrite(StoreFixture.root + "/" + RepositoryLayout.pins(run), [0x20])

        #expect(try store.list(run).map(\.isPinned) == [true, true])
        #expect(store.pinFault(run)?.contains("checksum") == true)
    }
}
