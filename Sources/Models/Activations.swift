internal import Kernels

/// Queries, keys and values of T tokens, or their gradients; dense or side by side in one buffer.
struct HeadRows {
    let query: UnsafeMutablePointer<Float>
    let key: UnsafeMutablePointer<Float>
    let value: UnsafeMutablePointer<Float>
    /// Floats from one token to the next.
    let queryStride: Int
    let keyValueStride: Int
}

/// What one block keeps between its forward and its backward pass.
struct BlockActivations {
    let attentionStatistics: Norm.Statistics
    let heads: HeadRows
    /// Queries and keys before their norm; nil without one.
    let rawQuery: UnsafeMutablePointer<Float>?
    let rawKey: UnsafeMutablePointer<Float>?
    let queryStatistics: Norm.Statistics
    let keyStatistics: Norm.Statistics
    /// `[T, Hq·hd]` what attention gives.
    let attention: UnsafeMutablePointer<Float>
    /// `[Hq, T]` log-sum-exp of the scores.
    let logSum: UnsafeMutablePointer<Float>
    /// `[T, D]` branch outputs before their own norm; nil without one.
    let attentionBranch: UnsafeMutablePointer<Float>?
    let attentionBranchStatistics: Norm.Statistics
    /// `[T, D]` the stream between attention and MLP.
    let middle: UnsafeMutablePointer<Float>
    let mlpStatistics: Norm.Statistics
    /// `[T, I]` of the dense or shared MLP; the backward pass overwrites both with their gradients.
    let gate: UnsafeMutablePointer<Float>?
    let up: UnsafeMutablePointer<Float>
    /// What sparse blocks keep; nil in models without any.
    let experts: ExpertActivations?
    let mlpBranch: UnsafeMutablePointer<Float>?
    let mlpBranchStatistics: Norm.Statistics
}

/// What a sparse block keeps: its experts' rows lie expert by expert, in token order.
struct ExpertActivations {
    /// `[T, E]` the router's probabilities.
    let probabilities: UnsafeMutablePointer<Float>
    /// `[T·k, I]`; the backward pass overwrites both with their gradients.
    let gate: UnsafeMutablePointer<Float>
    let up: UnsafeMutablePointer<Float>
}

/// All memory of a forward and backward pass over at most `capacity` tokens: one buffer, cut once.
struct Activations {
    /// Tokens it was cut for.
    let capacity: Int
    /// Elements of the buffer.
    private(set) var count = 0
    /// `[T, D]` the residual stream between blocks; see `stream`.
    private(set) var streams: [UnsafeMutablePointer<Float>] = []
    private(set) var blocks: [BlockActivations] = []

    /// `[T, D]` a norm's output, computed again where it is needed.
    let normalised: UnsafeMutablePointer<Float>
    /// `[T, I]` the input of the down projection, likewise.
    let activated: UnsafeMutablePointer<Float>
    var lowRank: Projection.Scratch
    /// `[T, D]` each: inputs and outputs of one expert's rows; only in models with experts.
    let expertInputs: UnsafeMutablePointer<Float>
    let expertOutputs: UnsafeMutablePointer<Float>
    let finalStatistics: Norm.Statistics
    /// Room for gradients; empty for passes without a backward half.
    let gradients: Gradients?
    private let buffer: FloatBuffer?

    /// Gradients on their way down.
    struct Gradients {
        /// `[T, D]` with respect to the residual stream.
        let stream: UnsafeMutablePointer<Float>
        /// `[T, D]` with respect to a norm's output.
        let normalised: UnsafeMutablePointer<Float>
        /// `[T, D]` with respect to a branch before its own norm; nil without one.
        let branch: UnsafeMutablePointer<Float>?
        /// `[T, I]`.
        let activated: UnsafeMutablePointer<Float>
        /// `[T, E]` with respect to the router's logits.
        let router: UnsafeMutablePointer<Float>
        /// `[T, Hq·hd]`.
        let attention: UnsafeMutablePointer<Float>
        let heads: HeadRows
    }

    /// What to make room for.
    struct Plan: Equatable {
        var capacity: Int
        /// Blocks whose activations are kept apart, at least 1.
        var keptBlocks: Int
        /// Residual streams kept apart, at least 2.
        var keptStreams: Int
        /// Largest adapter rank.
        var rank: Int
        /// Elements of the largest B in a stack of experts.
        var factor: Int
        var hasGradients: Bool
        /// Whether the adapter's inputs are dropped in training.
        var drops: Bool

        /// Room for `rows` tokens where the upper `kept` blocks take part in the backward pass.
        init(rows: Int, kept: Int, adapter: [AdaptedModule], recomputes: Bool, trains: Bool, drops: Bool) {
            capacity = rows
            keptBlocks = recomputes ? 1 : max(1, kept)
            keptStreams = max(2, kept + 1)
            rank = adapter.map(\.rank).max() ?? 0
            factor = adapter.map { $0.stack > 1 ? $0.rank * $0.outputs : 0 }.max() ?? 0
            hasGradients = trains
            self.drops = drops
        }
    }

    /// Memory of the plan.
    init(_ configuration: DecoderConfiguration, _ plan: Plan) {
        let buffer = FloatBuffer(count: Self.count(configuration, plan))
        self.init(configuration, plan, buffer)
    }

    /// Elements that the plan takes.
    static func count(_ configuration: DecoderConfiguration, _ plan: Plan) -> Int {
        Activations(configuration, plan, nil).count
    }

    /// Cuts the buffer, or with none only counts.
    private init(_ configuration: DecoderConfiguration, _ plan: Plan, _ buffer: FloatBuffer?) {
        var cutter = Cutter(
            base: buffer?.pointer ?? Cutter.nowhere, layerNorm: configuration.family.normalization == .layer)
        let rows = plan.capacity
        let stream = rows * configuration.width
        capacity = rows
        self.buffer = buffer
        normalised = cutter.take(stream)
        activated = cutter.take(rows * configuration.widestInner)
        lowRank = Projection.Scratch(
            down: cutter.take(rows * plan.rank), downGradient: cutter.take(rows * plan.rank),
            factor: cutter.take(plan.factor), factorGradient: cutter.take(plan.hasGradients ? plan.factor : 0),
            dropped: cutter.take(plan.drops && plan.hasGradients ? rows * configuration.widestInput : 0))
        expertInputs = cutter.take(configuration.mixture == nil ? 0 : stream)
        expertOutputs = cutter.take(configuration.mixture == nil ? 0 : stream)
        finalStatistics = cutter.statistics(rows)
        streams = (0..<plan.keptStreams).map { _ in cutter.take(stream) }
        blocks = (0..<plan.keptBlocks).map { _ in cutter.block(configuration, rows) }
        gradients =
            plan.hasGradients
            ? Gradients(
                stream: cutter.take(stream), normalised: cutter.take(stream),
                branch: configuration.family.block == .sandwich ? cutter.take(stream) : nil,
                activated: cutter.take(rows * configuration.widestInner),
                router: cutter.take(rows * (configuration.mixture?.experts ?? 0)),
                attention: cutter.take(rows * configuration.queryWidth), heads: cutter.heads(configuration, rows))
            : nil
        count = cutter.taken
    }
}

/// Hands out 64-byte aligned pieces of a buffer.
private struct Cutter {
    let base: UnsafeMutablePointer<Float>
    let layerNorm: Bool
    private(set) var taken = 0

    init(base: UnsafeMutablePointer<Float>, layerNorm: Bool) {
        (self.base, self.layerNorm) = (base, layerNorm)
    }

    /// An address for counting only; nothing is read or written there.
    static var nowhere: UnsafeMutablePointer<Float> {
        guard let address = UnsafeMutablePointer<Float>(bitPattern: 64) else { preconditionFailure("64 is an address") }
        return address
    }

    mutating func take(_ count: Int) -> UnsafeMutablePointer<Float> {
        defer { taken += (count + 15) / 16 * 16 }
        return base + taken
    }

    mutating func statistics(_ rows: Int) -> Norm.Statistics {
        Norm.Statistics(mean: layerNorm ? take(rows) : nil, inverseDeviation: take(rows))
    }

    mutating func heads(_ configuration: DecoderConfiguration, _ rows: Int) -> HeadRows {
        let (queryWidth, keyWidth) = (configuration.queryWidth, configuration.keyValueWidth)
        guard configuration.family.names.fusedAttention != nil else {
            return HeadRows(
                query: take(rows * queryWidth), key: take(rows * keyWidth), value: take(rows * keyWidth),
                queryStride: queryWidth, keyValueStride: keyWidth)
        }
        let stride = queryWidth + 2 * keyWidth
        let start = take(rows * stride)
        return HeadRows(
            query: start, key: start + queryWidth, value: start + queryWidth + keyWidth, queryStride: stride,
            keyValueStride: stride)
    }

    mutating func block(_ configuration: DecoderConfiguration, _ rows: Int) -> BlockActivations {
        let normalisesHeads = configuration.family.queryKeyNormalization != .none
        let sandwich = configuration.family.block == .sandwich
        let stream = rows * configuration.width
        let inner = (0..<configuration.layers).map(configuration.sharedInner).max() ?? 0
        return BlockActivations(
            attentionStatistics: statistics(rows), heads: heads(configuration, rows),
            rawQuery: normalisesHeads ? take(rows * configuration.queryWidth) : nil,
            rawKey: normalisesHeads ? take(rows * configuration.keyValueWidth) : nil,
            queryStatistics: statistics(normalisesHeads ? rows * configuration.heads : 0),
            keyStatistics: statistics(normalisesHeads ? rows * configuration.keyValueHeads : 0),
            attention: take(rows * configuration.queryWidth), logSum: take(rows * configuration.heads),
            attentionBranch: sandwich ? take(stream) : nil, attentionBranchStatistics: statistics(sandwich ? rows : 0),
            middle: take(stream), mlpStatistics: statistics(rows),
            gate: configuration.family.activation == .gatedSilu ? take(rows * inner) : nil,
            up: take(rows * inner), experts: configuration.mixture.map { experts($0, rows) },
            mlpBranch: sandwich ? take(stream) : nil,
            mlpBranchStatistics: statistics(sandwich ? rows : 0))
    }

    private mutating func experts(_ mixture: Mixture, _ rows: Int) -> ExpertActivations {
        let inner = rows * mixture.mostPerToken * mixture.inner
        return ExpertActivations(
            probabilities: take(rows * mixture.experts), gate: take(inner), up: take(inner))
    }
}

extension DecoderConfiguration {
    /// The largest input of a linear layer outside experts.
    fileprivate var widestInput: Int { max(widestInner, width, queryWidth) }

    /// The largest inner width of any MLP or expert.
    fileprivate var widestInner: Int {
        max((0..<layers).map(sharedInner).max() ?? 0, mixture?.inner ?? 0)
    }
}
