import Kernels
import Models
import Testing

@Suite struct DecoderExactnessTests {
    /// Whether `count` elements have the same bits; a plain answer keeps failures readable.
    private func same(_ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, _ count: Int) -> Bool {
        (0..<count).allSatisfy { left[$0].bitPattern == right[$0].bitPattern }
    }

    private func same(_ left: FloatBuffer, _ right: FloatBuffer) -> Bool {
        left.count == right.count && same(left.pointer, right.pointer, left.count)
    }

    private func gradient(_ decoder: Decoder, _ batches: [MicroBatch]) -> (loss: Double, gradient: FloatBuffer) {
        let buffer = FloatBuffer(count: decoder.layout?.count ?? 0)
        let loss = batches.reduce(0.0) { $0 + decoder.lossAndGradient($1, gradient: buffer.pointer) }
        return (loss, buffer)
    }

    @Test(arguments: variants.indices)
    func `packed documents give the bits of separate ones`(variant: Int) throws {
        let model = try TinyModel(variants[variant].modelType, variants[variant].changes)
        let decoder = try model.decoder(.nothing)
        let documents = sampleDocuments([7, 1, 5, 16])
        let vocabulary = model.configuration.vocabulary

        let packed = MicroBatch(documents: documents)
        let together = FloatBuffer(count: packed.tokens.count * vocabulary)
        decoder.logits(packed, rows: 0..<packed.tokens.count, into: together.pointer)

        var row = 0
        for document in documents {
            let alone = FloatBuffer(count: document.ids.count * vocabulary)
            decoder.logits(
                MicroBatch(documents: [document]), rows: 0..<document.ids.count, into: alone.pointer)
            #expect(same(together.pointer + row * vocabulary, alone.pointer, alone.count))
            row += document.ids.count
        }
    }

    @Test(arguments: variants.indices)
    func `recomputing changes no bit of the gradient`(variant: Int) throws {
        let model = try TinyModel(variants[variant].modelType, variants[variant].changes)

        let kept = gradient(try model.decoder(), [sampleBatch()])
        let recomputed = gradient(try model.decoder(recomputes: true), [sampleBatch()])

        #expect(kept.loss == recomputed.loss)
        #expect(same(kept.gradient, recomputed.gradient))
    }

    @Test(arguments: [0, 3, 8, 10, 11, 13, 15])
    func `the number of threads changes no bit of the gradient`(variant: Int) throws {
        let model = try TinyModel(variants[variant].modelType, variants[variant].changes)
        let batch = sampleBatch([40, 1, 25, 64])

        let one = gradient(try model.decoder(threads: 1), [batch])
        for threads in 2...3 {
            let more = gradient(try model.decoder(threads: threads), [batch])
            #expect(one.loss == more.loss)
            #expect(same(one.gradient, more.gradient))
        }
    }

    @Test func `memory left by a longer batch changes no bit of a shorter one`() throws {
        let model = try TinyModel("qwen3")
        let fresh = gradient(try model.decoder(), [sampleBatch([5])])

        let used = try model.decoder()
        _ = gradient(used, [sampleBatch([33, 12])])
        _ = used.loss(sampleBatch([3]))
        let again = gradient(used, [sampleBatch([5])])

        #expect(fresh.loss == again.loss)
        #expect(same(fresh.gradient, again.gradient))
    }

    @Test func `eight documents at once are four times two accumulated`() throws {
        let model = try TinyModel("qwen3", #""tie_word_embeddings":true"#)
        let documents = sampleDocuments([9, 4, 12, 7, 3, 15, 8, 6])
        let pairs = stride(from: 0, to: 8, by: 2).map { MicroBatch(documents: Array(documents[$0..<$0 + 2])) }

        let whole = gradient(try model.decoder(), [MicroBatch(documents: documents)])
        let parts = gradient(try model.decoder(), pairs)

        #expect(abs(whole.loss - parts.loss) < 1e-6 * whole.loss)
        let largest = (0..<whole.gradient.count).map { abs(whole.gradient.pointer[$0]) }.max() ?? 0
        for index in 0..<whole.gradient.count {
            #expect(abs(whole.gradient.pointer[index] - parts.gradient.pointer[index]) < 1e-6 * largest)
        }
    }

    @Test func `a fresh adapter changes no bit of the logits`() throws {
        let model = try TinyModel("llama")
        let modules = try AdapterSpecification(rank: 4, alpha: 8).modules(of: model.configuration)
        let adapter = RandomAdapter(modules)
        for entry in adapter.layout.entries where entry.name.contains("lora_B") {
            (adapter.parameters.pointer + entry.offset).update(repeating: 0, count: entry.count)
        }

        let plain = try model.decoder(.nothing).loss(sampleBatch())
        let adapted = try model.decoder(.nothing, adapter: adapter.adapter).loss(sampleBatch())

        #expect(plain == adapted)
    }

    @Test func `row losses add up to the loss and are zero where untrained`() throws {
        let model = try TinyModel("gpt2")
        let batch = sampleBatch()
        let rows = FloatBuffer(count: batch.tokens.count)

        let loss = try model.decoder(.nothing).loss(batch, rowLosses: rows.pointer)

        let sum = (0..<rows.count).reduce(0.0) { $0 + Double(rows.pointer[$1]) }
        #expect(abs(sum - loss) < 1e-4)
        for (index, target) in batch.targets.enumerated() where target < 0 { #expect(rows.pointer[index] == 0) }
    }

    @Test func `a batch without trained targets has no loss and no gradient`() throws {
        let model = try TinyModel("qwen2")
        let batch = MicroBatch(documents: [([1, 2, 3], [-100, -100, -100]), ([4], [4])])
        let result = gradient(try model.decoder(), [batch])

        #expect(result.loss == 0)
        #expect((0..<result.gradient.count).allSatisfy { result.gradient.pointer[$0] == 0 })
    }
}
