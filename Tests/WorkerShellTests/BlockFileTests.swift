import Coordination
import Foundation
import Hashing
import Synchronization
import Terms
import Testing
import WorkerShell

/// A file of ten blocks, the last one short, and a place where it arrives.
final class ArrivingScene {
    let folder: URL
    let bytes: [UInt8]
    let data: JobFile
    let table: BlockTable

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("drover-blocks-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let random = Philox(seed: 3, purpose: .probe)
        var bytes = (0..<9 * BlockTable.blockBytes / 8 + 100).flatMap { word in
            withUnsafeBytes(of: random.below(.max, UInt64(word))) { Array($0) }
        }
        bytes += Array(repeating: 1, count: BlockTable.smallestFile)
        self.bytes = bytes
        let path = folder.appendingPathComponent("data").path
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        data = JobFile(kind: .data, name: "data", digest: Digest.sha256(of: bytes), size: bytes.count, path: path)
        let file = try #require(try BlockTable.file(of: data))
        let text = try #require(FileManager.default.contents(atPath: file.path))
        table = try #require(BlockTable([UInt8](text), digest: data.digest, size: data.size))
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    var path: String { folder.appendingPathComponent("arriving").path }

    func open() throws -> BlockFile { try BlockFile(data, table, path: path) {} }

    func store(_ block: Int, in file: BlockFile, changing: Bool = false) throws -> Bool {
        var part = Array(bytes[table.range(of: block)])
        if changing { part[part.count / 2] ^= 1 }
        return try part.withUnsafeBytes { try file.store(block, $0) }
    }
}

struct BlockFileTests {
    @Test func `a table knows its file, its blocks and what is in them`() throws {
        let scene = try ArrivingScene()
        let table = scene.table
        #expect((0..<table.count).reduce(0) { $0 + table.range(of: $1).count } == scene.bytes.count)
        #expect(BlockTable.blocks(holding: 0..<1) == 0..<1)
        #expect(BlockTable.blocks(holding: BlockTable.blockBytes - 1..<BlockTable.blockBytes + 1) == 0..<2)
        #expect(BlockTable.blocks(holding: 5..<5).isEmpty)
        #expect(BlockTable(table.encoded, digest: Digest.sha256(of: "other"), size: scene.bytes.count) == nil)
        #expect(BlockTable(table.encoded, digest: scene.data.digest, size: 5) == nil)
        var small = scene.data
        small.size = 100
        #expect(try BlockTable.file(of: small) == nil)
        // Kept beside the data, it is not of other data under the same name.
        try Data(scene.bytes.reversed()).write(to: URL(fileURLWithPath: scene.data.path))
        var other = scene.data
        other.digest = Digest.sha256(of: scene.bytes.reversed())
        let file = try #require(try BlockTable.file(of: other))
        let text = try #require(FileManager.default.contents(atPath: file.path))
        #expect(BlockTable([UInt8](text), digest: other.digest, size: other.size) != nil)
    }

    @Test func `a block with other bytes is refused and nothing of it is stored`() throws {
        let scene = try ArrivingScene()
        let file = try scene.open()
        #expect(try !scene.store(3, in: file, changing: true))
        #expect(!file.has(3) && file.read(3) == nil)
        #expect(try !scene.bytes[scene.table.range(of: 4)].withUnsafeBytes { try file.store(3, $0) })
        #expect(try scene.store(3, in: file))
        #expect(file.has(3) && file.read(3) == Array(scene.bytes[scene.table.range(of: 3)]) && !file.has(4))
    }

    @Test func `what was stored before a restart is believed after another look, and nothing else`() throws {
        let scene = try ArrivingScene()
        do {
            let file = try scene.open()
            for block in [0, 2, scene.table.count - 1] { #expect(try scene.store(block, in: file)) }
        }
        // One of the three is damaged meanwhile.
        let disk = try FileHandle(forUpdating: URL(fileURLWithPath: scene.path))
        try disk.seek(toOffset: UInt64(2 * BlockTable.blockBytes + 7))
        try disk.write(contentsOf: [scene.bytes[2 * BlockTable.blockBytes + 7] ^ 4])
        try disk.close()

        let file = try scene.open()
        #expect(file.storedCount == 0 && file.claims(0) && file.claims(2) && !file.claims(1))
        #expect(file.confirm(0) && !file.confirm(2) && file.confirm(scene.table.count - 1))
        #expect(file.has(0) && !file.has(2) && !file.claims(2) && file.storedCount == 2)
        for block in 0..<scene.table.count where !file.has(block) { #expect(try scene.store(block, in: file)) }
        #expect(file.isWhole && FileManager.default.contents(atPath: scene.path) == Data(scene.bytes))
    }

    @Test func `whoever waits for blocks is let on when they are here, or when it is over`() throws {
        let scene = try ArrivingScene()
        let file = try scene.open()
        let outcomes = Mutex<[Bool]>([])
        let hasEnded = DispatchSemaphore(value: 0)
        Thread {
            for (blocks, goesOn) in [([1, 4], true), ([4, 5], false), ([5], true)] {
                let isHere = file.wait(for: blocks) { goesOn }
                outcomes.withLock { $0.append(isHere) }
            }
            hasEnded.signal()
        }.start()
        var wanted: [Int] = []
        while wanted.isEmpty { wanted = file.takeWanted() }
        #expect(wanted == [1, 4])
        for block in wanted { #expect(try scene.store(block, in: file)) }
        while outcomes.withLock({ $0.count }) < 2 { usleep(1000) }
        file.giveUp()
        hasEnded.wait()
        #expect(outcomes.withLock { $0 } == [true, false, false])
    }
}
