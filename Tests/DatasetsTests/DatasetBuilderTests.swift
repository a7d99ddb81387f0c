import Hashing
import Templates
import Terms
import Testing

@testable import Datasets

@Suite struct DatasetBuilderTests {
    let folder = try! TemporaryFolder()
    let encoder = LetterEncoder()
    let key = Digest.sha256(of: "key")

    func build(
        _ files: [DatasetFile], _ settings: DatasetSettings = DatasetSettings(), threads: Int = 1, name: String = "x"
    ) throws -> TokenCache {
        let maker = SampleMaker(
            encoder: encoder, template: try ChatTemplate(builtIn: "chatml"), stage: .sft,
            vocabularyCount: encoder.vocabularyCount)
        let path = "\(folder.path)/\(name).cache"
        try DatasetBuilder(files: files, maker: maker, settings: settings, threads: threads).build(path: path, key: key)
        return try TokenCache(path: path, key: key)
    }

    func texts(_ set: SequenceSet) -> [String] {
        (0..<set.sequenceCount).map { encoder.text(of: set.sequence($0).tokens) }
    }

    @Test func `rows become sequences in file order`() throws {
        let path = try folder.file(
            "a.jsonl",
            """
            {"text": "one"}

            {"text": "two"}
            """)
        let cache = try build([DatasetFile(path: path)], DatasetSettings(packing: false))

        #expect(texts(cache.train) == ["one<|eos|>", "two<|eos|>"])
        #expect(cache.counts.rows == 2)
    }

    @Test func `packing fills rows and keeps documents apart`() throws {
        let path = try folder.file("a.jsonl", (0..<6).map { "{\"text\": \"abc\($0)\"}" }.joined(separator: "\n"))
        let cache = try build([DatasetFile(path: path)], DatasetSettings(cutoffLength: 10))

        #expect(cache.train.sequenceCount == 3)
        let first = cache.train.sequence(0)
        #expect(first.documentStarts == [0, 5])
        #expect(first.targets[4] == -1)
        #expect(cache.train.trainedTokens(0) == 8)
    }

    @Test func `every bad line is told with its file, number and reason`() throws {
        let path = try folder.file(
            "a.jsonl",
            """
            {"text": "fine"}
            {"text": 3}
            {"text": "fine"}
            not json
            {"other": 1}
            """)
        let error = #expect(throws: DatasetError.self) { try build([DatasetFile(path: path)]) }
        guard case .badRows(let faults, total: 3) = error else {
            Issue.record("unexpected \(String(describing: error))")
            return
        }
        #expect(faults.map(\.line) == [2, 4, 5])
        #expect(faults[0].description == "\(path):2: `text` must be a string")
        #expect(faults[1].reason.contains("not valid JSON"))
        #expect(faults[2].reason == "`text` is missing")
        #expect(folder.names == ["a.jsonl"])
    }

    @Test func `long rows are dropped, cut or refused, and counted`() throws {
        let path = try folder.file(
            "a.jsonl",
            """
            {"text": "abcdefgh"}
            {"text": "ab"}
            """)
        let file = [DatasetFile(path: path)]

        let dropped = try build(file, DatasetSettings(cutoffLength: 5, excess: .drop))
        #expect(texts(dropped.train) == ["ab<|eos|>"])
        #expect(dropped.counts.dropped == 1)
        #expect(dropped.counts.droppedTrainedTokens == 8)

        let cut = try build(file, DatasetSettings(cutoffLength: 5, excess: .truncate, packing: false))
        #expect(texts(cut.train) == ["abcde", "ab<|eos|>"])
        #expect(cut.counts.truncated == 1)
        #expect(cut.counts.truncatedTrainedTokens == 4)

        let error = #expect(throws: DatasetError.self) {
            try build(file, DatasetSettings(cutoffLength: 5, excess: .error))
        }
        #expect(error?.description.contains("a.jsonl:1: the row has 9 tokens, cutoff_len is 5") == true)
    }

    @Test func `dropping everything is an error that says so`() throws {
        let path = try folder.file("a.jsonl", "{\"text\": \"abcdefgh\"}")
        let error = #expect(throws: DatasetError.self) {
            try build([DatasetFile(path: path)], DatasetSettings(cutoffLength: 3))
        }
        #expect(error?.description.contains("longer than cutoff_len 3") == true)
    }

    @Test func `validation takes exactly its share and the rest trains`() throws {
        let path = try folder.file("a.jsonl", (10..<60).map { "{\"text\": \"t\($0)\"}" }.joined(separator: "\n"))
        for size in [ValidationSize.fraction(0.1), .count(5)] {
            let cache = try build([DatasetFile(path: path)], DatasetSettings(packing: false, validation: size))
            #expect(cache.validation.sequenceCount == 5)
            #expect(cache.train.sequenceCount == 45)
            #expect(Set(texts(cache.validation)).union(texts(cache.train)).count == 50)
        }
        let held = try [UInt64(42), 43].map { seed in
            let settings = DatasetSettings(packing: false, validation: .count(5), seed: seed)
            return texts(try build([DatasetFile(path: path)], settings).validation)
        }
        #expect(held[0] != held[1])
    }

    @Test func `weights repeat samples of training and never of validation`() throws {
        let a = try folder.file("a.jsonl", (10..<30).map { "{\"text\": \"a\($0)\"}" }.joined(separator: "\n"))
        let b = try folder.file("b.jsonl", (10..<30).map { "{\"text\": \"b\($0)\"}" }.joined(separator: "\n"))
        let files = [DatasetFile(path: a, weight: 2.5), DatasetFile(path: b, weight: 0.5)]
        let cache = try build(files, DatasetSettings(packing: false, validation: .count(4)))

        let all = texts(cache.train)
        let kept = (a: Set(all.filter { $0.hasPrefix("a") }).count, held: Set(texts(cache.validation)))
        #expect(cache.validation.sequenceCount == 4)
        #expect(all.filter { $0.hasPrefix("a") }.count == Int((2.5 * Double(kept.a)).rounded()))
        #expect(kept.held.isDisjoint(with: all))
        let heldOfB = kept.held.filter { $0.hasPrefix("b") }.count
        #expect(all.filter { $0.hasPrefix("b") }.count == Int((0.5 * Double(20 - heldOfB)).rounded()))
    }

    @Test func `threads don't change a byte`() throws {
        let path = try folder.file(
            "a.jsonl",
            (0..<200).map {
                """
                {"messages": [{"role": "user", "content": "q\($0)"}, {"role": "assistant", "content": "a\($0 * 7)"}]}
                """
            }.joined(separator: "\n"))
        _ = try build([DatasetFile(path: path)], threads: 1, name: "one")
        _ = try build([DatasetFile(path: path)], threads: 3, name: "three")

        #expect(try folder.bytes("one.cache") == folder.bytes("three.cache"))
    }

    @Test func `progress tells rows, tokens and rate`() throws {
        let path = try folder.file("a.jsonl", "{\"text\": \"ab\"}\n{\"text\": \"ab\"}")
        let maker = SampleMaker(encoder: encoder, template: nil, stage: .pt, vocabularyCount: encoder.vocabularyCount)
        var seen: [BuildProgress] = []
        var clock: Int64 = 0
        let builder = DatasetBuilder(
            files: [DatasetFile(path: path)], maker: maker, settings: DatasetSettings(),
            now: {
                clock += 1_000_000_000
                return Instant(nanoseconds: clock)
            }, progress: { seen.append($0) })
        try builder.build(path: "\(folder.path)/p.cache", key: key)

        #expect(seen.count == 1)
        #expect(seen[0].rows == 2)
        #expect(seen[0].tokens == 6)
        #expect(seen[0].rate == 6)
        #expect(seen[0].bytesRead == 29)
        #expect(seen[0].bytesTotal == 29)
    }
}
