import Terms
import Testing

@testable import Tokenization

/// tokenizer.json files small enough to read in a test.
enum SmallTokenizer {
    /// A byte-level vocabulary: 256 bytes, then one token a merge; parts are given as text.
    ///
    /// `extra` replaces or adds top-level members, as JSON text.
    static func file(
        merges: [(String, String)], added: String = "[]", normalizer: String = "null",
        preTokenizer: String = #"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}"#,
        decoder: String = #"{"type":"ByteLevel"}"#, postProcessor: String = "null", model: String = ""
    ) -> [UInt8] {
        func spelled(_ text: String) -> String { String(decoding: ByteLevelAlphabet.encode(text.utf8), as: UTF8.self) }
        func quoted(_ text: String) -> String { JSONValue.string(text).text }
        let bytes = (0...255).map { String(decoding: ByteLevelAlphabet.encode([UInt8($0)]), as: UTF8.self) }
        let tokens = bytes + merges.map { spelled($0.0 + $0.1) }
        let vocabulary = tokens.enumerated().map { "\(quoted($1)):\($0)" }.joined(separator: ",")
        let rules = merges.map { "[\(quoted(spelled($0.0))),\(quoted(spelled($0.1)))]" }.joined(separator: ",")
        return json(
            """
            {"version":"1.0","added_tokens":\(added),"normalizer":\(normalizer),"pre_tokenizer":\(preTokenizer),
            "post_processor":\(postProcessor),"decoder":\(decoder),
            "model":{"type":"BPE","vocab":{\(vocabulary)},"merges":[\(rules)]\(model)}}
            """)
    }

    /// One entry of `added_tokens`.
    static func added(_ content: String, _ id: Int, special: Bool = true) -> String {
        "{\"id\":\(id),\"content\":\(JSONValue.string(content).text),\"special\":\(special),\"normalized\":false}"
    }

    static func read(_ file: [UInt8], _ config: String? = nil) throws -> Tokenizer {
        try Tokenizer.read(tokenizerJSON: file, configJSON: config.map(json))
    }
}
