import Terms

/// What a tensor is for.
package enum TensorRole: Sendable, Equatable {
    case embedding, positions, head
    /// Weight of a linear layer.
    case projection
    /// Weight of a linear layer that writes to the residual stream.
    case residualProjection
    /// Weight of the layer that chooses experts, which is fp32 in every arithmetic.
    case router
    case normWeight
    /// Bias of a linear layer or of a norm.
    case bias
    /// Takes part in choosing experts; no gradient changes it.
    case selectionBias
}

/// One tensor that a model needs.
package struct TensorSpecification: Sendable, Equatable {
    /// Full name as it stands in the files.
    package let name: String
    /// Dimensions, outermost first.
    package let shape: [Int]
    /// What it is for.
    package let role: TensorRole
    /// Elements.
    package var count: Int { shape.reduce(1, *) }
    /// Whether a frozen copy may be kept as bf16 where products multiply that.
    package var mayBeBF16: Bool { [.embedding, .head, .projection, .residualProjection].contains(role) }
}

/// The tensors of a model, in byte order of their names.
package struct TensorTable: Sendable, Equatable {
    /// In byte order of names.
    package let tensors: [TensorSpecification]
    private let base: String
    private let head: String
    private let unused: [String]

    /// The tensors of `configuration`; a tied head has none of its own.
    package init(_ configuration: DecoderConfiguration) {
        let names = configuration.family.names
        let (vocabulary, width) = (configuration.vocabulary, configuration.width)
        var list = [
            TensorSpecification(
                name: "\(names.base)\(names.embedding).weight", shape: [vocabulary, width], role: .embedding)
        ]
        if let positions = names.positions {
            let shape = [configuration.positions, width]
            list.append(TensorSpecification(name: "\(names.base)\(positions).weight", shape: shape, role: .positions))
        }
        if !configuration.tiesHead {
            list.append(TensorSpecification(name: "\(names.head).weight", shape: [vocabulary, width], role: .head))
        }
        if configuration.biases.contains(.head) {
            list.append(TensorSpecification(name: "\(names.head).bias", shape: [vocabulary], role: .bias))
        }
        list += Self.norm(names.base + names.finalNorm, width, configuration)
        for layer in 0..<configuration.layers { list += Self.layer(layer, configuration) }
        tensors = list.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        base = names.base
        head = "\(names.head).weight"
        unused = configuration.family.unusedTensors
    }

    /// Elements of all tensors.
    package var count: Int { tensors.reduce(0) { $0 + $1.count } }

    /// The tensor called `name`.
    package subscript(name: String) -> TensorSpecification? {
        let place = tensors.indices.partitionPoint {
            tensors[$0].name.utf8.lexicographicallyPrecedes(name.utf8)
        }
        return place < tensors.count && tensors[place].name == name ? tensors[place] : nil
    }

    /// Which of `found` holds each tensor, in the order of `tensors`.
    ///
    /// Names without the family's base prefix are accepted. A copy of a tied head, stored causal masks and stored
    /// rotary frequencies are passed over; anything else left over, missing or of another shape is refused.
    package func places(among found: [(name: String, shape: [Int])]) throws(ModelError) -> [Int] {
        var places: [String: Int] = [:]
        var unexpected: [String] = []
        for (index, tensor) in found.enumerated() {
            if let expected = self[tensor.name] ?? self[base + tensor.name] {
                guard expected.shape == tensor.shape else {
                    throw .shapeMismatch(name: tensor.name, expected: expected.shape, found: tensor.shape)
                }
                places[expected.name] = index
            } else if !isPassedOver(tensor.name, tensor.shape) {
                unexpected.append(tensor.name)
            }
        }
        let missing = tensors.map(\.name).filter { places[$0] == nil }
        guard missing.isEmpty else { throw .missingTensors(missing) }
        guard unexpected.isEmpty else {
            throw .unexpectedTensors(unexpected.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        }
        return tensors.compactMap { places[$0.name] }
    }

    private func isPassedOver(_ name: String, _ shape: [Int]) -> Bool {
        if name == head || unused.contains(where: { name.contains($0) }) { return true }
        if name.hasSuffix(".rotary_emb.inv_freq") || name.hasSuffix(".attn.masked_bias") { return true }
        return name.hasSuffix(".attn.bias") && shape.count == 4 && shape[0] == 1 && shape[1] == 1
    }

    private static func layer(_ layer: Int, _ configuration: DecoderConfiguration) -> [TensorSpecification] {
        let names = configuration.family.names
        let prefix = configuration.layerPrefix(layer)
        var list: [TensorSpecification] = []
        for module in configuration.linearModules(layer: layer) {
            let isResidual = [.output, .down, .expertDown].contains(module.slot)
            let role: TensorRole =
                module.slot == .router ? .router : isResidual ? .residualProjection : .projection
            list.append(TensorSpecification(name: "\(module.path).weight", shape: module.weightShape, role: role))
            if module.hasBias {
                list.append(TensorSpecification(name: "\(module.path).bias", shape: [module.outputs], role: .bias))
            }
        }
        if let name = names.selectionBias, let mixture = configuration.mixture, configuration.isSparse(layer) {
            list.append(
                TensorSpecification(name: prefix + name, shape: [1, mixture.experts], role: .selectionBias))
        }
        let outputNorms = [names.attentionOutputNorm, names.mlpOutputNorm].compactMap(\.self)
        let norms = [names.attentionNorm, names.mlpNorm] + outputNorms
        for norm in norms { list += Self.norm(prefix + norm, configuration.width, configuration) }
        if configuration.family.queryKeyNormalization != .none {
            for norm in [names.queryNorm, names.keyNorm].compactMap(\.self) {
                let shape = [configuration.headWidth]
                list.append(TensorSpecification(name: "\(prefix)\(norm).weight", shape: shape, role: .normWeight))
            }
        }
        return list
    }

    private static func norm(
        _ path: String, _ width: Int, _ configuration: DecoderConfiguration
    ) -> [TensorSpecification] {
        let weight = TensorSpecification(name: "\(path).weight", shape: [width], role: .normWeight)
        guard configuration.family.normalization == .layer else { return [weight] }
        return [weight, TensorSpecification(name: "\(path).bias", shape: [width], role: .bias)]
    }
}
