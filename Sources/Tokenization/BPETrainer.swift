/// Learns a byte-level vocabulary from text: the same text in the same order gives the same bytes on every machine.
///
/// Sennrich et al. 2016, arXiv:1508.07909, §3.2: the most frequent pair of neighbours becomes a token, again and again.
/// Words are those of the Qwen2 pre-tokenizer after NFC; pairs of one frequency are taken in the order of their bytes.
package struct BPETrainer {
    /// What to learn.
    package struct Options: Sendable {
        /// Tokens in all: 256 bytes, merges, special tokens. Fewer come out when the text has no pair left.
        package var vocabularySize: Int
        /// Added after the merges, in this order.
        package var specialTokens: [String]
        /// No token gets longer, in bytes; keeps phrases that a corpus repeats from becoming tokens.
        package var maxTokenBytes: Int
        /// Pairs that occur less often are not merged.
        package var minFrequency: Int

        /// Defaults fit a small chat model.
        package init(
            vocabularySize: Int, specialTokens: [String] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            maxTokenBytes: Int = 24, minFrequency: Int = 2
        ) {
            self.vocabularySize = vocabularySize
            self.specialTokens = specialTokens
            self.maxTokenBytes = maxTokenBytes
            self.minFrequency = minFrequency
        }
    }

    private let options: Options
    private var counts = WordCounts()

    /// A trainer that has read nothing.
    ///
    /// - Precondition: the vocabulary has room for the 256 bytes and the special tokens.
    package init(_ options: Options) {
        precondition(
            options.vocabularySize >= 256 + options.specialTokens.count,
            "a vocabulary must hold 256 bytes and its special tokens")
        self.options = options
    }

    /// Counts the words of a text.
    package mutating func add(_ text: String) { counts.add(text) }

    /// The vocabulary of all text added so far.
    package func train() -> TrainedVocabulary {
        var merger = PairMerger(counts, options)
        var merges: [TrainedVocabulary.Merge] = []
        let wanted = options.vocabularySize - 256 - options.specialTokens.count
        while merges.count < wanted, let merge = merger.mergeBest() { merges.append(merge) }
        return TrainedVocabulary(tokens: merger.tokens, merges: merges, specialTokens: options.specialTokens)
    }

    /// The vocabulary of a corpus.
    package static func train(_ corpus: some Sequence<String>, _ options: Options) -> TrainedVocabulary {
        var trainer = BPETrainer(options)
        for text in corpus { trainer.add(text) }
        return trainer.train()
    }
}

/// How often each word stands in the text, numbered by first appearance.
struct WordCounts {
    private(set) var words = ByteStringTable()
    private(set) var counts: [Int] = []

    private static let normalizer = Normalizer(steps: [.canonicalComposition])
    private static let preTokenizer = PreTokenizer(splitters: [.qwen2])

    mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            guard let base = utf8.baseAddress, !utf8.isEmpty else { return }
            Self.normalizer.withNormalized(UTF8Text(base, count: utf8.count)) { normalized in
                Self.preTokenizer.forEachWord(normalized, startsInput: true) { word in
                    let (index, isNew) = words.insert(word)
                    if isNew { counts.append(1) } else { counts[index] += 1 }
                }
            }
        }
    }
}
