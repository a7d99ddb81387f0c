import Hashing
import StorageShell
import Synchronization
import Terms
import Testing

/// What is read from the disk again after it was written.
@Suite struct ReadingBackTests {
    private func store(rots: Bool = false) throws -> (objects: ObjectStore, disk: FaultyFileSystem) {
        let disk = FaultyFileSystem()
        _ = try StoreFixture.open(disk)
        disk.state.withLock { $0.rots = rots }
        return (try ObjectStore.beside(StoreFixture.root, staging: "w", fileSystem: disk), disk)
    }

    private func put(_ number: Int, _ objects: ObjectStore, _ reading: ObjectStore.ReadingBack) throws {
        try withUnsafeBytes(of: UInt64(number)) { _ = try objects.put($0, readingBack: reading) }
    }

    @Test func `a sample is about one object in twenty, and no object or every one where that is asked for`() throws {
        for (reading, expected) in [
            (ObjectStore.ReadingBack.none, 0...0), (.sample, 70...130), (.all, 2_000...2_000),
        ] {
            let (objects, disk) = try store()
            for number in 0..<2_000 { try put(number, objects, reading) }
            #expect(expected.contains(disk.state.withLock { $0.diskReads }), "\(reading)")
        }
    }

    @Test func `what a disk holds otherwise than it was written is found in what is read back`() throws {
        let (objects, _) = try store(rots: true)
        #expect(throws: StorageError.self) { try put(1, objects, .all) }
        #expect(throws: StorageError.self) { for number in 0..<200 { try put(number, objects, .sample) } }
        try put(2, objects, .none)
    }
}
