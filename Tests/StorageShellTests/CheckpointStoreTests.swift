import Checkpoints
import Hashing
import StorageShell
import Terms
import Testing

@Suite struct CheckpointStoreTests {
    private let root = StoreFixture.root
    private let run = StoreFixture.run

    private func verify(_ disk: FaultyFileSystem) throws -> VerifyReport {
        try CheckpointStore.verify(root, fileSystem: disk, threads: 1)
    }

    @Test func `what was saved comes back bit for bit`() throws {
        let store = try StoreFixture.open(try StoreFixture.disk(steps: [10, 20]))

        let record = try #require(try store.recover(run, at: 1)).record
        let plan = try RestorePlan(manifest: record.manifest, layout: StoreFixture.layout)
        try StoreFixture.withState(step: 0) { state throws(StorageError) in
            try store.restore(plan, into: state)
            try StoreFixture.withState(step: 20) { expected throws(StorageError) in
                for role in TensorRole.allCases {
                    let count = StoreFixture.layout.elements
                    #expect(
                        state.bytes(role, offset: 0, elements: count)
                            .elementsEqual(expected.bytes(role, offset: 0, elements: count)))
                }
            }
        }
    }

    @Test func `streaming hands over each piece once and stops when told`() throws {
        let store = try StoreFixture.open(try StoreFixture.disk(steps: [10]))
        let record = try #require(try store.recover(run, at: 1)).record
        let plan = try RestorePlan(manifest: record.manifest, layout: StoreFixture.layout)
        var seen: [TensorRole] = []

        try store.stream(plan) { piece, bytes in
            seen.append(piece.role)
            return bytes.count == piece.bytes
        }
        #expect(seen == TensorRole.allCases)

        seen = []
        try store.stream(plan) { piece, _ in
            seen.append(piece.role)
            return false
        }
        #expect(seen == [.parameter])
    }

    @Test func `every single-byte change in any file is found, and the file is named`() throws {
        let disk = FaultyFileSystem()
        let store = try StoreFixture.open(disk)
        let record = try StoreFixture.commit(store, step: 10)
        try store.pin(run, record.name, at: 5)
        let files = disk.allFiles
        #expect(files.count == 8)
        #expect(try verify(disk).isSound)

        for path in files {
            let original = disk.bytes(path)
            // Text that is compared in every bit; what is hashed in one bit a byte, for a hash knows no difference.
            let isText = original.count <= 100 && !path.contains("/objects/")
            for index in original.indices {
                for bit in isText ? 0..<8 : index % 8..<index % 8 + 1 {
                    let mask: UInt8 = 1 << bit
                    var bytes = original
                    bytes[index] ^= mask
                    disk.overwrite(path, bytes)
                    let report = try verify(disk)
                    #expect(report.findings.contains { root + "/" + $0.path == path }, "\(path), byte \(index)")
                }
            }
            disk.overwrite(path, original)
        }
        #expect(try verify(disk).isSound)
    }

    @Test func `a cut file, a longer file and a missing object are found`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        for path in disk.allFiles {
            let original = disk.bytes(path)
            disk.overwrite(path, original.dropLast())
            #expect(try !verify(disk).isSound, "cut \(path)")
            disk.overwrite(path, original + [0x0A])
            #expect(try !verify(disk).isSound, "longer \(path)")
            disk.overwrite(path, original)
        }
        let object = try #require(disk.allFiles.first { $0.contains("/objects/") })
        try disk.remove(object)

        let report = try verify(disk)

        #expect(report.findings.count == 1)
        #expect(report.findings.first?.problem.contains("missing") == true)
        #expect(report.unusable.count == 1)
    }

    @Test func `a FORMAT file that is missing or empty is a finding; a folder without anything is no store`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        let format = root + "/" + RepositoryLayout.format
        disk.overwrite(format, [])
        #expect(try verify(disk).findings.map(\.path) == [RepositoryLayout.format])
        try disk.remove(format)
        let finding = try verify(disk).findings.first
        #expect(finding?.path == RepositoryLayout.format && finding?.problem == "is missing")
        let empty = FaultyFileSystem()
        try empty.makeFolders(root)
        #expect(throws: StorageError.unknownFormat(path: root, found: "")) { try verify(empty) }
    }

    @Test func `of a subset only so many objects are read, of the others presence and length`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20, 30])
        let objects = disk.allFiles.filter { $0.contains("/objects/") }
        for path in objects { disk.overwrite(path, disk.bytes(path).map { $0 ^ 1 }) }
        func check(_ share: Double) throws -> VerifyReport {
            try CheckpointStore.verify(root, share: share, fileSystem: disk, threads: 1)
        }

        let part = try check(0.4)
        #expect(part.objects == 7 && part.hashed == 3 && part.findings.count == 3)
        let all = try check(1)
        #expect(all.hashed == 7 && all.findings.count == 7 && all.unusable.count == 3)
        disk.overwrite(objects[0], disk.bytes(objects[0]) + [0])
        #expect(try check(0.0001).unusable.count >= 1)
    }

    @Test func `an unreferenced object is hashed too`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        let store = try StoreFixture.open(disk)
        _ = try StoreFixture.save(store, step: 77)
        let before = try verify(disk)
        let named = try #require(try store.scan(run).records.first).manifest.objects.map(\.digest)
        let digest = try #require(store.objects.pendingObjects.subtracting(named).sorted().first)
        disk.overwrite(store.objects.path(digest), [1, 2, 3, 4])

        let report = try verify(disk)

        #expect(before.isSound && report.objects == before.objects)
        #expect(report.findings.map { root + "/" + $0.path } == [store.objects.path(digest)])
        #expect(report.unusable.isEmpty)
    }

    @Test func `a wrong file name among objects or manifests is named`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        for path in ["/store/objects/zz", "/store/runs/run1/manifests/HEAD.json", "/store/objects/stray"] {
            _ = try disk.create(path, mode: 0)
        }
        #expect(
            try verify(disk).findings.map(\.path) == ["objects/stray", "objects/zz", "runs/run1/manifests/HEAD.json"])
    }

    @Test func `resume passes over damaged checkpoints and says why`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20, 30])
        var store: CheckpointStore? = try StoreFixture.open(disk)
        let records = try #require(try store?.scan(run).records)
        let objects = try #require(store?.objects)
        let only30 = Set(records[0].manifest.objects).subtracting(records[1].manifest.objects).map(\.digest).sorted()
        disk.overwrite(objects.path(only30[0]), [9])
        disk.overwrite(root + "/" + RepositoryLayout.manifest(run, records[1].name), Array("{}".utf8))
        store = nil
        let reader = try CheckpointStore.openReading(root, fileSystem: disk, threads: 1)

        let recovery = try #require(try reader.recover(run, at: 1))

        #expect(recovery.record.manifest.step == 10)
        #expect(recovery.rejected.map(\.name) == [records[1].name.text, records[0].name.text])
        #expect(recovery.rejected.allSatisfy { !$0.reason.isEmpty })
        #expect(recovery.lostStep == 30)
        #expect(try verify(disk).unusable.count == 2)
    }

    @Test func `a fallback leaves a line in the history and HEAD names what is used`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20])
        let store = try StoreFixture.open(disk)
        let records = try store.scan(run).records
        #expect(store.head(run) == records[0].name)
        let only20 = Set(records[0].manifest.objects).subtracting(records[1].manifest.objects).map(\.digest).sorted()
        disk.overwrite(store.objects.path(only20[0]), [])

        _ = try store.recover(run, at: 7)

        #expect(store.head(run) == records[1].name)
        let kinds = try store.events(run).events.map(\.kind)
        #expect(kinds == [.published, .published, .rejected, .fallback, .lostWork])
    }

    @Test func `with nothing usable left resume refuses instead of starting over`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        let store = try StoreFixture.open(disk)
        #expect(try store.recover("run2", at: 1) == nil)
        let record = try #require(try store.scan(run).records.first)
        disk.overwrite(root + "/" + RepositoryLayout.manifest(run, record.name), [0x7B])

        #expect { try store.recover(run, at: 1) } throws: { error in
            guard case StorageError.noUsableCheckpoint(run, let rejected) = error else { return false }
            return rejected.map(\.name) == [record.name.text]
        }
    }

    @Test func `saving the same values again mends a damaged object`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        let store = try StoreFixture.open(disk)
        let victim = try #require(try store.scan(run).records.first?.manifest.objects.first?.digest)
        disk.overwrite(store.objects.path(victim), [0, 0, 0, 0])
        #expect(try !verify(disk).isSound)

        _ = try StoreFixture.save(store, step: 10)

        #expect(try verify(disk).isSound)
    }

    @Test func `publishing refuses what is not whole`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        let store = try StoreFixture.open(disk)
        var tensors = try StoreFixture.save(store, step: 20)
        let absent = Digest.sha256(of: "absent")
        tensors[0].chunks[0].digest = absent

        #expect(throws: StorageError.missingObjects(count: 1, first: absent)) {
            try store.publish(try StoreFixture.draft(step: 20, tensors: tensors), at: 1)
        }
        #expect(throws: StorageError.self) {
            var draft = try StoreFixture.draft(step: 20, tensors: tensors)
            draft.numerics = .members(["rate": .double(0.5)])
            _ = try store.publish(draft, at: 1)
        }
        #expect(try store.scan(run).records.count == 1)
    }

    @Test func `a wrong model_sha256 is found although every object is right`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        let store = try StoreFixture.open(disk)
        var draft = try StoreFixture.draft(step: 20, tensors: try StoreFixture.save(store, step: 20))
        draft.modelDigest = Digest.sha256(of: "other")
        _ = try store.publish(draft, at: 1)

        #expect(try store.recover(run, at: 1)?.record.manifest.step == 10)
        #expect(try verify(disk).findings.count == 1)
    }

    @Test func `a checkpoint that states no model_sha256 is sound, and has the one that its objects give`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        let store = try StoreFixture.open(disk)
        var draft = try StoreFixture.draft(step: 20, tensors: try StoreFixture.save(store, step: 20))
        let expected = draft.modelDigest
        draft.modelDigest = nil
        let record = try store.publish(draft, at: 1).record

        #expect(record.manifest.modelDigest == nil)
        #expect(try store.modelDigest(of: record) == expected)
        #expect(try store.recover(run, at: 1)?.record.manifest.step == 20)
        #expect(try verify(disk).findings.isEmpty)
    }

    @Test func `one process writes, others read`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        let writer = try StoreFixture.open(disk)

        #expect(throws: StorageError.file(.locked(path: root, holder: 1))) { try StoreFixture.open(disk) }
        let reader = try CheckpointStore.openReading(root, fileSystem: disk, threads: 1)
        #expect(try reader.list(run).count == 1)
        #expect(throws: StorageError.readOnly(path: root)) { try StoreFixture.commit(reader, step: 20) }
        #expect(writer.isWritable && !reader.isWritable)
    }

    @Test func `a folder that is no store of this version is refused`() throws {
        let disk = try StoreFixture.disk(steps: [10])
        disk.overwrite(root + "/FORMAT", Array("drover-ckpt 2\n".utf8))
        #expect(throws: StorageError.unknownFormat(path: root, found: "drover-ckpt 2\n")) {
            try StoreFixture.open(disk)
        }
        #expect(throws: StorageError.unknownFormat(path: "/nowhere", found: "")) {
            try CheckpointStore.openReading("/nowhere", fileSystem: disk)
        }
    }

    @Test func `order of publication, not the step, says what is newest`() throws {
        let disk = try StoreFixture.disk(steps: [10, 20, 30])
        let store = try StoreFixture.open(disk)
        let ten = try #require(try store.scan(run).records.last)

        // Training goes back to 10 and publishes 20 again, in the same epoch.
        let again = try StoreFixture.commit(store, step: 15, parent: ten.digest)

        #expect(try store.recover(run, at: 1)?.record == again)
        #expect(again.manifest.sequence == 3)
        #expect(again.manifest.lineage.restores == [.init(sequence: 2, step: 10)])
        let child = try StoreFixture.commit(store, step: 40, parent: again.digest)
        #expect(child.manifest.lineage.restores == [.init(sequence: 2, step: 10)])
        #expect(try store.recover(run, step: 30, at: 1)?.record.manifest.step == 30)
        #expect(throws: StorageError.noSuchCheckpoint(run: run, wanted: "at step 11")) {
            try store.recover(run, step: 11, at: 1)
        }
    }
}
