/// Which linear layer of a block.
package enum LinearSlot: Sendable, Equatable {
    case query, key, value
    /// Query, key and value in one matrix.
    case fusedAttention
    case output, gate, up
    /// Gate and up in one matrix, gate first.
    case fusedGateUp
    case down
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

    /// The linear layers of all blocks, layer by layer.
    package var linearModules: [LinearModule] { (0..<layers).flatMap { linearModules(layer: $0) } }

    /// Name prefix of everything in block `layer`, with its trailing dot.
    func layerPrefix(_ layer: Int) -> String { "\(family.names.base)\(family.names.layers)\(layer)." }
}
