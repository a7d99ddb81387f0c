extension ChatTemplate {
    /// Names that `init(builtIn:)` knows.
    package static let builtInNames = sources.map(\.name)

    /// A built-in template by name.
    package init(builtIn name: String) throws(TemplateError) {
        guard let source = Self.sources.first(where: { $0.name == name })?.source else {
            throw .unknownName(name, known: Self.builtInNames)
        }
        try self.init(source: source, name: name, writesTools: ["qwen2.5", "qwen3"].contains(name))
    }

    private static let sources: [(name: String, source: String)] = [
        ("chatml", BuiltIn.chatml), ("qwen2.5", BuiltIn.qwen25), ("qwen3", BuiltIn.qwen3), ("llama3", BuiltIn.llama3),
        ("ernie4_5", BuiltIn.ernie45), ("glm4", BuiltIn.glm4), ("hunyuan", BuiltIn.hunyuan),
        ("openpangu", BuiltIn.openpangu), ("yuan", BuiltIn.yuan), ("alpaca", BuiltIn.alpaca), ("plain", BuiltIn.plain),
    ]
}

/// Texts of the built-in templates.
///
/// Each writes what its model family was trained on and marks what the assistant says, its end-of-turn token included,
/// from where the generation prompt ends. All of them only add text when a message is added.
enum BuiltIn {}
