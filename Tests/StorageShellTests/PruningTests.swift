import Checkpoints
import Hashing
import StorageShell
import Terms
import Testing

@Suite struct PruningTests {
    private let run = StoreFixture.run
    private let keepTwo = [(run: StoreFixture.run, policy: RetentionPolicy(last: 2))]

    private func steps(_ store: CheckpointStore) throws -> [Step] {
        try store.list(run).map(\.record.manifest.step)
    }

    @Test func `a dry run says what would go and changes nothing`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20, 30, 40])
        let store = try StoreFixture.open(disk)
        let before = disk.allFiles

        let dry = try store.prune(keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: true)
        #expect(disk.allFiles == before)
        #expect(dry.runs.first?.decisions.map(\.keeps) == [true, true, false, false])
        #expect(dry.plan.sweep.count == 4)

        let wet = try store.prune(keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)
        #expect(wet.plan == dry.plan)
        #expect(try steps(store) == [40, 30])
        #expect(disk.allFiles.filter { $0.contains("/objects/") }.count == 5)
        #expect(try CheckpointStore.verify(StoreFixture.root, fileSystem: disk, threads: 1).isSound)
        #expect(try store.events(run).events.filter { $0.kind == .deleted }.count == 2)
    }

    @Test func `pins, trunk and final stay`() throws {
        let disk = FaultyFileSystem()
        let store = try StoreFixture.open(disk)
        let first = try StoreFixture.commit(store, step: 1, kind: .trunk)
        let second = try StoreFixture.commit(store, step: 2, parent: first.digest)
        var parent = second.digest
        for step in 3...6 { parent = try StoreFixture.commit(store, step: step, parent: parent).digest }
        try store.pin(run, second.name, at: 1)

        _ = try store.prune(keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)
        #expect(try steps(store) == [6, 5, 2, 1])
        #expect(try store.list(run).map(\.isPinned) == [false, false, true, true])

        try store.unpin(run, second.name, at: 2)
        _ = try store.prune(keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)
        #expect(try steps(store) == [6, 5, 1])
    }

    @Test func `young objects and those of a save in progress stay`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        var store: CheckpointStore? = try StoreFixture.open(disk)
        _ = try store.map { try StoreFixture.save($0, step: 50) }
        let pending = try #require(store?.objects.pendingObjects)
        #expect(pending.count == 3)
        let own = try store?.prune([], graceSeconds: 0, at: 9_000_000, dryRun: false)
        #expect(own?.plan.sweep.isEmpty == true)
        store = nil

        let other = try StoreFixture.open(disk)
        let young = try other.prune([], graceSeconds: 3_600, at: 2_000_000, dryRun: false)
        #expect(young.plan.sweep.isEmpty && young.plan.young == 2)
        let told = try other.prune([], preparing: pending, graceSeconds: 0, at: 9_000_000, dryRun: false)
        #expect(told.plan.sweep.isEmpty)
        let old = try other.prune([], graceSeconds: 3_600, at: 9_000_000, dryRun: false)
        #expect(old.plan.sweep.count == 2)
    }

    @Test func `nothing goes while the newer ones are damaged`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20, 30, 40])
        let store = try StoreFixture.open(disk)
        for record in try store.scan(run).records.prefix(3) {
            let own = try #require(record.manifest.tensors.first?.chunks.first)
            disk.overwrite(store.objects.path(own.digest), [1])
        }

        let report = try store.prune(keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)

        #expect(try steps(store) == [40, 30, 20, 10])
        #expect(report.runs.first?.decisions.map(\.reason) == [.damaged, .damaged, .damaged, .newest])
    }

    @Test func `while a manifest can't be read nothing goes, no manifest either, until it is set aside`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20, 30, 40])
        let store = try StoreFixture.open(disk)
        let victim = try store.scan(run).records[3].name
        disk.overwrite(StoreFixture.root + "/" + RepositoryLayout.manifest(run, victim), [1])

        let refused = try store.prune(keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)
        #expect(refused.refusal?.contains("--set-aside") == true && refused.plan.sweep.isEmpty)
        #expect(try steps(store) == [40, 30, 20])

        try store.quarantine(run, fileName: victim.text, when: "2026-01-01")
        let report = try store.prune(keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)
        #expect(report.refusal == nil && report.plan.sweep.count == 4)
        #expect(disk.bytes("/store/quarantine/2026-01-01/run1-" + victim.text) == [1])
    }

    @Test func `unreadable pins keep everything`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20, 30, 40])
        let store = try StoreFixture.open(disk)
        let record = try #require(try store.scan(run).records.first)
        try store.pin(run, record.name, at: 1)
        disk.overwrite("/store/runs/run1/PINS", [0x20])

        let report = try store.prune(keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)

        #expect(try steps(store).count == 4)
        #expect(report.runs.first?.refusal?.contains("PINS") == true)
    }

    @Test func `objects shared with another run stay`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20, 30, 40])
        let store = try StoreFixture.open(disk)
        var draft = try StoreFixture.draft(step: 10, tensors: try StoreFixture.save(store, step: 10))
        draft.run = "run2"
        _ = try store.publish(draft, at: 1)

        _ = try store.prune(keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)

        #expect(try store.recover("run2", at: 1)?.record.manifest.step == 10)
    }

    @Test func `what a foreign writer staged goes after the grace period`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        let store = try StoreFixture.open(disk)
        _ = try disk.makeFolder("/store/tmp/worker-7")
        disk.close(try disk.create("/store/tmp/worker-7/1", mode: 0o444))

        _ = try store.prune([], graceSeconds: 3_600, at: 2_000_000, dryRun: false)
        #expect(disk.allFiles.contains("/store/tmp/worker-7/1"))
        _ = try store.prune([], graceSeconds: 3_600, at: 9_000_000, dryRun: false)
        #expect(try disk.list("/store/tmp") == ["store"])
    }
}
