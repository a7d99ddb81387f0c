import Hashing
import Templates
import Terms
import Testing

@testable import Datasets

/// The bytes of a cache are those of its samples made one by one, whatever makes them faster.
@Suite struct CacheBytesTests {
    let folder = try! TemporaryFolder()
    let encoder = LetterEncoder()
    let key = Digest.sha256(of: "key")

    static func row(_ format: RowFormat, _ number: Int) -> String {
        let text = String(repeating: "w\(number) é\\n", count: 1 + number % 7)
        switch format {
        case .messages:
            let turn = #"{"role":"user","content":"\#(text)"},{"role":"assistant","content":"\#(text)!"}"#
            return #"{"messages":[\#(Array(repeating: turn, count: 1 + number % 3).joined(separator: ","))]}"#
        case .sharegpt:
            return #"{"conversations":[{"from":"human","value":"\#(text)"},{"from":"gpt","value":"\#(number)"}]}"#
        case .alpaca: return #"{"instruction":"\#(text)","input":"\#(number % 2 == 0 ? "" : "i")","output":"o"}"#
        case .text: return #"{"text":"\#(text)"}"#
        case .completion: return #"{"prompt":"\#(number)","completion":"\#(text)"}"#
        case .tokens:
            return
                #"{"input_ids":[\#(number),\#(Array(repeating: "7", count: 1 + number % 90).joined(separator: ","))]}"#
        }
    }

    @Test(arguments: RowFormat.allCases)
    func `a built cache is what a writer makes of single samples`(format: RowFormat) throws {
        let lines = (0..<2500).map { Self.row(format, $0) }
        let path = try folder.file("a.jsonl", lines.joined(separator: "\n"))
        let maker = SampleMaker(
            encoder: encoder, template: try ChatTemplate(builtIn: "chatml"), stage: .sft,
            vocabularyCount: encoder.vocabularyCount)
        for packing in [true, false] {
            for excess in [ExcessLength.drop, .truncate] {
                let settings = DatasetSettings(
                    cutoffLength: 64, excess: excess, packing: packing, validation: .count(5))
                try single(lines, format, maker, settings)
                let builder = DatasetBuilder(
                    files: [DatasetFile(path: path, format: format)], maker: maker, settings: settings, threads: 3)
                try builder.build(path: "\(folder.path)/built", key: key)
                #expect(try folder.bytes("built") == folder.bytes("single"), "packing \(packing), \(excess)")
            }
        }
    }

    /// Writes the cache sample by sample.
    private func single(
        _ lines: [String], _ format: RowFormat, _ maker: SampleMaker, _ settings: DatasetSettings
    ) throws {
        var writer = try TokenCacheWriter(path: "\(folder.path)/single", key: key)
        var counts = DatasetCounts()
        for line in lines {
            var sample = try maker.sample(of: RowParser.parse(try JSONValue.parse(line), as: format))
            counts.rows += 1
            if sample.count > settings.cutoffLength {
                if settings.excess == .drop {
                    counts.dropped += 1
                    counts.droppedTrainedTokens += sample.trainedTokens
                    continue
                }
                let whole = sample
                sample = Sample(
                    ids: Array(whole.ids[..<settings.cutoffLength]),
                    labels: Array(whole.labels[..<settings.cutoffLength]))
                counts.truncated += 1
                counts.truncatedTrainedTokens += whole.trainedTokens - sample.trainedTokens
            }
            counts.samples += 1
            counts.tokens += sample.count
            counts.trainedTokens += sample.trainedTokens
            if sample.trainedTokens == 0 { counts.untrained += 1 }
            try writer.append(sample)
        }
        let plan = SequencePlan(
            lengths: writer.lengths, partsEnd: [writer.lengths.count], weights: [1], settings: settings, limits: [nil])
        let (train, validation) = try plan.tables()
        _ = try writer.finish(train: train, validation: validation, counts: counts)
    }
}
