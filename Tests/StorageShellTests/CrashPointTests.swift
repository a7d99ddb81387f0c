import Checkpoints
import StorageShell
import Terms
import Testing

/// Stops, fails and fills the disk at every single call of a commit and of a pruning, and looks at what is left.
@Suite struct CrashPointTests {
    typealias Fault = FaultyFileSystem.Fault

    /// What a power cut may leave; the mixed ones are others at every call.
    private static func cuts(_ call: Int) -> [FaultyFileSystem.PowerCut] {
        [.lost, .kept, .torn, .mixed(UInt64(call))]
    }
    /// Before a call is after the one before it, so two moments are all.
    static let stops: [Fault] = [.stop(.amid), .stop(.after)]
    static let failures = FaultyFileSystem.FileFailure.allCases.map { Fault.fail($0) } + [.full]
    static let keepTwo = [(run: StoreFixture.run, policy: RetentionPolicy(last: 2))]

    /// Runs `act` on copies of `base`, with each fault at call 1, 2, 3 … until it comes too late to matter.
    ///
    /// Returns how many changing calls `act` makes.
    private func atEveryCall(
        of base: FaultyFileSystem, _ faults: [Fault], act: (CheckpointStore) throws -> Void,
        check: (FaultyFileSystem, _ succeeded: Bool, _ call: Int, _ place: String) throws -> Void
    ) throws -> Int {
        for call in 1... {
            var late = 0
            for fault in faults {
                let disk = base.copy()
                let store = try StoreFixture.open(disk)
                disk.plan(fault, at: call)
                let succeeded = (try? act(store)) != nil
                if disk.isFaultPending { late += 1 }
                try check(disk, succeeded, call, "call \(call), \(fault)")
            }
            if late == faults.count { return call - 1 }
        }
        return 0
    }

    private func commit20(_ store: CheckpointStore) throws {
        let parent = try #require(try store.scan(StoreFixture.run).records.first)
        try StoreFixture.commit(store, step: 20, parent: parent.digest)
    }

    private func step(_ store: CheckpointStore) throws -> Step? {
        try store.recover(StoreFixture.run, at: 3)?.record.manifest.step
    }

    private func expectSound(_ disk: FaultyFileSystem, _ place: String) throws {
        let report = try CheckpointStore.verify(StoreFixture.root, fileSystem: disk, threads: 1)
        #expect(report.isSound, "\(place): \(report.findings)")
    }

    @Test func `a power cut at any call of a commit leaves the old checkpoint or the new one, whole`() throws {
        let base = try StoreFixture.disk(steps: [10])

        let calls = try atEveryCall(of: base, Self.stops, act: commit20) { disk, succeeded, call, place in
            for cut in Self.cuts(call) {
                let left = disk.copy()
                left.cutPower(cut)
                let store = try StoreFixture.open(left)
                let found = try step(store)
                #expect(found == 20 || !succeeded && found == 10, "\(place), \(cut)")
                try expectSound(left, "\(place), \(cut)")
            }
        }

        #expect(calls > 25)
    }

    @Test func `what a restarted process has once found stays found after a power cut`() throws {
        let base = try StoreFixture.disk(steps: [10])

        _ = try atEveryCall(of: base, Self.stops, act: commit20) { disk, _, _, place in
            let left = disk.copy()
            let found = try step(try StoreFixture.open(left))
            left.cutPower(.lost)
            #expect(try step(try StoreFixture.open(left)) == found, "\(place)")
        }
    }

    @Test func `a commit that is tried again after a crash is durable, whatever the crash left behind`() throws {
        let base = try StoreFixture.disk(steps: [10])

        _ = try atEveryCall(of: base, Self.stops, act: commit20) { disk, _, _, place in
            let left = disk.copy()
            let store = try StoreFixture.open(left)
            let parent = try #require(try store.recover(StoreFixture.run, at: 3)).record.digest
            try StoreFixture.commit(store, step: 30, parent: parent)
            left.cutPower(.lost)
            #expect(try step(try StoreFixture.open(left)) == 30, "\(place)")
            try expectSound(left, place)
        }
    }

    @Test func `any failing call makes a commit fail whole or succeed whole, and the next attempt succeeds`() throws {
        let base = try StoreFixture.disk(steps: [10])

        _ = try atEveryCall(of: base, Self.failures, act: commit20) { disk, succeeded, _, place in
            let left = disk.copy()
            left.cutPower(.lost)
            #expect(try step(try StoreFixture.open(left)) == (succeeded ? 20 : 10), "\(place)")

            disk.clearFaults()
            disk.kill()
            let store = try StoreFixture.open(disk)
            let parent = try #require(try store.recover(StoreFixture.run, at: 3)).record
            if !succeeded { #expect(parent.manifest.step == 10, "\(place)") }
            try StoreFixture.commit(store, step: 20, parent: parent.digest)
            disk.cutPower(.lost)
            #expect(try step(try StoreFixture.open(disk)) == 20, "\(place)")
            try expectSound(disk, place)
        }
    }

    @Test func `a power cut at any call of a pruning loses no checkpoint that was to stay`() throws {
        let base = try StoreFixture.disk(steps: [10, 20, 30, 40])
        func prune(_ store: CheckpointStore) throws {
            _ = try store.prune(Self.keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)
        }

        let calls = try atEveryCall(of: base, Self.stops, act: prune) { disk, succeeded, call, place in
            for cut in Self.cuts(call) {
                let left = disk.copy()
                left.cutPower(cut)
                let store = try StoreFixture.open(left)
                #expect(try step(store) == 40, "\(place), \(cut)")
                let steps = try store.list(StoreFixture.run).map(\.record.manifest.step)
                #expect(steps.starts(with: [40, 30]), "\(place), \(cut)")
                if succeeded { #expect(steps == [40, 30], "\(place), \(cut)") }
                try expectSound(left, "\(place), \(cut)")
                try prune(store)
                #expect(try store.list(StoreFixture.run).map(\.record.manifest.step) == [40, 30], "\(place), \(cut)")
                try expectSound(left, "\(place), \(cut), pruned again")
            }
        }

        #expect(calls > 8)
    }

    @Test func `any failing call of a pruning loses no checkpoint that was to stay`() throws {
        let base = try StoreFixture.disk(steps: [10, 20, 30, 40])

        _ = try atEveryCall(of: base, Self.failures) { store in
            _ = try store.prune(Self.keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)
        } check: { disk, _, _, place in
            disk.clearFaults()
            disk.kill()
            disk.cutPower(.lost)
            let store = try StoreFixture.open(disk)
            #expect(try step(store) == 40, "\(place)")
            #expect(try store.list(StoreFixture.run).map(\.record.manifest.step).starts(with: [40, 30]), "\(place)")
            try expectSound(disk, place)
        }
    }

    @Test func `a power cut at any call of setting a damaged manifest aside loses no sound checkpoint`() throws {
        let base = try StoreFixture.disk(steps: [10, 20, 30])
        let victim = try #require(try StoreFixture.open(base).scan(StoreFixture.run).records.last).name
        base.overwrite(StoreFixture.root + "/" + RepositoryLayout.manifest(StoreFixture.run, victim), [1])

        let calls = try atEveryCall(of: base, Self.stops) { store in
            _ = try store.recover(StoreFixture.run, at: 2)
        } check: { disk, _, call, place in
            for cut in Self.cuts(call) {
                let left = disk.copy()
                left.cutPower(cut)
                let store = try StoreFixture.open(left)
                #expect(try step(store) == 30, "\(place), \(cut)")
                #expect(try store.list(StoreFixture.run).map(\.record.manifest.step) == [30, 20], "\(place), \(cut)")
                try expectSound(left, "\(place), \(cut)")
                let report = try store.prune(Self.keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)
                #expect(report.refusal == nil && report.plan.sweep.count == 2, "\(place), \(cut)")
            }
        }

        #expect(calls > 8)
    }

    @Test func `pruning works on a full disk`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20, 30, 40])
        let store = try StoreFixture.open(disk)
        disk.plan(.full, at: 1)

        let report = try store.prune(Self.keepTwo, graceSeconds: 0, at: 9_000_000, dryRun: false)

        #expect(report.plan.sweep.count > 0)
        #expect(try store.list(StoreFixture.run).map(\.record.manifest.step) == [40, 30])
    }

    @Test func `a power cut at any call of the first opening leaves a folder that opens`() throws {
        for call in 1... {
            var late = 0
            for fault in Self.stops {
                let disk = FaultyFileSystem()
                disk.plan(fault, at: call)
                _ = try? StoreFixture.open(disk)
                if disk.isFaultPending { late += 1 }
                for cut in Self.cuts(call) {
                    let left = disk.copy()
                    left.cutPower(cut)
                    let store = try StoreFixture.open(left)
                    try StoreFixture.commit(store, step: 1)
                    left.cutPower(.lost)
                    #expect(try step(try StoreFixture.open(left)) == 1, "call \(call), \(fault), \(cut)")
                }
            }
            if late == Self.stops.count { break }
        }
    }
}
