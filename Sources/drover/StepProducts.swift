import Kernels
import Models

/// The matrix products of one micro-batch: which shapes, how often.
struct StepProducts {
    private struct Group {
        var rows: Int
        var inputs: Int
        var outputs: Int
        /// Times in a micro-batch; the head's chunks count as parts of one.
        var count: Double
    }
    private var groups: [Group] = []
    /// Frozen weights need no gradient of their own.
    private let trainsWeights: Bool

    /// Rows of the head are worked off in chunks; larger ones are no faster.
    private static let headRows = 1024

    /// The products of `rows` tokens; adapters' own, which are small, are left out.
    init(_ configuration: DecoderConfiguration, rows: Int, trainsWeights: Bool) {
        self.trainsWeights = trainsWeights
        for module in configuration.linearModules {
            let share = configuration.shareOfTokens(module)
            add(max(1, Int(Double(rows) * share)), module.inputs, module.outputs, 1)
        }
        let head = min(rows, Self.headRows)
        add(head, configuration.width, configuration.vocabulary, Double(rows) / Double(head))
    }

    private mutating func add(_ rows: Int, _ inputs: Int, _ outputs: Int, _ count: Double) {
        let known = groups.firstIndex { ($0.rows, $0.inputs, $0.outputs) == (rows, inputs, outputs) }
        if let known {
            groups[known].count += count
        } else {
            groups.append(Group(rows: rows, inputs: inputs, outputs: outputs, count: count))
        }
    }

    /// The rate of a step that consisted of its products alone, GFLOP/s: the mean of the shapes' rates that are
    /// measured now, harmonic, weighted with their operations.
    func ceiling(_ compute: Compute) -> Double {
        var (operations, seconds) = (0.0, 0.0)
        for group in groups {
            let times = ProductTimes(
                rows: group.rows, inputs: group.inputs, outputs: group.outputs, budget: 0.2, compute)
            let one = 2 * Double(group.rows) * Double(group.inputs) * Double(group.outputs)
            operations += group.count * one * (trainsWeights ? 3 : 2)
            seconds += group.count * (times.forward + times.inputGradient + (trainsWeights ? times.weightGradient : 0))
        }
        return operations / seconds / 1e9
    }
}

extension DecoderConfiguration {
    /// The part of all tokens that goes through a layer: below 1 for experts only.
    func shareOfTokens(_ module: LinearModule) -> Double {
        guard let mixture, [.expertGate, .expertUp, .expertDown].contains(module.slot) else { return 1 }
        return Double(mixture.perToken[module.layer]) / Double(mixture.experts)
    }
}
