import Kernels
import Models
import Testing

/// Models whose matrix products multiply bf16: the same promises as in fp32.
@Suite struct RoundedDecoderTests {
    private func gradient(_ decoder: Decoder, _ batch: MicroBatch) -> (loss: Double, gradient: [Float]) {
        let buffer = FloatBuffer(count: decoder.layout?.count ?? 0)
        let loss = decoder.lossAndGradient(batch, gradient: buffer.pointer)
        return (loss, (0..<buffer.count).map { buffer.pointer[$0] })
    }

    private func isSame(_ left: [Float], _ right: [Float]) -> Bool {
        left.count == right.count && zip(left, right).allSatisfy { $0.bitPattern == $1.bitPattern }
    }

    /// Rounding; the native path with fp32 operands, which every machine can take; and where there is one, itself.
    private static let paths: [NativeProducts.Operands?] =
        [nil, .fp32] + (Compute.hasNativeBF16 ? [NativeProducts.Operands.bf16] : [])

    @Test(arguments: variants.indices, paths)
    func `packed documents give the bits of separate ones in bf16 too`(
        variant: Int, path: NativeProducts.Operands?
    ) throws {
        let model = try TinyModel(variants[variant].modelType, variants[variant].changes)
        let decoder = try model.decoder(.nothing, .bf16, native: path)
        let vocabulary = model.configuration.vocabulary
        func logits(_ documents: [(ids: [Int32], labels: [Int32])]) -> [Float] {
            let batch = MicroBatch(documents: documents)
            let memory = FloatBuffer(count: batch.tokens.count * vocabulary)
            decoder.logits(batch, rows: 0..<batch.tokens.count, into: memory.pointer)
            return (0..<memory.count).map { memory.pointer[$0] }
        }
        let documents = sampleDocuments([7, 1, 5, 16, 40])

        #expect(isSame(logits(documents), documents.flatMap { logits([$0]) }))
    }

    @Test(arguments: variants.indices, paths)
    func `neither recomputing nor threads change a bit in bf16`(
        variant: Int, path: NativeProducts.Operands?
    ) throws {
        let model = try TinyModel(variants[variant].modelType, variants[variant].changes)
        let batch = sampleBatch([40, 1, 25])

        let kept = gradient(try model.decoder(.everything, .bf16, native: path), batch)
        let recomputed = gradient(
            try model.decoder(threads: 3, recomputes: true, .bf16, native: path), batch)

        #expect(kept.loss == recomputed.loss)
        #expect(isSame(kept.gradient, recomputed.gradient))
    }

    @Test(arguments: smoothVariants.indices)
    func `a bf16 gradient points where the fp32 one does`(variant: Int) throws {
        let model = try TinyModel(smoothVariants[variant].modelType, smoothVariants[variant].changes)
        let batch = sampleBatch([12, 9, 15])

        let exact = gradient(try model.decoder(), batch)
        let rounded = gradient(try model.decoder(.everything, .bf16), batch)

        #expect(abs(rounded.loss - exact.loss) < 0.01 * exact.loss)
        #expect(rounded.loss != exact.loss)
        func product(_ left: [Float], _ right: [Float]) -> Double {
            zip(left, right).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        }
        let norms = (product(exact.gradient, exact.gradient) * product(rounded.gradient, rounded.gradient)).squareRoot()
        // Weights this large are harder on rounding than any trained model's.
        #expect(product(exact.gradient, rounded.gradient) >= 0.998 * norms)
    }

    @Test(arguments: ["llama", "gpt2", "glm4"], paths)
    func `weights kept as bf16 give the bits of the same ones in fp32`(
        modelType: String, path: NativeProducts.Operands?
    ) throws {
        let model = try TinyModel(modelType)
        let table = TensorTable(model.configuration)
        var kept: [[UInt16]] = []
        for entry in model.layout.entries where table[entry.name]?.mayBeBF16 == true {
            // What bf16 can hold, in both.
            let values = (0..<entry.count).map { model.parameters.pointer[entry.offset + $0].bitPattern >> 16 }
            for (index, value) in values.enumerated() {
                model.parameters.pointer[entry.offset + index] = Float(bitPattern: value << 16)
            }
            kept.append(values.map { UInt16(truncatingIfNeeded: $0) })
        }
        let halves = UnsafeMutablePointer<UInt16>.allocate(capacity: model.parameters.count)
        defer { halves.deallocate() }
        var (place, number) = (0, 0)
        let list = model.layout.entries.map { entry -> (name: String, shape: [Int], memory: Matrix.Memory) in
            guard table[entry.name]?.mayBeBF16 == true else {
                return (entry.name, entry.shape, .fp32(model.parameters.pointer + entry.offset))
            }
            defer { (place, number) = (place + entry.count, number + 1) }
            (halves + place).initialize(from: kept[number], count: entry.count)
            return (entry.name, entry.shape, .bf16(halves + place))
        }
        let adapter = RandomAdapter(try AdapterSpecification(rank: 3, alpha: 6).modules(of: model.configuration))
        let wide = try model.decoder(.adapter, adapter: adapter.adapter, .bf16, native: path)
        let native = path.map { NativeProducts($0, threads: 2) }
        let narrow = try Decoder(
            configuration: model.configuration, weights: WeightTable(mixed: list), adapter: adapter.adapter,
            trainable: .adapter, compute: Compute(team: Team(threads: 2)).using(.bf16, native: native))

        let (one, two) = (gradient(wide, sampleBatch()), gradient(narrow, sampleBatch()))

        #expect(one.loss == two.loss)
        #expect(isSame(one.gradient, two.gradient))
    }
}
