internal import Terms

/// How the next token is chosen from logits.
///
/// The order of the steps is that of the Hugging Face generator: repetition penalty, temperature, top-k, top-p.
package struct Sampler: Sendable, Equatable {
    /// 0 = greedy: the likeliest token, the lowest id among equals.
    package var temperature: Double
    /// Only the k likeliest tokens; 0 = all.
    package var topK: Int
    /// Only the likeliest tokens whose probabilities just reach this sum, in (0, 1]; 1 = all.
    package var topP: Double
    /// Logits of tokens seen before are divided (if positive) or multiplied (if negative) by it; 1 = no penalty.
    package var repetitionPenalty: Double
    /// Draws depend on this and the place of the token alone.
    package var seed: UInt64

    /// Plain sampling unless told otherwise.
    package init(
        temperature: Double = 1, topK: Int = 0, topP: Double = 1, repetitionPenalty: Double = 1, seed: UInt64 = 0
    ) {
        precondition(
            temperature >= 0 && topK >= 0 && topP > 0 && repetitionPenalty > 0, "sampling settings out of range")
        (self.temperature, self.topK, self.topP) = (temperature, topK, topP)
        (self.repetitionPenalty, self.seed) = (repetitionPenalty, seed)
    }

    /// The token at place `place` of the text, given the logits `[V]` and the tokens before it.
    package func next(_ logits: [Float], after history: [Int32], place: Int) -> Int32 {
        precondition(!logits.isEmpty, "there is no token to choose")
        var scores = logits.map(Double.init)
        penalise(&scores, history)
        guard temperature > 0 else { return Self.likeliest(scores) }
        let candidates = candidates(scores.map { $0 / temperature })
        let total = candidates.reduce(0) { $0 + $1.weight }
        var left = Philox(seed: seed, purpose: .sampling).uniform(UInt64(place)) * total
        for candidate in candidates {
            left -= candidate.weight
            if left < 0 { return candidate.id }
        }
        return candidates[candidates.count - 1].id
    }

    private func penalise(_ scores: inout [Double], _ history: [Int32]) {
        guard repetitionPenalty != 1 else { return }
        var seen = Array(repeating: false, count: scores.count)
        for token in history where token >= 0 && Int(token) < scores.count && !seen[Int(token)] {
            seen[Int(token)] = true
            let score = scores[Int(token)]
            scores[Int(token)] = score > 0 ? score / repetitionPenalty : score * repetitionPenalty
        }
    }

    /// The tokens that may be chosen, with weights relative to the likeliest; in order of likelihood if that matters.
    private func candidates(_ scores: [Double]) -> [(id: Int32, weight: Double)] {
        let best = scores.max() ?? 0
        let weights = scores.map { Elementary.exponential($0 - best) }
        guard topK > 0 || topP < 1 else { return weights.enumerated().map { (Int32($0), $1) } }
        var heap = LikeliestFirst(scores)
        let limit = topK > 0 ? min(topK, scores.count) : scores.count
        guard topP < 1 else { return (0..<limit).map { _ in heap.next(weights) } }
        // With top-k the sum is that of the k tokens, so that they are taken out first.
        var kept: [(id: Int32, weight: Double)] = []
        if topK > 0 { kept = (0..<limit).map { _ in heap.next(weights) } }
        let total = topK > 0 ? kept.reduce(0) { $0 + $1.weight } : weights.reduce(0, +)
        var (sum, count) = (0.0, 0)
        // The token that reaches the sum is kept, so that at least one is.
        while count < limit, count == 0 || sum < topP * total {
            if topK == 0 { kept.append(heap.next(weights)) }
            sum += kept[count].weight
            count += 1
        }
        return Array(kept.prefix(count))
    }

    private static func likeliest(_ scores: [Double]) -> Int32 {
        var best = 0
        for (index, score) in scores.enumerated() where score > scores[best] { best = index }
        return Int32(best)
    }
}

/// Token ids by falling score, the lowest id first among equals; taking k of V costs O(V + k·log V).
private struct LikeliestFirst {
    private let scores: [Double]
    private var heap: [Int32]

    init(_ scores: [Double]) {
        self.scores = scores
        heap = (0..<Int32(scores.count)).map(\.self)
        for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { sink(index) }
    }

    mutating func next(_ weights: [Double]) -> (id: Int32, weight: Double) {
        let id = heap[0]
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink(0)
        }
        return (id, weights[Int(id)])
    }

    private func precedes(_ left: Int32, _ right: Int32) -> Bool {
        let (a, b) = (scores[Int(left)], scores[Int(right)])
        return a != b ? a > b : left < right
    }

    private mutating func sink(_ start: Int) {
        var parent = start
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { return }
            if child + 1 < heap.count, precedes(heap[child + 1], heap[child]) { child += 1 }
            guard precedes(heap[child], heap[parent]) else { return }
            heap.swapAt(child, parent)
            parent = child
        }
    }
}
