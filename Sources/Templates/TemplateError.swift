/// Why a chat template can't be read or can't render a conversation.
package enum TemplateError: Error, Equatable, CustomStringConvertible {
    /// The template's text is wrong; `line` counts from 1.
    case syntax(line: Int, problem: String)
    /// A construct of the language that Drover's templates don't have.
    case unsupported(line: Int, construct: String)
    /// An operation that can't work on the values it met.
    case evaluation(line: Int, problem: String)
    /// The template refused the conversation by `raise_exception`.
    case raised(String)
    /// More evaluation steps than a template may take: it probably loops without end.
    case tooManySteps(limit: Int)
    /// More text than a template may build: it grows without bound.
    case tooLong(limit: Int)
    /// Blocks, expressions or macro calls nested deeper than a template may go.
    case tooDeep(limit: Int)
    /// A built-in template that doesn't exist.
    case unknownName(String, known: [String])

    /// What is wrong, where, and what to do about it.
    package var description: String {
        switch self {
        case .syntax(let line, let problem): "chat template, line \(line): \(problem)"
        case .unsupported(let line, let construct):
            "chat template, line \(line): \(construct) is not supported; choose a built-in template by name"
        case .evaluation(let line, let problem): "chat template, line \(line): \(problem)"
        case .raised(let message): "the chat template refuses this conversation: \(message)"
        case .tooManySteps(let limit):
            "the chat template took more than \(limit) steps; it probably loops without end"
        case .tooLong(let limit): "the chat template built more than \(limit) bytes of text and was stopped"
        case .tooDeep(let limit): "the chat template is nested deeper than \(limit) levels and was stopped"
        case .unknownName(let name, let known):
            "there is no built-in template `\(name)`; built-in ones: \(known.joined(separator: ", "))"
        }
    }
}
