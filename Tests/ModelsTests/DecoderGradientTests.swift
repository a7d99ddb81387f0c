import Kernels
import Models
import Terms
import Testing

@Suite struct DecoderGradientTests {
    /// Compares the gradient with central differences along a random direction in each tensor.
    private func check(
        _ decoder: Decoder, _ layout: ParameterLayout, _ parameters: UnsafeMutablePointer<Float>, _ label: String
    ) {
        let batch = sampleBatch()
        let gradient = FloatBuffer(count: layout.count)
        let loss = decoder.lossAndGradient(batch, gradient: gradient.pointer)
        #expect(abs(loss - decoder.loss(batch)) < 1e-9 * loss)
        for entry in layout.entries where !entry.isFixed {
            let random = Philox(seed: 9, purpose: .probe, stream: Philox.stream(named: entry.name))
            let values = parameters + entry.offset
            let saved = (0..<entry.count).map { values[$0] }
            var direction = (0..<entry.count).map { Float(random.uniform(UInt64($0)) - 0.5) }
            if let row = frozenRow(decoder, entry) {
                for column in row { direction[column] = 0 }
            }
            let size = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
            func loss(at step: Float) -> Double {
                for index in 0..<entry.count { values[index] = saved[index] + step * direction[index] / size }
                return decoder.loss(batch)
            }
            let step: Float = 0.02
            // Richardson: the error of the central difference is of fourth order.
            let near = (loss(at: step) - loss(at: -step)) / Double(2 * step)
            let far = (loss(at: 2 * step) - loss(at: -2 * step)) / Double(4 * step)
            let numeric = (4 * near - far) / 3
            for index in 0..<entry.count { values[index] = saved[index] }
            let analytic = (0..<entry.count).reduce(0.0) {
                $0 + Double(gradient.pointer[entry.offset + $1] * direction[$1] / size)
            }
            let norm = (0..<entry.count).reduce(0.0) {
                $0 + Double(gradient.pointer[entry.offset + $1] * gradient.pointer[entry.offset + $1])
            }.squareRoot()
            #expect(abs(numeric - analytic) < 3e-3 * (norm + 0.1), "\(label) \(entry.name): \(numeric) vs \(analytic)")
        }
    }

    /// The elements of the embedding row that look-ups don't train: its gradient is no slope, on purpose.
    private func frozenRow(_ decoder: Decoder, _ entry: ParameterLayout.Entry) -> Range<Int>? {
        guard entry.name.hasSuffix("embed_tokens.weight"), let row = decoder.configuration.frozenRow else { return nil }
        return row * entry.shape[1]..<(row + 1) * entry.shape[1]
    }

    @Test func `look-ups of the padding token train nothing`() throws {
        let model = try TinyModel("llama", #""pad_token_id":5"#)
        let gradient = FloatBuffer(count: model.layout.count)
        let batch = MicroBatch(documents: [([5, 7, 5, 9], [5, 7, 5, 9])])

        _ = try model.decoder().lossAndGradient(batch, gradient: gradient.pointer)

        let entry = try #require(model.layout["model.embed_tokens.weight"])
        let rows = (0..<29).map { row in
            (0..<24).contains { gradient.pointer[entry.offset + row * 24 + $0] != 0 }
        }
        #expect(rows[7] && !rows[5])
    }

    @Test(arguments: smoothVariants.indices)
    func `every tensor's gradient is the slope of the loss`(variant: Int) throws {
        let model = try TinyModel(smoothVariants[variant].modelType, smoothVariants[variant].changes)
        check(try model.decoder(), model.layout, model.parameters.pointer, "\(smoothVariants[variant])")
    }

    @Test(arguments: smoothVariants.indices)
    func `every adapter factor's gradient is the slope of the loss`(variant: Int) throws {
        let model = try TinyModel(smoothVariants[variant].modelType, smoothVariants[variant].changes)
        let modules = try AdapterSpecification(rank: 3, alpha: 4).modules(of: model.configuration)
        let adapter = RandomAdapter(modules)
        let decoder = try model.decoder(.adapter, adapter: adapter.adapter)
        check(decoder, adapter.layout, adapter.parameters.pointer, "\(smoothVariants[variant])")
    }

    @Test(arguments: ["q_proj", "gate", "down_proj", "model.layers.1.self_attn.o_proj"])
    func `an adapter on one part of a mixture has the gradient of the whole`(target: String) throws {
        let model = try TinyModel(
            "qwen3_moe", #""num_experts":5,"num_experts_per_tok":2,"moe_intermediate_size":12,"norm_topk_prob":true"#)
        let all = RandomAdapter(try AdapterSpecification(rank: 2, alpha: 4).modules(of: model.configuration))
        let names = [target]
        let some = RandomAdapter(
            try AdapterSpecification(rank: 2, alpha: 4, targets: .names(names)).modules(of: model.configuration))
        for entry in all.layout.entries where some.layout[entry.name] == nil && entry.name.contains("lora_B") {
            (all.parameters.pointer + entry.offset).update(repeating: 0, count: entry.count)
        }

        let batch = sampleBatch()
        let (whole, part) = (FloatBuffer(count: all.layout.count), FloatBuffer(count: some.layout.count))
        _ = try model.decoder(.adapter, adapter: all.adapter).lossAndGradient(batch, gradient: whole.pointer)
        _ = try model.decoder(.adapter, adapter: some.adapter).lossAndGradient(batch, gradient: part.pointer)

        #expect(!some.layout.entries.isEmpty)
        for entry in some.layout.entries {
            let other = try #require(all.layout[entry.name])
            for index in 0..<entry.count {
                #expect(abs(part.pointer[entry.offset + index] - whole.pointer[other.offset + index]) < 1e-5)
            }
        }
    }

    @Test(arguments: ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj", "model.layers.1.mlp.gate_proj"])
    func `an adapter on one kind of layer has the gradient of the whole`(target: String) throws {
        let model = try TinyModel("qwen3")
        let all = RandomAdapter(try AdapterSpecification(rank: 2, alpha: 4).modules(of: model.configuration))
        let some = RandomAdapter(
            try AdapterSpecification(rank: 2, alpha: 4, targets: .names([target])).modules(of: model.configuration))
        // The layers left out have a zero B, so that both decoders are the same function.
        for entry in all.layout.entries where some.layout[entry.name] == nil && entry.name.contains("lora_B") {
            (all.parameters.pointer + entry.offset).update(repeating: 0, count: entry.count)
        }

        let batch = sampleBatch()
        let (whole, part) = (FloatBuffer(count: all.layout.count), FloatBuffer(count: some.layout.count))
        _ = try model.decoder(.adapter, adapter: all.adapter).lossAndGradient(batch, gradient: whole.pointer)
        _ = try model.decoder(.adapter, adapter: some.adapter).lossAndGradient(batch, gradient: part.pointer)

        for entry in some.layout.entries {
            let other = try #require(all.layout[entry.name])
            for index in 0..<entry.count {
                #expect(abs(part.pointer[entry.offset + index] - whole.pointer[other.offset + index]) < 1e-5)
            }
        }
    }
}

/// An adapter with both factors random.
final class RandomAdapter {
    let adapter: Adapter
    let parameters: FloatBuffer
    var layout: ParameterLayout { adapter.layout }

    init(_ modules: [AdaptedModule], seed: UInt64 = 5) {
        let layout = ParameterLayout(adapter: modules)
        parameters = FloatBuffer(count: layout.count)
        for entry in layout.entries where !entry.isFixed {
            let random = Philox(seed: seed, purpose: .probe, stream: Philox.stream(named: entry.name))
            for index in 0..<entry.count {
                parameters.pointer[entry.offset + index] = Float(random.uniform(UInt64(index)) - 0.5)
            }
        }
        adapter = Adapter(modules: modules, parameters: parameters.pointer, owner: parameters)
    }
}
