import Terms

/// A way to write a conversation as text: a checkpoint's own template or a built-in one.
package struct ChatTemplate: Sendable {
    /// The built-in name, or `checkpoint`.
    package let name: String
    /// The text of the template; its digest belongs in a token cache's key and in the manifest.
    package let source: String
    private let template: Template
    private let limits: RenderLimits
    /// Whether descriptions and calls of tools are written; a template that would leave them out refuses them.
    private let writesTools: Bool

    /// A template in Jinja's language.
    package init(
        source: String, name: String = "checkpoint", limits: RenderLimits = RenderLimits(), writesTools: Bool = true
    ) throws(TemplateError) {
        self.name = name
        self.source = source
        self.limits = limits
        self.writesTools = writesTools
        template = try Template(source)
    }

    /// Whether `{% generation %}` blocks tell what the model is to say.
    package var marksGenerations: Bool { template.hasGenerations }

    /// Roles whose names count as template text, so that `<|{{ role }}|>` can be a turn marker.
    private static let trustedRoles: Set<String> = [
        "system", "developer", "user", "assistant", "tool", "function", "ipython", "observation",
    ]

    /// The text of a conversation with its marks.
    package func render(_ input: ChatInput) throws(TemplateError) -> Rendering {
        if !writesTools, input.tools?.isEmpty == false || input.messages.contains(where: { $0["tool_calls"] != nil }) {
            throw .raised("the built-in template \(name) has no tools; use the checkpoint's own, qwen2.5 or qwen3")
        }
        var variables: [(name: String, value: Value)] = input.variables.members.map {
            ($0.key, Value($0.value, isData: false))
        }
        let log = input.openTexts.map(OpenTextLog.init)
        variables.append(("messages", .list(input.messages.map { Self.message($0, log) })))
        variables.append(("tools", input.tools.map { .list($0.map { Value($0, isData: true) }) } ?? .none))
        variables.append(("documents", .none))
        variables.append(("add_generation_prompt", .bool(input.addGenerationPrompt)))
        return try template.render(variables, date: input.date, limits: limits, openTexts: log)
    }

    private static func message(_ message: JSONObject, _ log: OpenTextLog?) -> Value {
        var dict = ValueDict()
        for (key, value) in message.members {
            let isTrusted = key == "role" && trustedRoles.contains(value.string ?? "")
            var known = Value(value, isData: !isTrusted)
            if let log, key != "role", let number = value.string.flatMap({ Int($0) }) {
                known = .open(OpenTexts.place(number), log)
            }
            dict.insert(.text(MarkedText(data: key)), known)
        }
        return .dict(dict)
    }
}
