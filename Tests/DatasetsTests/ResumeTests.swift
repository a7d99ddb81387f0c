import Hashing
import Templates
import Terms
import Testing

@testable import Datasets

/// Builds that are interrupted and gone on with.
@Suite struct ResumeTests {
    let folder = try! TemporaryFolder()
    let encoder = LetterEncoder()
    let key = Digest.sha256(of: "key")

    func builder(_ files: [String], threads: Int = 1) -> DatasetBuilder {
        let maker = SampleMaker(encoder: encoder, template: nil, stage: .pt, vocabularyCount: encoder.vocabularyCount)
        var builder = DatasetBuilder(
            files: files.map { DatasetFile(path: $0) }, maker: maker,
            settings: DatasetSettings(cutoffLength: 64, validation: .count(7)), threads: threads)
        builder.markBytes = 1
        return builder
    }

    /// Two files of three batches each, of several layouts.
    func files() throws -> [String] {
        let lines = (0..<5000).map { "{\"text\": \"line \($0)\"}" }
        return [
            try folder.file("a.jsonl", lines.joined(separator: "\n")),
            try folder.file("b.json", "[\n" + lines.joined(separator: ",\n") + "\n]"),
            try folder.file("c.csv", "x,text\n" + (0..<5000).map { "\($0),\"row \($0)\"\n" }.joined()),
        ]
    }

    @Test func `a build interrupted after any batch goes on to the same bytes`() throws {
        let files = try files()
        try builder(files).build(path: "\(folder.path)/whole.cache", key: key)
        let whole = try folder.bytes("whole.cache")

        for stop in 1...8 {
            var first = builder(files)
            var batches = 0
            first.isCancelled = {
                batches += 1
                return batches == stop
            }
            #expect(throws: DatasetError.interrupted) { try first.build(path: "\(folder.path)/x.cache", key: key) }
            #expect(folder.names.contains("x.cache.partial"))
            var rest = 0
            var second = builder(files, threads: 2)
            second.progress = { _ in rest += 1 }
            try second.build(path: "\(folder.path)/x.cache", key: key)

            #expect(rest == 9 - stop)
            #expect(try folder.bytes("x.cache") == whole)
            #expect(folder.names.filter { $0.contains("partial") } == [])
        }
    }

    @Test func `what a crash tore is cut off and made anew`() throws {
        let files = try files()
        try builder(files).build(path: "\(folder.path)/whole.cache", key: key)
        let whole = try folder.bytes("whole.cache")
        var first = builder(files)
        var batches = 0
        first.isCancelled = {
            batches += 1
            return batches == 5
        }
        #expect(throws: DatasetError.interrupted) { try first.build(path: "\(folder.path)/x.cache", key: key) }
        let payload = try folder.bytes("x.cache.partial")
        let marks = try folder.bytes("x.cache.partial-marks")

        // Torn payloads, torn marks, bits flipped in either: never other bytes than those of a whole build.
        for damage in 0..<8 {
            var (torn, tornMarks) = (payload, marks)
            switch damage {
            case 0: torn.removeLast(torn.count / 3)
            case 1: torn += [1, 2, 3]
            case 2: tornMarks.removeLast(40)
            case 3: tornMarks += Array(repeating: 0, count: 60)
            case 4: torn[torn.count / 2] ^= 1
            case 5: tornMarks[tornMarks.count / 2] ^= 1
            case 6: tornMarks = []
            default: torn[20] ^= 1
            }
            _ = try folder.file("x.cache.partial", torn)
            _ = try folder.file("x.cache.partial-marks", tornMarks)
            try builder(files).build(path: "\(folder.path)/x.cache", key: key)
            #expect(try folder.bytes("x.cache") == whole, "damage \(damage)")
        }
    }

    @Test func `an unfinished build of another key is not gone on with`() throws {
        let files = try files()
        var first = builder(files)
        first.isCancelled = { true }
        let path = "\(folder.path)/x.cache"
        #expect(throws: DatasetError.interrupted) { try first.build(path: path, key: .sha256(of: "other")) }
        var batches = 0
        var second = builder(files)
        second.progress = { _ in batches += 1 }
        try second.build(path: path, key: key)

        #expect(batches == 9)
        #expect(try TokenCache(path: path, key: key).counts.rows == 15000)
    }
}
