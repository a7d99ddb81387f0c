package import Kernels

/// An adapter's factors in memory, laid out as `layout` says.
package struct Adapter: @unchecked Sendable {
    /// The adapted layers.
    package let modules: [AdaptedModule]
    /// Where each factor lies.
    package let layout: ParameterLayout
    /// `layout.count` elements.
    package let parameters: UnsafePointer<Float>
    private let owner: AnyObject?

    /// The factors of `modules` in a flat vector that `owner` keeps alive, or the caller without one.
    package init(modules: [AdaptedModule], parameters: UnsafePointer<Float>, owner: AnyObject? = nil) {
        self.owner = owner
        self.modules = modules
        layout = ParameterLayout(adapter: modules)
        self.parameters = parameters
    }
}

/// Which tensors the backward pass gives gradients for.
package enum Trainable: Sendable, Equatable {
    case everything, adapter, nothing
}

/// A decoder-only language model: forward and hand-written backward pass over a micro-batch.
///
/// Shapes: T tokens, D width, Hq query heads, Hkv key heads, hd head width, I MLP width, V vocabulary, P trained
/// elements.
/// All memory of a pass is cut from one buffer, sized when a micro-batch first needs it and used again. Results are the
/// same bits for any number of threads, and with or without recomputation. One caller at a time, on any thread.
package final class Decoder: @unchecked Sendable {
    /// Shape and switches.
    package let configuration: DecoderConfiguration
    /// Where gradients go, nil when nothing is trained.
    package let layout: ParameterLayout?
    /// Whether each block's forward pass runs again in the backward pass instead of keeping what it computed.
    package let recomputes: Bool
    let compute: Compute
    let blocks: [Block]
    let finalNorm: Norm
    /// `[V, D]`.
    let embedding: Matrix
    /// `[positions, D]`.
    let positions: UnsafePointer<Float>?
    /// `[V, D]`.
    let head: Matrix
    /// `[V]`.
    let headBias: UnsafePointer<Float>?
    /// Places in the flat gradient; nil = frozen.
    let embeddingGradient: Int?
    let positionsGradient: Int?
    let headGradient: Int?
    let headBiasGradient: Int?
    /// The lowest block that trains anything, `layers` when none does; below it nothing is kept or sent back.
    let lowestTrained: Int
    let workspace = Workspace()
    /// Whether training drops inputs of the adapter.
    let drops: Bool
    var rotaryTable: RotaryTable?
    /// Keep the memory alive that the pointers above point to.
    private let weights: WeightTable
    private let adapter: Adapter?
    private var memory: (plan: Activations.Plan, activations: Activations)?

    /// A decoder on the memory of `weights`; refuses tensors that are missing or of another shape.
    package init(
        configuration: DecoderConfiguration, weights: WeightTable, adapter: Adapter? = nil, trainable: Trainable,
        compute: Compute, recomputes: Bool = false, dropout: AdapterDropout? = nil
    ) throws(ModelError) {
        let full = ParameterLayout(full: TensorTable(configuration))
        try weights.check(full)
        precondition(trainable != .everything || adapter == nil, "full training takes no adapter")
        precondition(trainable != .adapter || adapter != nil, "there is no adapter to train")
        if let dropout, dropout.probability > 0 { try Self.check(dropout, adapter?.modules ?? []) }
        drops = trainable == .adapter && (dropout?.probability ?? 0) > 0
        let fuses = configuration.family.names.fusedAttention != nil
        precondition(
            !fuses || configuration.rotary == nil && configuration.family.queryKeyNormalization == .none,
            "fused attention inputs are neither rotated nor normalised")
        let layout: ParameterLayout? =
            switch trainable {
            case .everything: full
            case .adapter: adapter?.layout
            case .nothing: nil
            }
        let builder = BlockBuilder(
            configuration: configuration, weights: weights, adapter: adapter, layout: layout,
            dropout: drops ? dropout : nil)
        let names = configuration.family.names
        let embeddingName = "\(names.base)\(names.embedding).weight"
        let headName = configuration.tiesHead ? embeddingName : "\(names.head).weight"
        let positionsName = names.positions.map { "\(names.base)\($0).weight" }
        self.configuration = configuration
        self.layout = layout
        self.recomputes = recomputes
        self.compute = compute
        self.weights = weights
        self.adapter = adapter
        blocks = (0..<configuration.layers).map(builder.block)
        finalNorm = builder.norm(
            names.base + names.finalNorm, configuration.width, hasBias: configuration.family.normalization == .layer)
        embedding = builder.matrix(embeddingName)
        head = builder.matrix(headName)
        let headBiasName = configuration.biases.contains(.head) ? "\(names.head).bias" : nil
        headBias = headBiasName.map(builder.pointer)
        headBiasGradient = headBiasName.flatMap { layout?[$0]?.offset }
        positions = positionsName.map(builder.pointer)
        embeddingGradient = layout?[embeddingName]?.offset
        headGradient = layout?[headName]?.offset
        positionsGradient = positionsName.flatMap { layout?[$0]?.offset }
        lowestTrained =
            embeddingGradient != nil
            ? 0 : blocks.firstIndex { $0.isTrained } ?? configuration.layers
        rotaryTable = configuration.rotary.map(RotaryTable.init)
    }

    /// Experts and routers take no dropout: peft has none there either.
    package static func check(_ dropout: AdapterDropout, _ modules: [AdaptedModule]) throws(ModelError) {
        for module in modules where module.stack > 1 || [.router, .stackedGateUp, .stackedDown].contains(module.slot) {
            throw .invalidAdapter("lora_dropout must be 0 where experts or routers are adapted, as \(module.path) is")
        }
    }

    /// Memory for a pass over `rows` tokens; kept for the next one unless that needs more.
    func activations(rows: Int, trains: Bool) -> Activations {
        let needed = plan(rows: rows, trains: trains)
        if let memory, memory.plan.capacity >= rows, memory.plan.hasGradients || !trains { return memory.activations }
        var grown = needed
        if let old = memory?.plan { grown.capacity = max(rows, old.capacity) }
        // The old buffer goes before the new one comes.
        memory = nil
        let activations = Activations(configuration, grown)
        memory = (grown, activations)
        return activations
    }

    private func plan(rows: Int, trains: Bool) -> Activations.Plan {
        let kept = trains ? configuration.layers - lowestTrained : 0
        return Activations.Plan(
            rows: rows, kept: kept, adapter: adapter?.modules ?? [], recomputes: recomputes, trains: trains,
            drops: drops)
    }
}

extension DecoderConfiguration {
    /// Bytes of activations, and of gradients on their way, in training on micro-batches of `rows` tokens.
    ///
    /// Weights, state, gradient and the head's workspace are not in it. `adapter` nil = full training.
    package func activationBytes(rows: Int, adapter: [AdaptedModule]?, recomputes: Bool) -> Int {
        let lowest = adapter?.map(\.layer).min() ?? 0
        let plan = Activations.Plan(
            rows: rows, kept: layers - lowest, adapter: adapter ?? [], recomputes: recomputes, trains: true,
            drops: false)
        return Activations.count(self, plan) * MemoryLayout<Float>.stride
    }
}
