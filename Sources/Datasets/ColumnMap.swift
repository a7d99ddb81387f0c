/// Which columns of a row mean what, and who speaks in its conversations: the usual names, or those that an entry of
/// LLaMA-Factory's `dataset_info.json` gives.
package struct ColumnMap: Sendable, Equatable {
    /// What a speaker's name in a conversation stands for.
    package enum Speaker: String, Sendable, CaseIterable { case user, assistant, observation, function, system }

    /// Columns of alpaca rows; nil = rows have no such column.
    package var prompt: String? = "instruction"
    package var query: String? = "input"
    /// nil = rows hold nothing but text to go on with.
    package var response: String? = "output"
    package var history: String? = "history"
    /// The list of turns in conversations.
    package var messages = "conversations"
    package var system: String? = "system"
    package var tools: String? = "tools"
    /// Columns of pictures, films and sounds, which can't be trained on.
    package var media: [String] = []
    /// Keys of a turn.
    package var role = "from"
    package var content = "value"
    /// Names of speakers; nil = all that are usual in ShareGPT sets.
    package var speakers: [String: Speaker]?

    /// The usual names.
    package init() {}

    /// The usual names.
    package static let usual = ColumnMap()

    /// The role that a speaker's name means, nil when unknown.
    func role(of name: String) -> String? {
        guard let speakers else { return Roles.fromShareGPT(name) }
        return switch speakers[name] {
        case .user: "user"
        case .assistant, .function: Roles.assistant
        case .observation: "tool"
        case .system: "system"
        case nil: nil
        }
    }

    /// Whether a speaker's turn is a call, written as JSON text.
    func isCall(_ name: String) -> Bool { speakers.map { $0[name] == .function } ?? (name == "function_call") }

    /// The speakers' names, sorted, for messages.
    var speakerNames: String {
        guard let speakers else { return "human, gpt, system, observation, function_call" }
        return speakers.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.joined(separator: ", ")
    }
}
