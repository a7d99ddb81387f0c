internal import Kernels

/// One decoder block's memory and switches.
struct Block {
    var attentionNorm: Norm
    var attentionOutputNorm: Norm?
    var mlpNorm: Norm
    var mlpOutputNorm: Norm?
    var inputs: AttentionInputs
    var queryNorm: Norm?
    var keyNorm: Norm?
    var output: Projection
    /// nil for the MLP without a gate.
    var gate: Projection?
    var up: Projection
    var down: Projection
    var scale: Float
    var window: Int?

    /// How queries, keys and values come about.
    enum AttentionInputs {
        case separate(query: Projection, key: Projection, value: Projection)
        /// `[T, query ‖ key ‖ value]` in one product.
        case fused(Projection)

        var areTrained: Bool {
            switch self {
            case .separate(let query, let key, let value): query.isTrained || key.isTrained || value.isTrained
            case .fused(let projection): projection.isTrained
            }
        }
    }

    var isTrained: Bool {
        mlpIsTrained || inputs.areTrained || output.isTrained || attentionNorm.isTrained || mlpNorm.isTrained
    }
    private var mlpIsTrained: Bool { (gate?.isTrained ?? false) || up.isTrained || down.isTrained }

    /// Which gradients the backward pass must form in this block, so that it does nothing in vain.
    struct Needs {
        /// With respect to the attention norm's output.
        var attentionInput: Bool
        /// With respect to queries, keys and values.
        var heads: Bool
        /// With respect to the attention branch's output.
        var attentionBranch: Bool
        /// With respect to the MLP norm's output.
        var mlpInput: Bool
        /// With respect to gate and up.
        var mlpInner: Bool
    }

    /// What is needed when something below the block is trained or not.
    func needs(below: Bool) -> Needs {
        let attentionInput = below || attentionNorm.isTrained
        let heads = attentionInput || inputs.areTrained || (queryNorm?.isTrained ?? false)
        let attentionBranch = heads || output.isTrained || (attentionOutputNorm?.isTrained ?? false)
        let mlpInput = attentionBranch || mlpNorm.isTrained
        return Needs(
            attentionInput: attentionInput, heads: heads, attentionBranch: attentionBranch, mlpInput: mlpInput,
            mlpInner: mlpInput || up.isTrained || (gate?.isTrained ?? false))
    }
}

/// Resolves tensor names to memory and to places in the flat gradient.
struct BlockBuilder {
    let configuration: DecoderConfiguration
    let weights: WeightTable
    let adapter: Adapter?
    /// Of the trained tensors; nil = nothing is trained.
    let layout: ParameterLayout?

    func block(_ layer: Int) -> Block {
        let names = configuration.family.names
        let prefix = configuration.layerPrefix(layer)
        let modules = configuration.linearModules(layer: layer)
        func find(_ slot: LinearSlot) -> Projection? {
            modules.first { $0.slot == slot }.map { projection($0) }
        }
        let inputs: Block.AttentionInputs
        if let fused = find(.fusedAttention) {
            inputs = .fused(fused)
        } else if let query = find(.query), let key = find(.key), let value = find(.value) {
            inputs = .separate(query: query, key: key, value: value)
        } else {
            preconditionFailure("a block needs query, key and value projections")
        }
        let fusedGateUp = find(.fusedGateUp)
        let gate = fusedGateUp?.slice(0, configuration.inner) ?? find(.gate)
        let up = fusedGateUp?.slice(configuration.inner, configuration.inner) ?? find(.up)
        guard let output = find(.output), let up, let down = find(.down) else {
            preconditionFailure("a block needs output, up and down projections")
        }
        let width = configuration.width
        let normalisesHeads = configuration.family.queryKeyNormalization != .none
        func headNorm(_ name: String?) -> Norm? {
            normalisesHeads ? name.map { norm(prefix + $0, configuration.headWidth, hasBias: false) } : nil
        }
        let hasBias = configuration.family.normalization == .layer
        return Block(
            attentionNorm: norm(prefix + names.attentionNorm, width, hasBias: hasBias),
            attentionOutputNorm: names.attentionOutputNorm.map { norm(prefix + $0, width, hasBias: hasBias) },
            mlpNorm: norm(prefix + names.mlpNorm, width, hasBias: hasBias),
            mlpOutputNorm: names.mlpOutputNorm.map { norm(prefix + $0, width, hasBias: hasBias) },
            inputs: inputs, queryNorm: headNorm(names.queryNorm), keyNorm: headNorm(names.keyNorm), output: output,
            gate: gate, up: up, down: down, scale: configuration.attentionScales[layer],
            window: configuration.windows[layer])
    }

    /// The norm whose tensors begin with `path`.
    func norm(_ path: String, _ width: Int, hasBias: Bool) -> Norm {
        Norm(
            width: width, epsilon: Float(configuration.epsilon), weight: pointer("\(path).weight"),
            bias: hasBias ? pointer("\(path).bias") : nil, weightGradient: layout?["\(path).weight"]?.offset,
            biasGradient: hasBias ? layout?["\(path).bias"]?.offset : nil)
    }

    /// The memory of a tensor, which the decoder has checked to be there.
    func pointer(_ name: String) -> UnsafePointer<Float> {
        guard let tensor = weights[name] else { preconditionFailure("tensor \(name) is missing") }
        return tensor.pointer
    }

    private func projection(_ module: LinearModule) -> Projection {
        var projection = Projection(
            inputs: module.inputs, outputs: module.outputs, isTransposed: module.isTransposed,
            weight: pointer("\(module.path).weight"), bias: module.hasBias ? pointer("\(module.path).bias") : nil,
            weightGradient: layout?["\(module.path).weight"]?.offset,
            biasGradient: module.hasBias ? layout?["\(module.path).bias"]?.offset : nil)
        guard let adapter, let adapted = adapter.modules.first(where: { $0.path == module.path }),
            let a = adapter.layout[adapted.nameA], let b = adapter.layout[adapted.nameB]
        else { return projection }
        projection.lowRank = Projection.LowRank(
            rank: adapted.rank, scale: adapted.scale, a: adapter.parameters + a.offset,
            b: adapter.parameters + b.offset, gradientA: layout?[adapted.nameA]?.offset,
            gradientB: layout?[adapted.nameB]?.offset)
        return projection
    }
}
