import Models
import Terms

@testable import ModelFiles

/// Tiny models whose every element is a different small number.
enum TinyModel {
    static let qwen3 = """
        {"model_type":"qwen3","architectures":["Qwen3ForCausalLM"],"vocab_size":11,"hidden_size":8,
         "intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":4,
         "rms_norm_eps":1e-6,"max_position_embeddings":64,"rope_theta":10000,"tie_word_embeddings":true,
         "torch_dtype":"bfloat16","eos_token_id":5}
        """
    static let gpt2 = """
        {"model_type":"gpt2","architectures":["GPT2LMHeadModel"],"vocab_size":11,"n_embd":8,"n_layer":1,"n_head":2,
         "n_positions":16,"n_inner":12,"layer_norm_epsilon":1e-5,"activation_function":"gelu_new","eos_token_id":[3,4]}
        """

    static func configuration(_ json: String) throws -> DecoderConfiguration {
        try DecoderConfiguration.read(json: try JSONValue.parse(json))
    }

    /// Element `index` of the tensor `name`: a multiple of 1/256 that bfloat16 holds exactly.
    static func value(_ name: String, _ index: Int) -> Float {
        let hash = name.utf8.reduce(index) { ($0 &* 31 &+ Int($1)) & 0xFFFF }
        return Float(hash % 255 - 127) / 256
    }

    static func values(_ name: String, _ count: Int) -> [Float] { (0..<count).map { value(name, $0) } }

    /// Writes tensors of `value`s to a safetensors file.
    static func write(_ tensors: [TensorDescription], to path: String, storage: WeightStorage = .fp32) throws {
        let scratch = UnsafeMutablePointer<Float>.allocate(capacity: tensors.map(\.count).max() ?? 1)
        defer { scratch.deallocate() }
        try SafetensorsWriter.write(to: path, tensors: tensors, storage: storage) { tensor in
            for index in 0..<tensor.count { scratch[index] = value(tensor.name, index) }
            return UnsafePointer(scratch)
        }
    }

    static func tensors(_ configuration: DecoderConfiguration) -> [TensorDescription] {
        TensorTable(configuration).tensors.map { TensorDescription(name: $0.name, shape: $0.shape) }
    }

    /// Writes config.json and model.safetensors of the model `json` into `folder`.
    static func write(
        _ json: String, in folder: TemporaryFolder,
        tensors change: ([TensorDescription]) -> [TensorDescription] = { $0 }
    ) throws {
        folder.write(json, to: "config.json")
        try write(change(tensors(try configuration(json))), to: folder.file("model.safetensors"))
    }
}

extension WeightTable {
    /// All elements of a tensor.
    func floats(_ name: String) -> [Float]? {
        self[name].map { Array(UnsafeBufferPointer(start: $0.pointer, count: $0.shape.reduce(1, *))) }
    }
}
