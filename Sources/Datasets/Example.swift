package import Terms

/// One row of a dataset, in the one shape that all formats are brought to.
package enum Example: Sendable, Equatable {
    /// A document, all of it trained.
    case text(String)
    /// Tokens that somebody else made; `labels` are aligned with `ids`, −100 = untrained.
    case tokens(ids: [Int32], labels: [Int32])
    /// A plain prompt and what is to follow it.
    case completion(prompt: String, completion: String)
    /// Turns, to be written by a chat template.
    case chat(Conversation)
}

/// Turns of a conversation, as chat templates expect them.
package struct Conversation: Sendable, Equatable {
    /// Messages in order.
    package var turns: [Turn]
    /// JSON schemas of callable functions; nil when the row has none.
    package var tools: [JSONValue]?

    /// A conversation of the given turns.
    package init(turns: [Turn], tools: [JSONValue]? = nil) {
        self.turns = turns
        self.tools = tools
    }
}

/// One message of a conversation.
package struct Turn: Sendable, Equatable {
    /// One of `Roles.known`.
    package var role: String
    /// Everything the template may read, `role` included, nulls left out.
    package var message: JSONObject
    /// Whether the model is to learn to say it.
    package var isTrained: Bool

    /// A turn with all members given.
    package init(role: String, message: JSONObject, isTrained: Bool) {
        self.role = role
        self.message = message
        self.isTrained = isTrained
    }

    /// A turn with text content; assistant turns are trained.
    package init(_ role: String, _ content: String) {
        self.init(
            role: role, message: JSONObject([("role", .string(role)), ("content", .string(content))]),
            isTrained: role == Roles.assistant)
    }
}

/// The roles of a conversation and their names in other formats.
package enum Roles {
    /// The role whose turns are trained.
    package static let assistant = "assistant"

    /// Roles that a row may have; anything else is a fault, so that no row invents a turn marker.
    package static let known = ["system", "developer", "user", "assistant", "tool", "function", "ipython"]

    /// The role that ShareGPT's `from` means; nil when unknown.
    package static func fromShareGPT(_ name: String) -> String? {
        switch name {
        case "human", "user": "user"
        case "gpt", "assistant", "chatgpt", "bing", "bard", "model", "bot", "function_call": "assistant"
        case "system": "system"
        case "observation", "tool", "function_response", "tool_response": "tool"
        default: nil
        }
    }
}
