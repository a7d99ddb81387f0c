import Terms

/// What `BPETrainer` learned, ready to be written as the files of a Hugging Face model directory.
package struct TrainedVocabulary: Sendable, Equatable {
    /// Two ids that become the next id after all before.
    package struct Merge: Sendable, Equatable {
        /// The id of the first part.
        package var left: Int32
        /// The id of the second part.
        package var right: Int32
    }

    /// Bytes of each token by id: 256 single bytes, then one a merge.
    package let tokens: [[UInt8]]
    /// Merge i makes token 256 + i.
    package let merges: [Merge]
    /// Their ids follow those of `tokens`.
    package let specialTokens: [String]

    /// Ids in all.
    package var count: Int { tokens.count + specialTokens.count }

    /// tokenizer.json as Hugging Face `tokenizers` reads it: Qwen2's normaliser and pre-tokenizer over this vocabulary.
    package var tokenizerJSON: [UInt8] {
        let split: JSONValue = .members([
            "type": .string("Split"), "pattern": .members(["Regex": .string(Splitter.qwen2Pattern)]),
            "behavior": .string("Isolated"), "invert": .bool(false),
        ])
        let document: JSONValue = .members([
            "version": .string("1.0"), "truncation": .null, "padding": .null,
            "added_tokens": .array(
                specialTokens.indices.map {
                    .object(JSONObject([("id", .int(tokens.count + $0))] + flags($0)))
                }),
            "normalizer": .members(["type": .string("NFC")]),
            "pre_tokenizer": .members(["type": .string("Sequence"), "pretokenizers": .array([split, byteLevel])]),
            "post_processor": byteLevel, "decoder": byteLevel, "model": model,
        ])
        return document.encoded()
    }

    private var byteLevel: JSONValue {
        .members([
            "type": .string("ByteLevel"), "add_prefix_space": .bool(false), "trim_offsets": .bool(false),
            "use_regex": .bool(false),
        ])
    }

    private var model: JSONValue {
        let spellings = tokens.map { String(decoding: ByteLevelAlphabet.encode($0), as: UTF8.self) }
        return .members([
            "type": .string("BPE"), "dropout": .null, "unk_token": .null, "continuing_subword_prefix": .null,
            "end_of_word_suffix": .null, "fuse_unk": .bool(false), "byte_fallback": .bool(false),
            "ignore_merges": .bool(false),
            "vocab": .object(JSONObject(spellings.enumerated().map { ($1, .int($0)) })),
            "merges": .array(
                merges.map {
                    .array([.string(spellings[Int($0.left)]), .string(spellings[Int($0.right)])])
                }),
        ])
    }

    private func flags(_ special: Int) -> [(key: String, value: JSONValue)] {
        [
            ("content", .string(specialTokens[special])), ("single_word", .bool(false)), ("lstrip", .bool(false)),
            ("rstrip", .bool(false)), ("normalized", .bool(false)), ("special", .bool(true)),
        ]
    }

    /// tokenizer_config.json with a ChatML template.
    ///
    /// - Parameters:
    ///   - eos: the special token that ends a turn, and generation.
    ///   - pad: the special token for padding.
    ///   - contextLength: what the model was made for, in tokens.
    package func configJSON(
        eos: String = "<|im_end|>", pad: String = "<|endoftext|>", contextLength: Int
    ) -> [UInt8] {
        let added = specialTokens.indices.map {
            (key: String(tokens.count + $0), value: JSONValue.object(JSONObject(flags($0))))
        }
        let document: JSONValue = .members([
            "tokenizer_class": .string("PreTrainedTokenizerFast"), "model_max_length": .int(contextLength),
            "added_tokens_decoder": .object(JSONObject(added)), "bos_token": .null, "eos_token": .string(eos),
            "pad_token": .string(pad), "unk_token": .null, "clean_up_tokenization_spaces": .bool(false),
            "chat_template": .string(Self.chatML),
        ])
        return document.encoded()
    }

    /// ChatML: every prefix of a conversation renders to a prefix of its text.
    package static let chatML = """
        {%- for message in messages %}\
        {{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}\
        {%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}
        """
}
