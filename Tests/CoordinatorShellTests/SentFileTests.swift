import Foundation
import Testing

@testable import CoordinatorShell

@Suite struct SentFileTests {
    @Test func `a file goes out where it lies; what is missing, empty, or no file is refused`() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("drover-sent-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("file").path

        #expect(SentFile(path) == nil)
        try Data().write(to: URL(fileURLWithPath: path))
        #expect(SentFile(path) == nil)
        #expect(SentFile(folder.path) == nil)
        #expect(mkfifo(path + ".pipe", 0o600) == 0)
        #expect(SentFile(path + ".pipe") == nil, "and nobody waits for a writer")

        try Data(repeating: 7, count: 100_000).write(to: URL(fileURLWithPath: path))
        let file = try #require(SentFile(path))
        try FileManager.default.removeItem(atPath: path)
        #expect(file.bytes.count == 100_000 && file.bytes.allSatisfy { $0 == 7 })
    }
}
