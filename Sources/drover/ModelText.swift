import Datasets
import Foundation
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

    /// Reads the tokenizer of an opened model directory.
    init(_ model: ModelDirectory) throws {
        let files = model.tokenizer
        func bytes(_ path: String?) throws -> [UInt8]? {
            try path.map { Array(try Data(contentsOf: URL(fileURLWithPath: $0))) }
        }
        let configuration = try bytes(files.configuration)
        guard let json = try bytes(files.tokenizer) else {
            throw Failure.input(["\(model.path): there is no tokenizer.json"])
        }
        do { tokenizer = try Tokenizer.read(tokenizerJSON: json, configJSON: configuration) } catch {
            throw Failure.input(["\(model.path)/tokenizer.json: \(error)"])
        }
        let template = try bytes(files.chatTemplate).map { String(decoding: $0, as: UTF8.self) }
        checkpointTemplate = template ?? Self.template(in: tokenizer.chatTemplate)
        digest = Digest.sha256(of: json + (configuration ?? []))
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
    var encoder: any TextEncoder { Encoder(tokenizer: tokenizer) }

    private struct Encoder: TextEncoder {
        let tokenizer: Tokenizer
        var endOfText: Int32? { tokenizer.eosID }
        var addedTokens: [Datasets.AddedToken] {
            tokenizer.addedTokens.map {
                Datasets.AddedToken(
                    id: $0.id, text: $0.content, isSpecial: $0.isSpecial, stripsLeft: $0.stripsLeft, stripsRight: $0.stripsRight)
            }
        }
        /// Without a closing end-of-text: the sample's maker adds that itself.
        func document(_ text: String) -> [Int32] {
            var ids = tokenizer.encode(text, addSpecialTokens: true, matchSpecials: false)
            if let end = tokenizer.eosID, ids.last == end { ids.removeLast() }
            return ids
        }
        func piece(_ text: String) -> [Int32] { tokenizer.encode(text, addSpecialTokens: false, matchSpecials: false) }
        func text(of ids: [Int32]) -> String { tokenizer.decode(ids) }
    }
}
