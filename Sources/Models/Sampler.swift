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

    /// The tokens that may be chosen, likeliest first, with weights relative to the likeliest.
    private func candidates(_ scores: [Double]) -> [(id: Int32, weight: Double)] {
        let order = scores.indices.sorted { scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1 }
        let kept = topK > 0 ? order.prefix(topK) : order[...]
        let best = scores[order[0]]
        var candidates = kept.map { (id: Int32($0), weight: Elementary.exponential(scores[$0] - best)) }
        guard topP < 1 else { return candidates }
        let enough = topP * candidates.reduce(0) { $0 + $1.weight }
        var sum = 0.0
        // The token that reaches the sum is kept, so that at least one is.
        if let last = candidates.firstIndex(where: { sum += $0.weight; return sum >= enough }) {
            candidates.removeLast(candidates.count - last - 1)
        }
        return candidates
    }

    private static func likeliest(_ scores: [Double]) -> Int32 {
        var best = 0
        for (index, score) in scores.enumerated() where score > scores[best] { best = index }
        return Int32(best)
    }
}
