import Terms
import Testing

@testable import Tokenization

@Suite struct BPETrainerTests {
    static func text() throws -> String { String(decoding: try Fixture.bytes("text.txt"), as: UTF8.self) }

    /// The definition: count all pairs of all words again before every merge.
    static func reference(_ texts: [String], _ options: BPETrainer.Options) -> [[UInt8]] {
        var counts = WordCounts()
        for text in texts { counts.add(text) }
        var words = (0..<counts.words.count).map { word in counts.words[word].map { [$0] } }
        var tokens: [[UInt8]] = []
        while tokens.count < options.vocabularySize - 256 - options.specialTokens.count {
            var pairs: [[[UInt8]]: Int] = [:]
            for (word, count) in zip(words, counts.counts) {
                for (left, right) in zip(word, word.dropFirst()) { pairs[[left, right], default: 0] += count }
            }
            let allowed = pairs.filter {
                $0.value >= options.minFrequency && $0.key[0].count + $0.key[1].count <= options.maxTokenBytes
                    && PairMerger.keepsCharactersWhole($0.key[0] + $0.key[1])
            }
            let order = allowed.sorted { one, other in
                if one.value != other.value { return one.value > other.value }
                if one.key[0] != other.key[0] { return one.key[0].lexicographicallyPrecedes(other.key[0]) }
                return one.key[1].lexicographicallyPrecedes(other.key[1])
            }
            guard let best = order.first?.key else { return tokens }
            tokens.append(best[0] + best[1])
            words = words.map { word in
                var merged: [[UInt8]] = []
                var at = 0
                while at < word.count {
                    let isPair = at + 1 < word.count && word[at] == best[0] && word[at + 1] == best[1]
                    merged.append(isPair ? best[0] + best[1] : word[at])
                    at += isPair ? 2 : 1
                }
                return merged
            }
        }
        return tokens
    }

    @Test(arguments: [
        BPETrainer.Options(vocabularySize: 330), BPETrainer.Options(vocabularySize: 320, maxTokenBytes: 4),
        BPETrainer.Options(vocabularySize: 300, specialTokens: [], minFrequency: 9),
    ])
    func `merges are those of counting everything again each time`(options: BPETrainer.Options) throws {
        let text = try Self.text()
        let texts = [String(text.prefix(900)), "aaaa aaaaa aaa", "羊羊羊羊群羊群", String(text.suffix(200))]

        let trained = BPETrainer.train(texts, options)

        #expect(Array(trained.tokens.dropFirst(256)) == Self.reference(texts, options))
    }

    @Test func `pairs of one frequency are taken in the order of their bytes`() {
        let trained = BPETrainer.train(["zy zy ba ba bc bc"], .init(vocabularySize: 262, specialTokens: []))

        // ` b` stands four times; then by bytes: ` b`+`a` < ` b`+`c` < ` z` < ` z`+`y`, though `zy` came first.
        #expect(
            trained.tokens.dropFirst(256).map { String(decoding: $0, as: UTF8.self) } == [" b", " ba", " bc", "zy"])
    }

    @Test func `a token is whole characters or a part of one`() throws {
        let trained = BPETrainer.train([try Self.text()], .init(vocabularySize: 660))

        #expect(trained.count == 660)
        for token in trained.tokens { #expect(PairMerger.keepsCharactersWhole(token)) }
        #expect(PairMerger.keepsCharactersWhole(Array("羊群".utf8)) && PairMerger.keepsCharactersWhole([0x80, 0x81]))
        #expect(!PairMerger.keepsCharactersWhole([0x61, 0xE7]) && !PairMerger.keepsCharactersWhole([0x81, 0x61]))
    }

    @Test func `the files are read back and say everything`() throws {
        let text = try Self.text()
        let trained = BPETrainer.train([text], .init(vocabularySize: 600))
        let tokenizer = try Tokenizer.read(
            tokenizerJSON: trained.tokenizerJSON, configJSON: trained.configJSON(contextLength: 512))

        #expect(tokenizer.vocabularySize == 600 && trained.count == 600)
        #expect(tokenizer.eosID == 599 && tokenizer.padID == 597 && tokenizer.id(of: "<|im_start|>") == 598)
        #expect(tokenizer.chatTemplate == .string(TrainedVocabulary.chatML))
        #expect(sameBytes(tokenizer.decode(tokenizer.encode(text)), text))
        #expect(tokenizer.encode(text).count * 3 < text.utf8.count * 2)
        // The same corpus gives the same bytes.
        #expect(BPETrainer.train([text], .init(vocabularySize: 600)).tokenizerJSON == trained.tokenizerJSON)
    }

    @Test func `a corpus too small gives what it has`() {
        let trained = BPETrainer.train(["ab ab"], .init(vocabularySize: 400))

        #expect(trained.merges == [.init(left: 97, right: 98)] && trained.count == 260)
        #expect(BPETrainer.train([], .init(vocabularySize: 400)).merges.isEmpty)
    }
}
