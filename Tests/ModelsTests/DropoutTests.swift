import Kernels
import Testing

@testable import Models

@Suite struct DropoutTests {
    let model: TinyModel
    let adapter: RandomAdapter

    init() throws {
        model = try TinyModel("qwen3", #""tie_word_embeddings":true"#)
        adapter = RandomAdapter(try AdapterSpecification(rank: 3, alpha: 4).modules(of: model.configuration))
    }

    private func decoder(_ probability: Double, threads: Int = 1, recomputes: Bool = false) throws -> Decoder {
        try Decoder(
            configuration: model.configuration, weights: model.weights, adapter: adapter.adapter, trainable: .adapter,
            compute: Compute(team: Team(threads: threads)), recomputes: recomputes,
            dropout: AdapterDropout(probability: probability, seed: 4))
    }

    private func gradient(
        _ decoder: Decoder, _ batches: [MicroBatch], step: Int = 5
    ) -> (loss: Double, gradient: [Float]) {
        let buffer = FloatBuffer(count: adapter.layout.count)
        let loss = batches.reduce(0.0) { $0 + decoder.lossAndGradient($1, step: step, gradient: buffer.pointer) }
        return (loss, (0..<buffer.count).map { buffer.pointer[$0] })
    }

    @Test func `recomputation and threads change no bit`() throws {
        let plain = gradient(try decoder(0.4), [sampleBatch([30, 9])])
        let others = [try decoder(0.4, threads: 3), try decoder(0.4, recomputes: true)]
        for other in others {
            let again = gradient(other, [sampleBatch([30, 9])])
            #expect(again.loss == plain.loss && again.gradient == plain.gradient)
        }
    }

    @Test func `what is dropped depends on step and place, not on the cut into micro-batches`() throws {
        let documents = sampleDocuments([9, 4, 12])
        func batch(_ indices: Range<Int>) -> MicroBatch {
            let whole = MicroBatch(documents: Array(documents[indices]))
            let places = indices.flatMap { index in
                documents[index].ids.indices.map { UInt64(index) << 32 | UInt64($0) }
            }
            return MicroBatch(
                tokens: whole.tokens, targets: whole.targets, documents: whole.documents, places: places)
        }
        let decoder = try decoder(0.4)

        let whole = gradient(decoder, [batch(0..<3)])
        let parts = gradient(decoder, [batch(0..<1), batch(1..<3)])

        #expect(abs(whole.loss - parts.loss) < 1e-6 * whole.loss)
        let largest = whole.gradient.map(abs).max() ?? 0
        #expect(zip(whole.gradient, parts.gradient).allSatisfy { abs($0 - $1) < 2e-6 * largest })
        #expect(gradient(decoder, [batch(0..<3)], step: 6).loss != whole.loss)
        #expect(gradient(decoder, [sampleBatch([9, 4, 12])]).loss != whole.loss)
    }

    @Test func `without a part to drop, and outside training, nothing is dropped`() throws {
        let batch = sampleBatch([20, 3])
        let plain = try model.decoder(.adapter, adapter: adapter.adapter)
        let loss = gradient(plain, [batch]).loss

        #expect(gradient(try decoder(0), [batch]).loss == loss)
        #expect(try decoder(0.4).loss(batch) == plain.loss(batch))
        #expect(abs(gradient(try decoder(0.4), [batch]).loss - loss) > 1e-3 * loss)
    }

    @Test func `the gradient is the slope of the loss with the same elements dropped`() throws {
        let decoder = try decoder(0.3)
        let batch = sampleBatch()
        let analytic = gradient(decoder, [batch]).gradient
        let largest = analytic.map(abs).max() ?? 0
        for entry in adapter.layout.entries {
            for index in [entry.offset, entry.offset + entry.count / 2] {
                let value = adapter.parameters.pointer + index
                let saved = value.pointee
                func loss(_ step: Float) -> Double {
                    value.pointee = saved + step
                    defer { value.pointee = saved }
                    return gradient(decoder, [batch]).loss
                }
                let numeric = (4 * (loss(0.02) - loss(-0.02)) / 0.04 - (loss(0.04) - loss(-0.04)) / 0.08) / 3
                #expect(abs(numeric - Double(analytic[index])) < 3e-3 * Double(largest), "\(entry.name)")
            }
        }
    }

    @Test func `the part asked for is dropped, and what is left is scaled so that the mean stays`() throws {
        let mask = try #require(DropoutMask(AdapterDropout(probability: 0.2, seed: 4), path: "a.b"))
        let places = (0..<64).map(UInt64.init)
        let ones = [Float](repeating: 1, count: 64 * 201)
        var y = ones
        places.withUnsafeBufferPointer { places in
            guard let base = places.baseAddress else { return }
            mask.apply(
                &y, ones, rows: 64, width: 201, adds: false, Noise(places: base, step: 3),
                Compute(team: Team(threads: 2)))
        }

        #expect(Set(y) == [0, 1.25])
        let dropped = Double(y.count { $0 == 0 }) / Double(y.count)
        #expect(abs(dropped - 0.2) < 0.015)
    }

    @Test func `experts and routers take no dropout`() throws {
        let mixture = try TinyModel.configuration(
            "qwen3_moe", #""num_experts":3,"num_experts_per_tok":2,"moe_intermediate_size":12"#)
        let dropout = AdapterDropout(probability: 0.1, seed: 1)
        let all = try AdapterSpecification(rank: 2, alpha: 2).modules(of: mixture)
        let attention = try AdapterSpecification(rank: 2, alpha: 2, targets: .names(["q_proj"])).modules(of: mixture)
        #expect(throws: ModelError.self) { try Decoder.check(dropout, all) }
        try Decoder.check(dropout, attention)
    }
}
