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
    /// The MLP that every token goes through: of a sparse block the shared expert, nil without one.
    var mlp: MLP?
    /// Of a sparse block.
    var experts: Experts?
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
        innerIsTrained || (mlp?.down.isTrained ?? false) || (experts?.isTrained ?? false) || inputs.areTrained
            || output.isTrained || attentionNorm.isTrained || mlpNorm.isTrained
    }
    /// Whether a gradient needs the rows that the MLP or the experts read.
    var usesNormalisedInMLP: Bool {
        innerIsTrained
            || (experts.map { $0.router.isTrained || $0.list.contains { $0.innerIsTrained } } ?? false)
    }
    private var innerIsTrained: Bool { mlp?.innerIsTrained ?? false }

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
            mlpInner: mlpInput || innerIsTrained)
    }
}

/// An MLP: `down(act(gate(x), up(x)))`.
struct MLP {
    /// nil without a gate.
    var gate: Projection?
    var up: Projection
    var down: Projection
    /// Width between its layers.
    var inner: Int { up.outputs }

    var innerIsTrained: Bool { gate?.isTrained ?? false || up.isTrained }
    var isTrained: Bool { innerIsTrained || down.isTrained }
}

/// The router of a sparse block and the experts it chooses from.
struct Experts {
    var router: Projection
    /// `[1, E]` added to probabilities in choosing.
    var selectionBias: UnsafePointer<Float>?
    var list: [MLP]
    /// How many a token goes to.
    var perToken: Int

    var isTrained: Bool { router.isTrained || list.contains(where: \.isTrained) }
}

/// Resolves tensor names to memory and to places in the flat gradient.
struct BlockBuilder {
    let configuration: DecoderConfiguration
    let weights: WeightTable
    let adapter: Adapter?
    /// Of the trained tensors; nil = nothing is trained.
    let layout: ParameterLayout?
    let dropout: AdapterDropout?

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
        guard let output = find(.output) else { preconditionFailure("a block needs an output projection") }
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
            mlp: mlp(modules), experts: configuration.isSparse(layer) ? experts(layer, modules) : nil,
            scale: configuration.attentionScales[layer], window: configuration.windows[layer])
    }

    /// The dense MLP or shared expert among the `modules` of a block.
    private func mlp(_ modules: [LinearModule]) -> MLP? {
        func find(_ slot: LinearSlot) -> Projection? {
            modules.first { $0.slot == slot }.map { projection($0) }
        }
        if let fused = find(.fusedGateUp), let down = find(.down) {
            let inner = configuration.inner
            return MLP(gate: fused.slice(0, inner), up: fused.slice(inner, inner), down: down)
        }
        guard let up = find(.up), let down = find(.down) else { return nil }
        return MLP(gate: find(.gate), up: up, down: down)
    }

    private func experts(_ layer: Int, _ modules: [LinearModule]) -> Experts {
        func list(_ slot: LinearSlot) -> [Projection] { modules.filter { $0.slot == slot }.map(projection) }
        let (gates, ups, downs) = (list(.expertGate), list(.expertUp), list(.expertDown))
        guard let mixture = configuration.mixture, let router = list(.router).first, gates.count == mixture.experts,
            ups.count == mixture.experts, downs.count == mixture.experts
        else { preconditionFailure("a sparse block needs a router and its experts") }
        precondition(configuration.family.block == .preNorm, "no sparse block normalises what experts give")
        let bias = configuration.family.names.selectionBias.map { pointer(configuration.layerPrefix(layer) + $0) }
        return Experts(
            router: router, selectionBias: bias,
            list: zip(zip(gates, ups), downs).map { MLP(gate: $0.0, up: $0.1, down: $1) },
            perToken: mixture.perToken[layer])
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

    /// The same, fp32 or bf16. Packed copies are kept where nothing is trained, as in generation, whose products have
    /// few rows. In training, packing a matrix for each product of a micro-batch costs about a hundredth of the step,
    /// and copies would take as much memory as bf16 weights themselves, or twice that.
    func matrix(_ name: String) -> Matrix {
        guard let tensor = weights[name] else { preconditionFailure("tensor \(name) is missing") }
        return layout == nil ? tensor.matrix.keepingCopies() : tensor.matrix
    }

    private func projection(_ module: LinearModule) -> Projection {
        var projection = Projection(
            inputs: module.inputs, outputs: module.outputs, isTransposed: module.isTransposed,
            weight: matrix("\(module.path).weight"), bias: module.hasBias ? pointer("\(module.path).bias") : nil,
            weightGradient: layout?["\(module.path).weight"]?.offset,
            biasGradient: module.hasBias ? layout?["\(module.path).bias"]?.offset : nil)
        projection.lowRank = lowRank(module)
        projection.isExact = module.slot == .router
        return projection
    }

    /// The factors on `module`: its own, or its part of those of a stack.
    private func lowRank(_ module: LinearModule) -> Projection.LowRank? {
        guard let adapter, let adapted = adapter.modules.first(where: { $0.holds(module) }),
            let a = adapter.layout[adapted.nameA], let b = adapter.layout[adapted.nameB]
        else { return nil }
        // In a stack A's rows lie expert by expert, B's columns rank by rank and the experts side by side in each;
        // rows of B beyond the gate's are those of up.
        let startA = module.expert * adapted.rank * adapted.inputs
        let firstRow = module.slot == .expertUp ? module.outputs : 0
        let startB = firstRow * adapted.rank * adapted.stack + module.expert
        return Projection.LowRank(
            rank: adapted.rank, scale: adapted.scale, a: adapter.parameters + a.offset + startA,
            b: adapter.parameters + b.offset + startB, gradientA: layout?[adapted.nameA].map { $0.offset + startA },
            gradientB: layout?[adapted.nameB].map { $0.offset + startB }, stride: adapted.stack,
            dropout: DropoutMask(dropout, path: adapted.path))
    }
}

extension AdaptedModule {
    /// Whether its factors, or a part of them, sit on `module`.
    fileprivate func holds(_ module: LinearModule) -> Bool {
        switch slot {
        case .stackedGateUp: module.layer == layer && (module.slot == .expertGate || module.slot == .expertUp)
        case .stackedDown: module.layer == layer && module.slot == .expertDown
        default: path == module.path
        }
    }
}
