import Foundation
import Testing

@testable import CoordinatorShell

@Suite struct SentFileTests {
    @Test func `a file that is shortened while it goes out ends no process`() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("drover-sent-\(UUID().uuidString)")
            .path
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(SentFile(path) == nil)
        try Data(repeating: 7, count: 100_000).write(to: URL(fileURLWithPath: path))
        let file = try #require(SentFile(path))
        let bytes = file.bytes
        #expect(bytes.count == 100_000 && bytes.allSatisfy { $0 == 7 })

        #expect(truncate(path, 10_000) == 0)

        #expect(bytes[0] == 7 && bytes[9999] == 7)
        #expect(bytes[50_000] == 0 && bytes[99_999] == 0)
    }
}
