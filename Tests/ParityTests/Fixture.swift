import Foundation
import Kernels
import ModelFiles
import Models
import Terms
import Testing
import Training

/// One tiny checkpoint and what PyTorch computed on it; scripts/parity/make_fixtures.py says what is in it.
struct Fixture: Sendable {
    let path: String
    let model: ModelDirectory
    let expected: JSONValue
    let tensors: SafetensorsFile

    /// Every folder under Fixtures.
    static let families = [
        "ernie4_5", "ernie4_5-bias", "ernie4_5_moe", "ernie4_5_moe-bias", "glm", "glm4", "gpt2", "hunyuan_v1_dense",
        "hunyuan_v1_dense-alpha", "hunyuan_v1_moe", "llama", "llama-bias", "llama-linear", "llama-llama3", "mistral",
        "qwen2", "qwen3-gqa", "qwen3-tied", "qwen3-untied", "qwen3_moe", "qwen3_moe-dense",
    ]
    /// Those with config.old.json.
    static let oldDialects = [
        "glm4", "hunyuan_v1_dense-alpha", "hunyuan_v1_moe", "llama-llama3", "qwen3-gqa", "qwen3_moe",
    ]

    /// The committed fixtures, or those that scripts/parity/fresh-seed has made.
    private static var folder: String {
        get throws {
            if let other = ProcessInfo.processInfo.environment["DROVER_PARITY_FIXTURES"] { return other }
            return try #require(Bundle.module.url(forResource: "Fixtures", withExtension: nil)).path
        }
    }

    init(_ family: String) throws {
        path = "\(try Self.folder)/\(family)"
        model = try ModelDirectory(path: path)
        expected = try Disk.readJSON(path + "/expected.json")
        tensors = try SafetensorsFile(path: path + "/expected.safetensors")
    }

    /// The values PyTorch has for the tensor `name`.
    func values(_ name: String) throws -> [Float] { try tensors.floats(of: try #require(tensors[name], "\(name)")) }

    /// The two documents, each on its own.
    func documents() throws -> [MicroBatch] {
        try #require(expected["documents"]?.array).map { MicroBatch(documents: [try Self.document($0)]) }
    }

    /// The ragged batch of the gradients.
    func batch() throws -> [Document] { try Self.documents(try #require(expected["batch"])) }

    /// The batches of the twenty steps.
    func steps() throws -> [[Document]] { try #require(expected["steps"]?.array).map(Self.documents) }

    typealias Document = (ids: [Int32], labels: [Int32])

    private static func documents(_ json: JSONValue) throws -> [Document] {
        try #require(json.array).map(document)
    }

    private static func document(_ json: JSONValue) throws -> Document {
        func integers(_ key: String) throws -> [Int32] {
            try #require(json[key]?.array).map { Int32(try #require($0.int)) }
        }
        return (try integers("ids"), try integers("labels"))
    }
}

/// A decoder for forward passes only, with the memory it stands on.
final class Reader {
    let decoder: Decoder
    private let owners: [LoadedWeights]
    private let parameters: FloatBuffer

    init(_ model: ModelDirectory, configuration: DecoderConfiguration? = nil, adapter: AdapterDirectory? = nil) throws {
        let weights = try model.loadWeights()
        let factors = try adapter?.loadWeights()
        parameters = FloatBuffer(count: max(adapter?.layout.count ?? 0, 1))
        for entry in adapter?.layout.entries ?? [] {
            let factor = try #require(factors?.table[entry.name])
            (parameters.pointer + entry.offset).update(from: factor.pointer, count: entry.count)
        }
        let memory = UnsafePointer(parameters.pointer)
        decoder = try Decoder(
            configuration: configuration ?? model.configuration, weights: weights.table,
            adapter: adapter.map { Adapter(modules: $0.modules, parameters: memory) }, trainable: .nothing,
            compute: Compute(team: Team(threads: 1)))
        owners = [weights, factors].compactMap(\.self)
    }

    /// Logits `[T, V]` of every token of `batch`.
    func logits(_ batch: MicroBatch) -> [Float] { decoder.allLogits(batch) }

    /// Sum of −log p over the trained targets.
    func loss(_ batch: MicroBatch) -> Double { decoder.loss(batch) }
}

extension Decoder {
    /// Logits `[T, V]` of every token of `batch`.
    func allLogits(_ batch: MicroBatch) -> [Float] {
        let count = batch.tokens.count * configuration.vocabulary
        return [Float](unsafeUninitializedCapacity: count) { buffer, initialised in
            logits(batch, rows: 0..<batch.tokens.count, into: buffer.baseAddress!)
            initialised = count
        }
    }
}

/// The largest difference of two equally long arrays.
func difference(_ left: [Float], _ right: [Float]) -> Float {
    guard left.count == right.count else { return .infinity }
    var largest: Float = 0
    for (one, other) in zip(left, right) {
        let distance = abs(one - other)
        if !(distance <= largest) { largest = distance.isNaN ? .infinity : distance }
    }
    return largest
}

/// The length of `left − right` over the length of `right`; over 1e-3 when `right` is shorter than that.
func relativeDistance(_ left: some Collection<Float>, _ right: [Float]) -> Double {
    guard left.count == right.count else { return .infinity }
    var (distance, length) = (0.0, 0.0)
    for (one, other) in zip(left, right) {
        distance += (Double(one) - Double(other)) * (Double(one) - Double(other))
        length += Double(other) * Double(other)
    }
    let quotient = distance.squareRoot() / max(length.squareRoot(), 1e-3)
    return quotient.isNaN ? .infinity : quotient
}
