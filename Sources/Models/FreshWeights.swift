package import Kernels
internal import Terms

extension DecoderConfiguration {
    /// Fresh values of `tensor`, element by element, as the family's reference implementation draws them.
    ///
    /// Matrices are normal with deviation `initializerRange`, each from a stream named by the tensor; norms are 1,
    /// biases 0, the frozen embedding row 0. GPT-2's residual projections have the deviation divided by √(2·layers).
    package func drawFresh(
        _ tensor: TensorSpecification, seed: UInt64, into memory: UnsafeMutablePointer<Float>, team: Team
    ) {
        switch tensor.role {
        case .normWeight: memory.update(repeating: 1, count: tensor.count)
        case .bias, .selectionBias: memory.update(repeating: 0, count: tensor.count)
        case .embedding:
            Self.normal(tensor, initializerRange, seed, memory, team)
            if let frozenRow { (memory + frozenRow * width).update(repeating: 0, count: width) }
        case .residualProjection where family.weights == .convolutional:
            Self.normal(tensor, initializerRange / Double(2 * layers).squareRoot(), seed, memory, team)
        case .positions, .head, .projection, .residualProjection, .router:
            Self.normal(tensor, initializerRange, seed, memory, team)
        }
    }

    /// Normal draws by Box and Muller 1958, two elements a counter.
    private static func normal(
        _ tensor: TensorSpecification, _ deviation: Double, _ seed: UInt64, _ memory: UnsafeMutablePointer<Float>,
        _ team: Team
    ) {
        let random = Philox(seed: seed, purpose: .initialWeights, stream: Philox.stream(named: tensor.name))
        let (count, block) = (tensor.count, 1 << 16)
        nonisolated(unsafe) let memory = memory
        team.run((count + block - 1) / block) { index in
            for element in stride(from: index * block, to: min((index + 1) * block, count), by: 2) {
                let (a, b, c, d) = random.words(UInt64(element / 2))
                // The first uniform lies in (0, 1], so that its logarithm is finite.
                let first = Double((UInt64(a) | UInt64(b) << 32) >> 11) * 0x1p-53 + 0x1p-54
                let second = Double((UInt64(c) | UInt64(d) << 32) >> 11) * 0x1p-53
                let radius = deviation * (-2 * Elementary.logarithm(first)).squareRoot()
                let (cosine, sine) = Elementary.cosineSine(2 * Elementary.pi * second)
                memory[element] = Float(radius * cosine)
                if element + 1 < count { memory[element + 1] = Float(radius * sine) }
            }
        }
    }
}
