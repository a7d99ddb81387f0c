import Hashing
import Templates
import Terms
import Testing

@testable import Datasets

@Suite struct CacheKeyTests {
    @Test func `everything that changes the bytes changes the key, and a file's folder doesn't`() throws {
        let encoder = LetterEncoder()
        func maker(
            _ template: String, _ stage: Stage = .sft, _ prompt: Bool = false, _ variable: String = ""
        ) throws -> SampleMaker {
            SampleMaker(
                encoder: encoder, template: try ChatTemplate(builtIn: template), stage: stage, trainOnPrompt: prompt,
                vocabularyCount: encoder.vocabularyCount, variables: JSONObject([("bos_token", .string(variable))]))
        }
        func key(
            _ path: String = "a.jsonl", _ content: String = "x", weight: Double = 1, tokenizer: String = "t",
            maker made: SampleMaker? = nil, set settings: DatasetSettings = DatasetSettings()
        ) throws -> Digest {
            CacheKey.digest(
                files: [(DatasetFile(path: path, weight: weight), .sha256(of: content))],
                tokenizer: .sha256(of: tokenizer), maker: try made ?? maker("chatml"), settings: settings)
        }
        func excerpt(_ extent: ExcerptSettings.Extent, isShuffled: Bool = true) -> DatasetSettings {
            var settings = DatasetSettings()
            settings.excerpt = ExcerptSettings(extent, isShuffled: isShuffled)
            return settings
        }
        let keys = try [
            key(), key("a.json"), key("a.jsonl", "y"), key(weight: 2), key(tokenizer: "u"), key(maker: maker("qwen3")),
            key(maker: maker("chatml", .pt)), key(maker: maker("chatml", .sft, true)),
            key(maker: maker("chatml", .sft, false, "b")), key(set: DatasetSettings(cutoffLength: 8)),
            key(set: DatasetSettings(excess: .truncate)), key(set: DatasetSettings(packing: false)),
            key(set: DatasetSettings(seed: 1)), key(set: DatasetSettings(validation: .count(1))),
            key(set: DatasetSettings(validation: .fraction(0.5))), key(set: excerpt(.sequences(64))),
            key(set: excerpt(.tokens(64))), key(set: excerpt(.sequences(65))),
            key(set: excerpt(.sequences(64), isShuffled: false)),
        ]

        #expect(Set(keys).count == keys.count)
        #expect(try key("elsewhere/b.jsonl") == key())
        #expect(try key(set: excerpt(.sequences(33))) == key(set: excerpt(.sequences(64))))
        // Caches of earlier releases are found.
        let whole = try key().hex
        #expect(whole == "811b5c8390c4339a8054a3c32f342332fbed77ba0aaf3656ba4fdf44bdf60aa6")
    }
}
