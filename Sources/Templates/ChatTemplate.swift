import Terms

/// A way to write a conversation as text: a checkpoint's own template or a built-in one.
package struct ChatTemplate: Sendable {
    /// The built-in name, or `checkpoint`.
    package let name: String
    /// The text of the template; its digest belongs in a token cache's key and in the manifest.
    package let source: String
    /// Whether `{% generation %}` blocks tell what the model is to say.
    package let marksGenerations: Bool

    /// Names that `init(builtIn:)` knows.
    package static let builtInNames = ["chatml"]

    /// A built-in template by name.
    package init(builtIn name: String) throws(TemplateError) {
        guard name == "chatml" else { throw .unknownName(name, known: Self.builtInNames) }
        self.name = name
        source = "chatml"
        marksGenerations = true
    }

    /// The text of a conversation with its marks.
    package func render(_ input: ChatInput) throws(TemplateError) -> Rendering {
        var rendering = Rendering(text: MarkedText())
        for message in input.messages {
            let role = message["role"]?.string ?? ""
            rendering.text.append(MarkedText(template: "<|im_start|>\(role)\n"))
            let start = rendering.text.count
            rendering.text.append(MarkedText(data: message["content"]?.string ?? ""))
            rendering.text.append(MarkedText(template: "<|im_end|>\n"))
            if role == "assistant" { rendering.generationRanges.append(start..<rendering.text.count) }
        }
        if input.addGenerationPrompt { rendering.text.append(MarkedText(template: "<|im_start|>assistant\n")) }
        return rendering
    }
}
