/// Which files that turn text into tokens stand in a model directory.
package struct TokenizerFiles: Sendable, Equatable {
    package let directory: String
    /// Names of the files that are there, in the order of `known`.
    package let names: [String]

    /// Every file name that belongs to a tokenizer or a chat template.
    package static let known = [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
        "merges.txt", "tokenizer.model", "qwen.tiktoken", "chat_template.jinja", "chat_template.json",
    ]

    /// Looks at what `directory` holds; opens nothing.
    package init(directory: String) {
        self.directory = directory
        names = Self.known.filter { Disk.hasFile(joinPath(directory, $0)) }
    }

    /// Path of the file `name`, nil when it is not there.
    package func path(of name: String) -> String? {
        names.contains(name) ? joinPath(directory, name) : nil
    }

    /// Path of tokenizer.json, the one file that says everything about a tokenizer.
    package var tokenizer: String? { path(of: "tokenizer.json") }
    /// Path of tokenizer_config.json.
    package var configuration: String? { path(of: "tokenizer_config.json") }
    /// Path of a SentencePiece model.
    package var sentencePiece: String? { path(of: "tokenizer.model") }
    /// Path of a chat template that stands in a file of its own.
    package var chatTemplate: String? { path(of: "chat_template.jinja") }
}
