import Kernels
import Models
import Terms
import Testing

/// A model small enough for finite differences, with every tensor random and none special.
final class TinyModel {
    let configuration: DecoderConfiguration
    let layout: ParameterLayout
    let parameters: FloatBuffer

    var weights: WeightTable { WeightTable(layout, in: parameters.pointer, owner: parameters) }

    /// The common shape, with `changes` to its keys; 8 fits the default head width of 24 / 3.
    init(_ modelType: String, _ changes: String = "", seed: UInt64 = 1) throws {
        configuration = try Self.configuration(modelType, changes)
        layout = ParameterLayout(full: TensorTable(configuration))
        parameters = FloatBuffer(count: layout.count)
        for entry in layout.entries {
            let random = Philox(seed: seed, purpose: .probe, stream: Philox.stream(named: entry.name))
            let isNorm = entry.shape.count == 1 && entry.name.hasSuffix("weight")
            for element in 0..<entry.count {
                let draw = Float(random.uniform(UInt64(element)) - 0.5)
                parameters.pointer[entry.offset + element] = isNorm ? 1 + 0.4 * draw : 0.8 * draw
            }
        }
    }

    static func configuration(_ modelType: String, _ changes: String = "") throws -> DecoderConfiguration {
        let shape =
            modelType == "gpt2"
            ? #""vocab_size":29,"n_embd":24,"n_layer":2,"n_head":4,"n_positions":64,"n_inner":20"#
            : #"""
            "vocab_size":29,"hidden_size":24,"intermediate_size":20,"num_hidden_layers":2,"num_attention_heads":4,\#
            "num_key_value_heads":2,"head_dim":8,"max_position_embeddings":64
            """#
        let more = changes.isEmpty ? "" : ",\(changes)"
        let json = try JSONValue.parse(Array("{\"model_type\":\"\(modelType)\",\(shape)\(more)}".utf8))
        return try DecoderConfiguration.read(json: json)
    }

    func decoder(
        _ trainable: Trainable = .everything, adapter: Adapter? = nil, threads: Int = 1, recomputes: Bool = false,
        _ arithmetic: Arithmetic = .fp32, native operands: NativeProducts.Operands? = nil
    ) throws -> Decoder {
        try Decoder(
            configuration: configuration, weights: weights, adapter: adapter, trainable: trainable,
            compute: Compute(team: Team(threads: threads)).using(
                arithmetic, native: operands.map { NativeProducts($0, threads: threads) }), recomputes: recomputes)
    }
}

/// Three documents, one of a single token, some targets untrained.
func sampleBatch(_ lengths: [Int] = [7, 1, 5], seed: UInt64 = 3, vocabulary: UInt64 = 29) -> MicroBatch {
    MicroBatch(documents: sampleDocuments(lengths, seed: seed, vocabulary: vocabulary))
}

func sampleDocuments(_ lengths: [Int], seed: UInt64 = 3, vocabulary: UInt64 = 29) -> [(ids: [Int32], labels: [Int32])] {
    lengths.enumerated().map { index, length in
        let random = Philox(seed: seed, purpose: .probe, stream: UInt64(index))
        let ids = (0..<length).map { Int32(random.below(vocabulary, UInt64($0))) }
        let labels = ids.enumerated().map { $0 % 4 == 2 ? -100 : $1 }
        return (ids, labels)
    }
}

/// The variants that between them take every value of every switch.
let variants: [(modelType: String, changes: String)] = [
    ("llama", ""),
    ("llama", #""attention_bias":true,"mlp_bias":true,"tie_word_embeddings":true,"pad_token_id":5"#),
    ("llama", #""rope_scaling":{"type":"linear","factor":2.0}"#),
    ("qwen3", #""tie_word_embeddings":true"#),
    ("qwen3", #""attention_bias":true"#),
    ("qwen2", #""use_sliding_window":true,"sliding_window":3,"max_window_layers":1"#),
    ("mistral", #""sliding_window":4"#),
    ("ernie4_5", #""use_bias":true"#),
    ("hunyuan_v1_dense", #""rope_scaling":{"type":"dynamic","alpha":1000.0,"factor":1.0}"#),
    ("glm", ""), ("glm4", ""),
    ("gpt2", ""), ("gpt2", #""scale_attn_by_inverse_layer_idx":true"#),
    ("qwen3_moe", #""num_experts":5,"num_experts_per_tok":2,"moe_intermediate_size":12,"norm_topk_prob":true"#),
    ("qwen3_moe", #""num_local_experts":3,"num_experts_per_tok":2,"moe_intermediate_size":12,"mlp_only_layers":[0]"#),
    ("ernie4_5_moe", #""moe_num_experts":4,"moe_k":2,"moe_intermediate_size":8,"use_bias":true"#),
    ("hunyuan_v1_moe", #""num_experts":4,"moe_topk":[2,1],"tie_word_embeddings":true"#),
]

/// The variants in which a small step changes nothing by leaps: mixtures send every token to all experts.
let smoothVariants =
    variants.filter { !$0.modelType.hasSuffix("_moe") } + [
        ("qwen3_moe", #""num_experts":3,"num_experts_per_tok":3,"moe_intermediate_size":12,"norm_topk_prob":true"#),
        ("qwen3_moe", #""num_experts":2,"num_experts_per_tok":2,"moe_intermediate_size":12,"mlp_only_layers":[0]"#),
        ("ernie4_5_moe", #""moe_num_experts":2,"moe_k":2,"moe_intermediate_size":8,"use_bias":true"#),
        ("hunyuan_v1_moe", #""num_experts":2,"moe_topk":2,"tie_word_embeddings":true"#),
    ]
