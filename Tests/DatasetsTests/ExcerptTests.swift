import Hashing
import Templates
import Terms
import Testing

@testable import Datasets

/// Builds that take only as much of the data as a job will see.
@Suite struct ExcerptTests {
    let folder = try! TemporaryFolder()
    let encoder = LetterEncoder()
    let key = Digest.sha256(of: "key")

    /// Rows of 1 to 60 letters that name their file and line.
    func file(_ name: String, rows: Int) throws -> String {
        let random = Philox(seed: 3, purpose: .probe)
        return try folder.file(
            "\(name).jsonl",
            (0..<rows).map { row in
                let filler = String(repeating: "w", count: Int(random.below(60, UInt64(row))))
                return "{\"text\": \"\(name)\(row) \(filler)\"}\n"
            }.joined())
    }

    func settings(
        _ extent: ExcerptSettings.Extent, isShuffled: Bool = true, least: Int = 0,
        _ change: (inout DatasetSettings) -> Void = { _ in }
    ) -> DatasetSettings {
        var settings = DatasetSettings(cutoffLength: 80)
        settings.excerpt = ExcerptSettings(extent, isShuffled: isShuffled)
        settings.excerpt?.chunkBytes = 512
        settings.excerpt?.leastBytes = least
        change(&settings)
        return settings
    }

    func builder(_ files: [DatasetFile], _ settings: DatasetSettings, threads: Int = 1) -> DatasetBuilder {
        let maker = SampleMaker(encoder: encoder, template: nil, stage: .pt, vocabularyCount: encoder.vocabularyCount)
        return DatasetBuilder(files: files, maker: maker, settings: settings, threads: threads)
    }

    func build(_ files: [DatasetFile], _ settings: DatasetSettings, threads: Int = 1) throws -> TokenCache {
        let path = "\(folder.path)/built.cache"
        try builder(files, settings, threads: threads).build(path: path, key: key)
        return try TokenCache(path: path, key: key)
    }

    func texts(_ set: SequenceSet) -> [String] {
        (0..<set.sequenceCount).map { encoder.text(of: set.sequence($0).tokens) }
    }

    @Test func `an excerpt is a small part of the data, of all places of it`() throws {
        let path = try file("a", rows: 5000)
        let wanted = settings(.sequences(200)) {
            $0.packing = false
            $0.excerpt?.chunkBytes = 64
        }
        let cache = try build([DatasetFile(path: path)], wanted)
        let excerpt = try #require(cache.counts.excerpt)

        #expect(cache.train.sequenceCount >= 256 && cache.counts.rows < 400)
        #expect(excerpt.ofBytes > 200_000 && excerpt.bytes <= 64 * excerpt.chunks)
        #expect(excerpt.ofChunks == (excerpt.ofBytes + 63) / 64 && excerpt.chunks * 10 < excerpt.ofChunks)
        let rows = texts(cache.train).compactMap { Int($0.dropFirst().prefix { $0.isNumber }) }
        #expect(Set(rows).count == cache.train.sequenceCount)
        // Each tenth of the file has its share, give or take.
        let tenths = rows.reduce(into: [Int](repeating: 0, count: 10)) { $0[$1 / 500] += 1 }
        #expect(tenths.allSatisfy { $0 > 0 && $0 < rows.count / 3 })
    }

    @Test func `in file order an excerpt is the front of the data`() throws {
        let files = try [DatasetFile(path: file("a", rows: 300)), DatasetFile(path: file("b", rows: 300))]
        let cache = try build(files, settings(.sequences(350), isShuffled: false) { $0.packing = false })
        let texts = texts(cache.train)

        #expect(texts.count >= 512 && texts.count < 600)
        #expect(texts[..<300].enumerated().allSatisfy { $1.hasPrefix("a\($0) ") })
        #expect(texts[300...].enumerated().allSatisfy { $1.hasPrefix("b\($0) ") })
    }

    @Test func `the excerpt is the same whatever the threads`() throws {
        let files = try [
            DatasetFile(path: file("a", rows: 2000)), DatasetFile(path: file("b", rows: 500), weight: 0.5),
        ]
        let wanted = settings(.sequences(100), least: 4000) { $0.validation = .fraction(0.1) }
        _ = try build(files, wanted)
        let bytes = try folder.bytes("built.cache")
        for threads in 2...4 {
            _ = try build(files, wanted, threads: threads)
            #expect(try folder.bytes("built.cache") == bytes)
        }
    }

    @Test func `an excerpt never holds less than the job will see`() throws {
        let files = try [DatasetFile(path: file("a", rows: 3000)), DatasetFile(path: file("b", rows: 1000))]
        for (number, weights) in [[1, 1], [0.3, 2.5], [3, 0.1]].enumerated() {
            for validation in [ValidationSize.none, .fraction(0.2), .count(150)] {
                for packing in [true, false] {
                    for extent in [ExcerptSettings.Extent.sequences(64), .tokens(4096)] {
                        var weighted = files
                        for file in files.indices { weighted[file].weight = weights[file] }
                        let wanted = settings(extent) {
                            ($0.validation, $0.packing, $0.seed) = (validation, packing, UInt64(number))
                        }
                        let cache = try build(weighted, wanted)
                        let train = cache.train
                        let tokens = (0..<train.sequenceCount).reduce(0) { $0 + train.tokens($1) }
                        let case_ = "\(weights) \(validation) \(packing) \(extent)"

                        #expect(train.sequenceCount >= 64 || extent == .tokens(4096), "\(case_)")
                        #expect(tokens >= 4096 || extent == .sequences(64), "\(case_)")
                        if validation == .count(150) { #expect(cache.validation.sequenceCount > 0, "\(case_)") }
                        let excerpt = try #require(cache.counts.excerpt)
                        #expect(excerpt.chunks < excerpt.ofChunks / 2, "\(case_)")
                    }
                }
            }
        }
    }

    @Test func `a job that sees more than there is gets all of it`() throws {
        let path = try file("a", rows: 200)
        for wanted in [settings(.sequences(100_000)), settings(.sequences(1), least: 1 << 30)] {
            let cache = try build([DatasetFile(path: path)], wanted)
            let excerpt = try #require(cache.counts.excerpt)

            #expect(cache.counts.rows == 200 && excerpt.chunks == excerpt.ofChunks && excerpt.bytes == excerpt.ofBytes)
        }
    }

    @Test func `an interrupted excerpt goes on to the same bytes`() throws {
        let files = try [DatasetFile(path: file("a", rows: 2000)), DatasetFile(path: file("b", rows: 500), weight: 2)]
        let wanted = settings(.sequences(150)) { $0.validation = .fraction(0.1) }
        let whole = try build(files, wanted)
        let bytes = try folder.bytes("built.cache")
        let chunks = try #require(whole.counts.excerpt).chunks
        for stop in [1, 2, chunks / 2, chunks - 1] {
            var first = builder(files, wanted)
            first.markBytes = 1
            var taken = 0
            first.isCancelled = {
                taken += 1
                return taken == stop
            }
            let path = "\(folder.path)/x.cache"
            #expect(throws: DatasetError.interrupted) { try first.build(path: path, key: key) }
            var second = builder(files, wanted, threads: 2)
            var rest = 0
            second.progress = {
                rest += 1
                #expect($0.bytesBefore > 0 && $0.bytesRead > $0.bytesBefore && $0.bytesTotal >= $0.bytesRead)
            }
            try second.build(path: path, key: key)

            #expect(rest == chunks - stop)
            #expect(try folder.bytes("x.cache") == bytes)
        }
    }

    @Test func `bad rows of the excerpt are told with file and line, and others don't matter`() throws {
        var lines = (0..<400).map { "{\"text\": \"row \($0) \(String(repeating: "w", count: 40))\"}" }
        for line in [0, 3, 399] { lines[line] = "not json" }
        lines[0] = "{\"text\": 5}"
        let path = try folder.file("a.jsonl", lines.joined(separator: "\n"))
        var file = DatasetFile(path: path, format: .text)
        // All of the file.
        var error = #expect(throws: DatasetError.self) { try build([file], settings(.sequences(100_000))) }
        guard case .badRows(let faults, total: 3) = error else {
            Issue.record("unexpected \(String(describing: error))")
            return
        }
        #expect(faults.map(\.line) == [1, 4, 400] && faults.allSatisfy { $0.file == path })
        // Its front, in which only the last row is sound enough.
        error = #expect(throws: DatasetError.self) {
            try build([file], settings(.sequences(8), isShuffled: false))
        }
        #expect(error?.description.contains("a.jsonl:400") == false)

        (lines[0], lines[3]) = ("{\"text\": \"a\"}", "{\"text\": \"b\"}")
        file.path = try folder.file("b.jsonl", lines.joined(separator: "\n"))
        let cache = try build([file], settings(.sequences(8), isShuffled: false))
        #expect(cache.counts.rows < 100)
    }

    @Test func `what can't be cut into chunks is refused`() throws {
        var chosen = DatasetFile(path: try file("a", rows: 9))
        chosen.sampleLimit = 3
        let refused = try [
            chosen, DatasetFile(path: folder.file("a.json", "[{\"text\": \"a\"}]")),
            DatasetFile(path: folder.file("a.csv", "text\na\n")), DatasetFile(path: folder.file("a.txt", "a\n\nb\n")),
        ]
        for file in refused {
            #expect(try ExcerptSettings.obstacle([file])?.contains(file.path) == true)
            #expect(throws: DatasetError.self) { try build([file], settings(.tokens(1))) }
        }
        #expect(try ExcerptSettings.obstacle([DatasetFile(path: file("b", rows: 3))]) == nil)
    }
}
