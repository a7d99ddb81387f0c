/// Which linear layer of a block.
package enum LinearSlot: Sendable, Equatable {
    case query, key, value
    /// Query, key and value in one matrix.
    case fusedAttention
    case output, gate, up
    /// Gate and up in one matrix, gate first.
    case fusedGateUp
    case down
    /// Chooses experts.
    case router
    /// Of one expert.
    case expertGate, expertUp, expertDown
    /// Gate and up of all experts of a block, gate first in each; only adapters know them as one.
    case stackedGateUp
    /// Down of all experts of a block, likewise.
    case stackedDown
}

/// One linear layer as the files and adapters know it.
package struct LinearModule: Sendable, Equatable {
    /// Module path, for instance `model.layers.0.self_attn.q_proj`.
    package let path: String
    /// The block it belongs to, from 0.
    package let layer: Int
    /// Its place in the block.
    package let slot: LinearSlot
    /// Width of its input.
    package let inputs: Int
    /// Width of its output.
    package let outputs: Int
    /// Whether it adds a bias.
    package let hasBias: Bool
    /// Whether the weight is stored `[in, out]`.
    package let isTransposed: Bool
    /// Which expert it belongs to, 0 outside them.
    package var expert = 0
    /// How many layers of these widths it stands for: the experts of a stack, else 1.
    package var stack = 1
    /// Shape of the weight as stored.
    package var weightShape: [Int] { isTransposed ? [inputs, outputs] : [outputs, inputs] }
}

extension DecoderConfiguration {
    /// The linear layers of block `layer`, in the order they run; the head is none of them.
    package func linearModules(layer: Int) -> [LinearModule] {
        let names = family.names
        let transposed = family.weights == .convolutional
        func module(
            _ name: String, _ slot: LinearSlot, _ inputs: Int, _ outputs: Int, _ bias: BiasSet
        ) -> LinearModule {
            LinearModule(
                path: layerPrefix(layer) + name, layer: layer, slot: slot, inputs: inputs, outputs: outputs,
                hasBias: biases.contains(bias), isTransposed: transposed)
        }
        var modules: [LinearModule] = []
        if let fused = names.fusedAttention {
            modules.append(module(fused, .fusedAttention, width, queryWidth + 2 * keyValueWidth, .queryKeyValue))
        } else {
            modules.append(module(names.query, .query, width, queryWidth, .queryKeyValue))
            modules.append(module(names.key, .key, width, keyValueWidth, .queryKeyValue))
            modules.append(module(names.value, .value, width, keyValueWidth, .queryKeyValue))
        }
        modules.append(module(names.output, .output, queryWidth, width, .output))
        if isSparse(layer) { return modules + sparseModules(layer) }
        switch (family.activation, names.fusedGateUp) {
        case (.gatedSilu, let fused?): modules.append(module(fused, .fusedGateUp, width, 2 * inner, .mlp))
        case (.gatedSilu, nil):
            modules.append(module(names.gate, .gate, width, inner, .mlp))
            modules.append(module(names.up, .up, width, inner, .mlp))
        case (.gelu, _): modules.append(module(names.up, .up, width, inner, .mlp))
        }
        modules.append(module(names.down, .down, inner, width, .mlp))
        return modules
    }

    /// Router, shared expert and experts of the sparse block `layer`.
    private func sparseModules(_ layer: Int) -> [LinearModule] {
        guard let mixture else { return [] }
        let (names, prefix) = (family.names, layerPrefix(layer))
        /// The layers of an MLP whose names have `place` where a dense one has `mlp`.
        func mlp(_ place: String, _ slots: [LinearSlot], _ inner: Int, hasBias: Bool, expert: Int) -> [LinearModule] {
            zip([names.gate, names.up, names.down], slots).map { name, slot in
                let isDown = name == names.down
                return LinearModule(
                    path: prefix + place + name.dropFirst("mlp".count), layer: layer, slot: slot,
                    inputs: isDown ? inner : width, outputs: isDown ? width : inner, hasBias: hasBias,
                    isTransposed: false, expert: expert)
            }
        }
        var modules = [
            LinearModule(
                path: prefix + names.router, layer: layer, slot: .router, inputs: width, outputs: mixture.experts,
                hasBias: false, isTransposed: false)
        ]
        if mixture.sharedInner > 0 {
            modules += mlp(
                names.sharedExpert, [.gate, .up, .down], mixture.sharedInner, hasBias: biases.contains(.mlp), expert: 0)
        }
        let slots: [LinearSlot] = [.expertGate, .expertUp, .expertDown]
        for expert in 0..<mixture.experts {
            modules += mlp("\(names.experts).\(expert)", slots, mixture.inner, hasBias: false, expert: expert)
        }
        return modules
    }

    /// What an adapter can sit on, layer by layer: linear layers, and of sparse blocks the experts as two stacks, whose
    /// paths are those of transformers' fused parameters.
    package var adapterSites: [LinearModule] {
        (0..<layers).flatMap { layer in
            let modules = linearModules(layer: layer)
            guard let mixture, isSparse(layer) else { return modules }
            let experts = layerPrefix(layer) + family.names.experts
            return modules.filter { ![.expertGate, .expertUp, .expertDown].contains($0.slot) } + [
                LinearModule(
                    path: "\(experts).gate_up_proj", layer: layer, slot: .stackedGateUp, inputs: width,
                    outputs: 2 * mixture.inner, hasBias: false, isTransposed: false, stack: mixture.experts),
                LinearModule(
                    path: "\(experts).down_proj", layer: layer, slot: .stackedDown, inputs: mixture.inner,
                    outputs: width, hasBias: false, isTransposed: false, stack: mixture.experts),
            ]
        }
    }

    /// The linear layers of all blocks, layer by layer.
    package var linearModules: [LinearModule] { (0..<layers).flatMap { linearModules(layer: $0) } }

    /// Name prefix of everything in block `layer`, with its trailing dot.
    func layerPrefix(_ layer: Int) -> String { "\(family.names.base)\(family.names.layers)\(layer)." }
}
