import Foundation
import Terms
import Testing

@testable import drover

@Suite struct DataDigestsTests {
    @Test func `whoever waits for large files to be read is told how far that is`() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "drover-digests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Holes: they take no room, but as long to read as anything in the system's cache.
        let large = folder.appendingPathComponent("large").path
        let small = folder.appendingPathComponent("small").path
        try Data().write(to: URL(fileURLWithPath: large))
        try #require(truncate(large, 1 << 30) == 0)
        try Data("small".utf8).write(to: URL(fileURLWithPath: small))

        var told: [DataDigests.Progress] = []
        let found = try DataDigests.digests(of: [large, small], dropsBehind: true, quiet: 0) { told.append($0) }
        let quick = try DataDigests.digests(of: [small], dropsBehind: false) { _ in Issue.record("not worth a word") }

        #expect(found.count == 2 && found[1] == quick[0])
        let last = try #require(told.last)
        #expect(last.total == 1 << 30 + 5 && last.done > 0 && last.done <= last.total && last.seconds > 0)
        #expect(zip(told, told.dropFirst()).allSatisfy { $0.done <= $1.done && $0.seconds < $1.seconds })
    }

    @Test func `the line tells what is read of how much, how fast, and for how long`() {
        let progress = DataDigests.Progress(done: 512 << 20, total: 4 << 30, seconds: 2)

        #expect(LiveView.text(.reading(progress)) == "reading the data 512.0 MiB of 4.0 GiB  256.0 MiB/s  ETA 14s")
        #expect(LiveView.text(.reading(.init(done: 0, total: 1, seconds: 0))).contains("0 B of 1 B"))
    }
}
