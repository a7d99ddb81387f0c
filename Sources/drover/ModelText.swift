import Datasets
import Hashing
import ModelFiles
import Templates
import Terms
import Tokenization

/// A model's way with text: its tokenizer and its chat template.
struct ModelText {
    let tokenizer: Tokenizer
    /// SHA-256 over the tokenizer's files.
    let digest: Digest
    private let checkpointTemplate: String?

    /// Bytes of the largest tokenizer file that is read.
    private static let fileLimit = 256 << 20

    /// Whether a directory has any tokenizer that can be read.
    static func isPresent(_ files: TokenizerFiles) -> Bool {
        ["tokenizer.json", "tokenizer.model", "qwen.tiktoken"].contains { files.path(of: $0) != nil }
    }

    /// Reads the tokenizer of an opened model directory.
    init(_ model: ModelDirectory) throws { try self.init(model.tokenizer) }

    /// Reads a directory's tokenizer: tokenizer.json, else a SentencePiece model, else Qwen's tiktoken file.
    init(_ files: TokenizerFiles) throws {
        func bytes(_ name: String) throws -> [UInt8]? {
            try files.path(of: name).map { try Disk.read($0, limit: Self.fileLimit) }
        }
        let configuration = try bytes("tokenizer_config.json")
        let vocabulary: [UInt8]
        do {
            if let json = try bytes("tokenizer.json") {
                vocabulary = json
                tokenizer = try Tokenizer.read(tokenizerJSON: json, configJSON: configuration)
            } else if let model = try bytes("tokenizer.model") {
                vocabulary = model
                tokenizer = try Tokenizer.read(sentencePiece: model, configJSON: configuration)
            } else if let ranks = try bytes("qwen.tiktoken") {
                vocabulary = ranks
                tokenizer = try Tokenizer.read(tiktoken: ranks, scheme: .qwen, configJSON: configuration)
            } else {
                throw Failure.input(
                    "\(files.directory): there is no tokenizer.json, tokenizer.model or qwen.tiktoken; copy the "
                        + "tokenizer's files there")
            }
        } catch let error as TokenizationError { throw Failure.input("\(files.directory)/\(error)") }
        checkpointTemplate = try Self.template(bytes, tokenizer)
        digest = Digest.sha256(of: vocabulary + (configuration ?? []))
    }

    /// The checkpoint's own template: a file of its own wins over tokenizer_config.json.
    private static func template(_ bytes: (String) throws -> [UInt8]?, _ tokenizer: Tokenizer) throws -> String? {
        if let text = try bytes("chat_template.jinja") { return String(decoding: text, as: UTF8.self) }
        if let json = try bytes("chat_template.json"), let value = try? JSONValue.parse(json),
            let text = template(in: value["chat_template"])
        {
            return text
        }
        return template(in: tokenizer.chatTemplate)
    }

    /// `chat_template` of a tokenizer_config.json: a text, or a list of named ones of which `default` counts.
    private static func template(in value: JSONValue?) -> String? {
        if let text = value?.string { return text }
        let named = value?.array ?? []
        return (named.first { $0["name"]?.string == "default" } ?? named.first)?["template"]?.string
    }

    /// The template of that name; `auto` = the checkpoint's own, nil when it has none.
    func template(named name: String) throws -> ChatTemplate? {
        do {
            guard name == "auto" else { return try ChatTemplate(builtIn: name) }
            return try checkpointTemplate.map { try ChatTemplate(source: $0) }
        } catch { throw Failure.input(["template: \(error)"]) }
    }

    /// `bos_token`, `eos_token` and their like, for templates.
    var variables: JSONObject {
        JSONObject(tokenizer.specialTokens.sorted { $0.key < $1.key }.map { (key: $0.key, value: .string($0.value)) })
    }

    /// The tokenizer as data sets want it.
    var encoder: any TextEncoder { TokenizerEncoder(tokenizer) }
}
