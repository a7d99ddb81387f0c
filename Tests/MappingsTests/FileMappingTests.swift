import Foundation
import Mappings
import Testing

@Suite struct FileMappingTests {
    private static let count = 100_000

    /// A file of `count` sevens, open for reading and writing, without a name.
    private func file() throws -> FileHandle {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("drover-map-\(UUID().uuidString)")
        try Data(repeating: 7, count: Self.count).write(to: path)
        defer { try? FileManager.default.removeItem(at: path) }
        return try FileHandle(forUpdating: path)
    }

    @Test func `a file is read where it lies, and again after its pages were given back`() throws {
        let file = try file()
        let mapping = try #require(FileMapping(descriptor: file.fileDescriptor, count: Self.count))
        #expect(mapping.bytes.count == Self.count && mapping.bytes.allSatisfy { $0 == 7 })
        for range in [0..<Self.count, 5000..<50_000, 99_000..<Self.count, 10..<20, 0..<0] {
            mapping.giveBack(range)
            #expect(mapping.bytes.allSatisfy { $0 == 7 })
        }
        #expect(mapping.losses == 0)
    }

    @Test func `an empty file has no bytes`() throws {
        let file = try file()
        let mapping = try #require(FileMapping(descriptor: file.fileDescriptor, count: 0))
        mapping.giveBack(0..<0)
        mapping.restore(file.fileDescriptor)
        #expect(mapping.bytes.isEmpty && mapping.losses == 0)
    }

    @Test func `what is no file can't be mapped`() {
        #expect(FileMapping(descriptor: -1, count: 10) == nil)
    }

    @Test func `a shortened file reads as zeros where bytes are missing, says so, and can be restored`() throws {
        let file = try file()
        let mapping = try #require(FileMapping(descriptor: file.fileDescriptor, count: Self.count))
        let other = try #require(FileMapping(descriptor: file.fileDescriptor, count: Self.count))

        try file.truncate(atOffset: 10_000)
        #expect(mapping.bytes[0] == 7 && mapping.bytes[9_999] == 7 && mapping.losses == 0)
        #expect(mapping.bytes[50_000] == 0 && mapping.bytes[Self.count - 1] == 0)
        #expect(mapping.losses > 0 && other.losses == 0, "only where it was read")

        try file.truncate(atOffset: 0)
        try file.write(contentsOf: Data(repeating: 7, count: Self.count))
        mapping.restore(file.fileDescriptor)
        #expect(mapping.bytes.allSatisfy { $0 == 7 } && other.bytes.allSatisfy { $0 == 7 })
        #expect(mapping.losses > 0, "it was read otherwise meanwhile")
    }
}
