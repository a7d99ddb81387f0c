import Kernels
import Models
import Terms
import Testing

@Suite struct GenerationTests {
    private let team = Team(threads: 2)

    @Test(arguments: variants.indices)
    func `a session gives the logits of a pass without a cache`(variant: Int) throws {
        let model = try TinyModel(variants[variant].modelType, variants[variant].changes)
        let decoder = try model.decoder(.nothing)
        let ids = sampleDocuments([14])[0].ids
        let whole = FloatBuffer(count: 14 * 29)
        decoder.logits(MicroBatch(documents: [(ids, ids)]), rows: 0..<14, into: whole.pointer)

        let session = DecodingSession(decoder, capacity: 14)
        var row = -1
        // A prompt at once, single tokens, then several tokens behind a filled cache.
        for count in [6, 1, 1, 4, 2] {
            let logits = session.append(Array(ids[session.length..<session.length + count]))
            row += count
            let difference = (0..<29).map { abs(logits[$0] - whole.pointer[row * 29 + $0]) }.max() ?? 1
            #expect(difference < 1e-5, "row \(row)")
        }
        #expect(session.length == 14)
    }

    @Test func `a truncated session goes on as if the rest had never been`() throws {
        let decoder = try TinyModel("qwen3").decoder(.nothing)
        let session = DecodingSession(decoder, capacity: 20)
        _ = session.append([1, 2, 3, 4])
        let expected = session.append([5])

        session.truncate(to: 2)
        _ = session.append([3, 4])
        let again = session.append([5])

        #expect(zip(expected, again).allSatisfy { abs($0 - $1) < 1e-5 })
    }

    @Test func `greedy choice takes the likeliest token, the first among equals`() {
        let sampler = Sampler(temperature: 0)
        #expect(sampler.next([0, 3, 1, 3], after: [], place: 0) == 1)
    }

    @Test func `a repetition penalty divides positive and multiplies negative logits, once a token`() {
        let sampler = Sampler(temperature: 0, repetitionPenalty: 2)
        #expect(sampler.next([4, 3, -1], after: [0, 0, 0], place: 0) == 1)
        #expect(sampler.next([-1, -1.5, -4], after: [0], place: 0) == 1)
        #expect(sampler.next([4, 1, -1], after: [0, 99], place: 0) == 0)
    }

    /// How often each token is drawn at the first 4,000 places.
    private func shares(_ sampler: Sampler, _ logits: [Float]) -> [Double] {
        var counts = Array(repeating: 0.0, count: logits.count)
        for place in 0..<4000 { counts[Int(sampler.next(logits, after: [], place: place))] += 1 / 4000 }
        return counts
    }

    @Test func `draws follow the softmax at the given temperature`() {
        let logits: [Float] = [1, 0, 2, -1]
        for temperature in [0.5, 1, 2] {
            let weights = logits.map { Elementary.exponential(Double($0) / temperature) }
            let total = weights.reduce(0, +)
            let found = shares(Sampler(temperature: temperature, seed: 7), logits)
            for (share, weight) in zip(found, weights) { #expect(abs(share - weight / total) < 0.03) }
        }
    }

    @Test func `top-k and top-p leave only the likeliest tokens`() {
        let logits: [Float] = [1, 0, 2, -1]
        #expect(shares(Sampler(topK: 2), logits).map { $0 > 0 } == [true, false, true, false])
        #expect(shares(Sampler(topK: 1), logits)[2] > 0.9999)
        // The probabilities are 0.24, 0.09, 0.64, 0.03: two tokens reach 0.7, three 0.9.
        #expect(shares(Sampler(topP: 0.7), logits).map { $0 > 0 } == [true, false, true, false])
        #expect(shares(Sampler(topP: 0.9), logits).map { $0 > 0 } == [true, true, true, false])
        #expect(shares(Sampler(topP: 1e-9), logits)[2] > 0.9999)
    }

    @Test func `a draw depends on seed and place alone`() {
        let logits: [Float] = Array(repeating: 0, count: 64)
        let one = (0..<32).map { Sampler(seed: 1).next(logits, after: [], place: $0) }
        #expect(one == (0..<32).map { Sampler(seed: 1).next(logits, after: [5], place: $0) })
        #expect(one != (0..<32).map { Sampler(seed: 2).next(logits, after: [], place: $0) })
        #expect(Set(one).count > 16)
    }

    @Test func `fresh weights have the spread, the ones and the zeros of their roles`() throws {
        let configuration = try TinyModel.configuration(
            "gpt2", #""vocab_size":401,"initializer_range":0.5"#)
        for tensor in TensorTable(configuration).tensors {
            let buffer = FloatBuffer(count: tensor.count)
            configuration.drawFresh(tensor, seed: 3, into: buffer.pointer, team: team)
            let values = (0..<tensor.count).map { Double(buffer.pointer[$0]) }
            let mean = values.reduce(0, +) / Double(values.count)
            let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)).squareRoot()
            switch tensor.role {
            case .normWeight: #expect(values.allSatisfy { $0 == 1 })
            case .bias: #expect(values.allSatisfy { $0 == 0 })
            case .residualProjection: #expect(abs(deviation - 0.25) < 0.04, "\(tensor.name)")
            default: #expect(abs(deviation - 0.5) < 0.04 && abs(mean) < 0.06, "\(tensor.name)")
            }
        }
    }

    @Test func `fresh weights depend on the tensor's name and the seed alone, and the padding row is zero`() throws {
        func draw(_ modelType: String, _ changes: String, _ seed: UInt64) throws -> [Float] {
            let configuration = try TinyModel.configuration(modelType, changes)
            let tensor = try #require(TensorTable(configuration)["model.embed_tokens.weight"])
            let buffer = FloatBuffer(count: tensor.count)
            configuration.drawFresh(tensor, seed: seed, into: buffer.pointer, team: team)
            return (0..<tensor.count).map { buffer.pointer[$0] }
        }
        #expect(try draw("llama", "", 1) == draw("qwen3", #""num_hidden_layers":1"#, 1))
        #expect(try draw("llama", "", 1) != draw("llama", "", 2))
        let padded = try draw("llama", #""pad_token_id":2"#, 1)
        #expect(padded[48..<72].allSatisfy { $0 == 0 } && padded[47] != 0 && padded[72] != 0)
    }
}
