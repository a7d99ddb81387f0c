/// The training state of BPE: words as symbols, and for each pair of neighbours its frequency and where it stands.
///
/// Only what a merge touches is counted again. Once the pairs of a merge are counted their frequencies can only fall,
/// so a heap with old frequencies is right as long as what comes out is checked and, if it fell, put back.
struct PairMerger {
    /// Bytes of each token; the first 256 are the bytes themselves.
    private(set) var tokens: [[UInt8]]

    /// Symbols of all words, one word after another; a word that shrinks leaves a gap at its end.
    private var symbols: [UInt32] = []
    private var starts: [Int] = []
    private var lengths: [Int] = []
    private let wordCounts: [Int]

    /// Pair (left << 32 | right) → number, by first appearance.
    private var numbers: [UInt64: Int] = [:]
    private var pairs: [UInt64] = []
    private var frequencies: [Int] = []
    /// Pair number → words that had it when it was counted, ascending.
    private var occurrences: [[Int32]] = []
    private var heap: [Candidate] = []
    private let maxTokenBytes: Int
    private let minFrequency: Int

    private struct Candidate {
        var frequency: Int
        var pair: Int
    }

    init(_ counts: WordCounts, _ options: BPETrainer.Options) {
        tokens = (0...255).map { [$0] }
        wordCounts = counts.counts
        maxTokenBytes = options.maxTokenBytes
        minFrequency = max(options.minFrequency, 1)
        for word in 0..<counts.words.count {
            let bytes = counts.words[word]
            starts.append(symbols.count)
            lengths.append(bytes.count)
            symbols.append(contentsOf: bytes.lazy.map { UInt32($0) })
            for at in starts[word]..<starts[word] + bytes.count - 1 { count(symbols[at], symbols[at + 1], word) }
        }
        for pair in pairs.indices { offer(pair) }
    }

    /// Merges the most frequent pair everywhere; nil when none is frequent enough.
    mutating func mergeBest() -> TrainedVocabulary.Merge? {
        while let best = popCandidate() {
            guard frequencies[best.pair] == best.frequency else {
                offer(best.pair)
                continue
            }
            let left = UInt32(pairs[best.pair] >> 32)
            let right = UInt32(truncatingIfNeeded: pairs[best.pair])
            let result = UInt32(tokens.count)
            tokens.append(tokens[Int(left)] + tokens[Int(right)])
            let firstNew = pairs.count
            for word in occurrences[best.pair] { merge(left, right, result, in: Int(word)) }
            frequencies[best.pair] = 0
            occurrences[best.pair] = []
            for pair in firstNew..<pairs.count { offer(pair) }
            return TrainedVocabulary.Merge(left: Int32(left), right: Int32(right))
        }
        return nil
    }

    /// Replaces the pair in one word from the left, and moves the counts of the neighbours.
    private mutating func merge(_ left: UInt32, _ right: UInt32, _ result: UInt32, in word: Int) {
        let start = starts[word]
        let end = start + lengths[word]
        var read = start
        var write = start
        while read < end {
            guard symbols[read] == left, read + 1 < end, symbols[read + 1] == right else {
                symbols[write] = symbols[read]
                read += 1
                write += 1
                continue
            }
            if write > start {
                discount(symbols[write - 1], left, word)
                count(symbols[write - 1], result, word)
            }
            if read + 2 < end {
                discount(right, symbols[read + 2], word)
                count(result, symbols[read + 2], word)
            }
            symbols[write] = result
            read += 2
            write += 1
        }
        lengths[word] = write - start
    }

    private mutating func count(_ left: UInt32, _ right: UInt32, _ word: Int) {
        let key = UInt64(left) << 32 | UInt64(right)
        let number: Int
        if let known = numbers[key] {
            number = known
        } else {
            number = pairs.count
            numbers[key] = number
            pairs.append(key)
            frequencies.append(0)
            occurrences.append([])
        }
        frequencies[number] += wordCounts[word]
        if occurrences[number].last != Int32(word) { occurrences[number].append(Int32(word)) }
    }

    private mutating func discount(_ left: UInt32, _ right: UInt32, _ word: Int) {
        if let number = numbers[UInt64(left) << 32 | UInt64(right)] { frequencies[number] -= wordCounts[word] }
    }

    /// Puts a pair up for merging if it may become a token.
    private mutating func offer(_ pair: Int) {
        guard frequencies[pair] >= minFrequency else { return }
        let merged = tokens[Int(pairs[pair] >> 32)] + tokens[Int(pairs[pair] & 0xFFFF_FFFF)]
        guard merged.count <= maxTokenBytes, Self.keepsCharactersWhole(merged) else { return }
        heap.append(Candidate(frequency: frequencies[pair], pair: pair))
        var child = heap.count - 1
        while child > 0, isBetter(heap[child], heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func popCandidate() -> Candidate? {
        guard let top = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return top }
        heap[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, isBetter(heap[child + 1], heap[child]) { child += 1 }
            guard isBetter(heap[child], heap[parent]) else { break }
            heap.swapAt(parent, child)
            parent = child
        }
        return top
    }

    /// More frequent first, then by the bytes of the left token, then by those of the right.
    private func isBetter(_ first: Candidate, _ second: Candidate) -> Bool {
        if first.frequency != second.frequency { return first.frequency > second.frequency }
        let (one, other) = (pairs[first.pair], pairs[second.pair])
        let (oneLeft, otherLeft) = (tokens[Int(one >> 32)], tokens[Int(other >> 32)])
        if oneLeft != otherLeft { return oneLeft.lexicographicallyPrecedes(otherLeft) }
        return tokens[Int(one & 0xFFFF_FFFF)].lexicographicallyPrecedes(tokens[Int(other & 0xFFFF_FFFF)])
    }

    /// Whether bytes are whole characters, or a part of a single one: a token that ends inside a character after others
    /// would split most of its neighbours.
    static func keepsCharactersWhole(_ bytes: [UInt8]) -> Bool {
        let heads = bytes.count { $0 & 0xC0 != 0x80 }
        if heads == 0 || (heads == 1 && bytes[0] & 0xC0 != 0x80) { return true }
        return String(validating: bytes, as: UTF8.self) != nil
    }
}
