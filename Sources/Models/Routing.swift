internal import Kernels

/// Which experts the tokens of one sparse block go to, and with what weight; a function of the router's probabilities.
///
/// Rows are pairs of a token and one of its k experts, expert by expert and in token order within each, so that every
/// sum over rows has one order. Equal scores are settled by the lower index of the expert.
struct Routing {
    /// `[T·k]` the token of each row.
    let tokens: [Int32]
    /// `[T·k]` what each row's result is multiplied by.
    let weights: [Float]
    /// `[E + 1]` where each expert's rows begin.
    let starts: [Int]
    /// `[T·k]` the experts of each token, best first.
    private let chosen: [Int32]
    /// `[T·k]` the row of each choice.
    private let rows: [Int32]
    private let perToken: Int
    private let mixture: Mixture

    /// The routing of `count` tokens by probabilities `[T, E]`; `bias` `[E]` is added in choosing.
    init(
        _ probabilities: UnsafePointer<Float>, bias: UnsafePointer<Float>?, count: Int, perToken: Int,
        _ mixture: Mixture
    ) {
        let experts = mixture.experts
        var chosen: [Int32] = []
        chosen.reserveCapacity(count * perToken)
        for token in 0..<count {
            Self.choose(perToken, of: probabilities + token * experts, bias: bias, experts: experts, into: &chosen)
        }
        var starts = Array(repeating: 0, count: experts + 1)
        for expert in chosen { starts[Int(expert) + 1] += 1 }
        for expert in 0..<experts { starts[expert + 1] += starts[expert] }
        var next = starts
        var tokens = Array(repeating: Int32(0), count: chosen.count)
        var weights = Array(repeating: Float(0), count: chosen.count)
        var rows = tokens
        for token in 0..<count {
            let own = token * perToken..<(token + 1) * perToken
            let values = own.map { Double(probabilities[token * experts + Int(chosen[$0])]) }
            let divisor = Self.divisor(values, mixture)
            for (slot, place) in own.enumerated() {
                let row = next[Int(chosen[place])]
                next[Int(chosen[place])] += 1
                tokens[row] = Int32(token)
                weights[row] = Float(values[slot] / divisor)
                rows[place] = Int32(row)
            }
        }
        (self.tokens, self.weights, self.starts, self.chosen, self.rows) = (tokens, weights, starts, chosen, rows)
        (self.perToken, self.mixture) = (perToken, mixture)
    }

    /// The rows of expert `expert`.
    func rows(of expert: Int) -> Range<Int> { starts[expert]..<starts[expert + 1] }

    /// Appends the `count` best experts of one token; the lower index goes first among equals.
    static func choose(
        _ count: Int, of probabilities: UnsafePointer<Float>, bias: UnsafePointer<Float>?, experts: Int,
        into chosen: inout [Int32]
    ) {
        let first = chosen.count
        for _ in 0..<count {
            var best = -1
            var highest = -Float.infinity
            for expert in 0..<experts {
                let score = probabilities[expert] + (bias?[expert] ?? 0)
                // The first one stands for scores that are no numbers, so that there is always a choice.
                guard best < 0 || score > highest, !chosen[first...].contains(Int32(expert)) else { continue }
                (best, highest) = (expert, score)
            }
            chosen.append(Int32(best))
        }
    }

    private static func divisor(_ values: [Double], _ mixture: Mixture) -> Double {
        guard let least = mixture.leastSum else { return 1 }
        return max(values.reduce(0, +), Double(least))
    }

    /// Writes the gradient of the router's logits, `[T, E]`, from that of each row's weight and, with `slopes`, of each
    /// probability.
    func backward(
        _ logits: UnsafeMutablePointer<Float>, weightGradients: UnsafePointer<Float>, slopes: [Double]?,
        _ probabilities: UnsafePointer<Float>
    ) {
        let experts = mixture.experts
        var slope = slopes ?? Array(repeating: 0, count: experts)
        for token in 0..<tokens.count / perToken {
            let p = probabilities + token * experts
            let own = token * perToken..<(token + 1) * perToken
            let values = own.map { Double(p[Int(chosen[$0])]) }
            let gradients = own.map { Double(weightGradients[Int(rows[$0])]) }
            let divisor = Self.divisor(values, mixture)
            let sums = mixture.leastSum.map { values.reduce(0, +) >= Double($0) } ?? false
            let shared = sums ? zip(values, gradients).reduce(0) { $0 + $1.0 * $1.1 } / divisor : 0
            for (slot, place) in own.enumerated() {
                slope[Int(chosen[place])] += (gradients[slot] - shared) / divisor
            }
            var mean = 0.0
            for expert in 0..<experts { mean += Double(p[expert]) * slope[expert] }
            for expert in 0..<experts {
                logits[token * experts + expert] = Float(Double(p[expert]) * (slope[expert] - mean))
            }
            for place in own { slope[Int(chosen[place])] = slopes?[Int(chosen[place])] ?? 0 }
        }
    }
}

/// The load-balancing loss of one pass (Fedus, Zoph & Shazeer 2021, arXiv:2101.03961, equations 4 to 6, over all sparse
/// layers as one): `E · Σ_e f_e · P_e`, where f is the mean number of a token's k likeliest experts that are e, and P
/// the mean probability of e, over the tokens of all documents in all sparse layers.
///
/// It is no sum over tokens, so it belongs to a micro-batch: training adds `coefficient · trained tokens` times it to
/// the micro-batch's sum. A step of one micro-batch then has the loss of transformers; several have the mean of theirs,
/// weighted by trained tokens, whatever the workers.
final class LoadBalance {
    private let mixture: Mixture
    /// `[E]` how often each expert was among the likeliest.
    private var counts: [Int]
    /// `[E]` sums of probabilities.
    private var sums: [Double]
    private var rows = 0

    init(_ mixture: Mixture) {
        self.mixture = mixture
        counts = Array(repeating: 0, count: mixture.experts)
        sums = Array(repeating: 0, count: mixture.experts)
    }

    /// Counts one sparse layer's probabilities `[T, E]`.
    func add(_ probabilities: UnsafePointer<Float>, count: Int) {
        let experts = mixture.experts
        var likeliest: [Int32] = []
        for token in 0..<count {
            let p = probabilities + token * experts
            likeliest.removeAll(keepingCapacity: true)
            Routing.choose(mixture.mostPerToken, of: p, bias: nil, experts: experts, into: &likeliest)
            for expert in likeliest { counts[Int(expert)] += 1 }
            for expert in 0..<experts { sums[expert] += Double(p[expert]) }
        }
        rows += count
    }

    /// The loss, not multiplied by anything.
    var loss: Double {
        guard rows > 0 else { return 0 }
        let dot = zip(counts, sums).reduce(0) { $0 + Double($1.0) * $1.1 }
        return Double(mixture.experts) * dot / (Double(rows) * Double(rows))
    }

    /// `[E]` the slope of `factor · loss` with respect to a token's probabilities; choosing has none.
    func slopes(_ factor: Double) -> [Double] {
        let scale = factor * Double(mixture.experts) / (Double(rows) * Double(rows))
        return counts.map { Double($0) * scale }
    }
}
