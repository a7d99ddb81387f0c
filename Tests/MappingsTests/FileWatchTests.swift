import Foundation
import Mappings
import Testing

@Suite struct FileWatchTests {
    private static let count = 100_000

    /// A file of `count` sevens without a name, a watch over it, and whether it was read whole.
    private final class Scene {
        let file: FileHandle
        let watch: FileWatch<Int>
        let mapping: FileMapping
        /// What the system says of the file.
        var state: Int? = 1
        var looks = 0

        init() throws {
            let path = FileManager.default.temporaryDirectory.appendingPathComponent(
                "drover-watch-\(UUID().uuidString)")
            try Data(repeating: 7, count: count).write(to: path)
            defer { try? FileManager.default.removeItem(at: path) }
            file = try FileHandle(forUpdating: path)
            mapping = try #require(FileMapping(descriptor: file.fileDescriptor, count: count))
            watch = FileWatch(mapping, from: 1)
        }

        func isIntact(mayChange: Bool = false) -> Bool {
            watch.isIntact(file.fileDescriptor, mayChange: mayChange, state: { state }) {
                looks += 1
                return mapping.bytes.allSatisfy { $0 == 7 }
            }
        }

        func write(_ byte: UInt8, count: Int) throws {
            try file.truncate(atOffset: 0)
            try file.write(contentsOf: Data(repeating: byte, count: count))
        }
    }

    @Test func `a file that nobody touches is not read again`() throws {
        let scene = try Scene()
        #expect(scene.isIntact() && scene.isIntact() && scene.looks == 0)
    }

    @Test func `a change is told once where the bytes are the same, and until they are the same again`() throws {
        let scene = try Scene()
        scene.state = 2
        #expect(!scene.isIntact() && scene.isIntact() && scene.looks == 1)

        try scene.write(8, count: FileWatchTests.count)
        scene.state = 3
        #expect(!scene.isIntact() && !scene.isIntact() && scene.looks == 3)
        try scene.write(7, count: FileWatchTests.count)
        scene.state = 4
        #expect(!scene.isIntact() && scene.isIntact())
    }

    @Test func `a file of which the system says nothing is not intact, and is not read`() throws {
        let scene = try Scene()
        scene.state = nil
        #expect(!scene.isIntact() && scene.looks == 0)
        scene.state = 1
        #expect(scene.isIntact())
    }

    @Test func `a file that its owner writes is told only where bytes went missing under a reader`() throws {
        let scene = try Scene()
        scene.state = 2
        #expect(scene.isIntact(mayChange: true) && scene.looks == 0)

        try scene.write(7, count: 10_000)
        #expect(scene.mapping.bytes[50_000] == 0)
        #expect(!scene.isIntact(mayChange: true))
        try scene.write(7, count: FileWatchTests.count)
        #expect(!scene.isIntact(mayChange: true) && scene.isIntact(mayChange: true))
    }

    @Test func `a change while the bytes are read is seen by the next look`() throws {
        let scene = try Scene()
        scene.state = 2
        let first = scene.watch.isIntact(scene.file.fileDescriptor, state: { scene.state }) {
            scene.state = 3
            return true
        }
        #expect(!first && !scene.isIntact() && scene.isIntact())
    }
}
