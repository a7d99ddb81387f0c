import ArgumentParser
import Datasets
import ModelFiles
import Terms
import Tokenization

/// `drover generate`: lets a model go on from a text, or answer one question.
struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lets a model go on from a prompt.",
        discussion: """
            The prompt is plain text, with the tokens that the tokenizer puts before one; with --chat it is one user
            turn, written by the model's chat template. Only the answer is printed. --prompts-file takes one prompt a
            line and prints one JSON object a line.
            """)

    @OptionGroup var model: ModelOptions
    @OptionGroup var generation: GenerationOptions

    @Option(parsing: .unconditional, help: "The text to go on from.")
    var prompt: String?

    @Option(help: "A file with one prompt a line.")
    var promptsFile: String?

    @Flag(help: "The prompt is a user's turn of a conversation.")
    var chat = false

    @Option(parsing: .unconditional, help: "With --chat: a system message.")
    var system: String?

    @Option(help: "With --chat: a built-in template in place of the model's own.")
    var template = "auto"

    @Flag(help: "One JSON object a prompt.")
    var json = false

    func validate() throws {
        guard (prompt == nil) != (promptsFile == nil) else { throw ValidationError("give --prompt or --prompts-file") }
        guard chat || system == nil else { throw ValidationError("--system needs --chat") }
    }

    func run() throws {
        let prompts = try prompt.map { [$0] } ?? Lines.read(promptsFile ?? "")
        let loaded = try model.load()
        let text = try loaded.text()
        let chatText = chat ? try ChatText(loaded, text, template: template) : nil
        let ends = chatText.map { AnswerEnds(loaded, text, chat: $0.maker) } ?? AnswerEnds(loaded, text)
        let speaker = Speaker(
            loaded, text, sampler: generation.sampler(temperature: 0, topP: 1), maxTokens: generation.maxTokens,
            stopTokens: ends.tokens, stopTexts: ends.texts + generation.stop)
        for prompt in prompts {
            let ids: [Int32]
            if let chatText {
                ids = try chatText.prompt((system.map { [Turn("system", $0)] } ?? []) + [Turn("user", prompt)])
            } else {
                ids = text.tokenizer.encode(prompt, addSpecialTokens: true)
            }
            let isJSON = json || promptsFile != nil
            let answer = try speaker.answer(Self.withoutEnd(ids, text)) { piece in
                if !isJSON { Output.text(piece) }
                return !Output.isClosed
            }
            if isJSON { Output.json(Self.summary(prompt, ids, answer)) } else { Output.line() }
        }
    }

    /// Tokens to go on from: a closing end of text, which some tokenizers add, would end the answer before it begins.
    private static func withoutEnd(_ ids: [Int32], _ text: ModelText) -> [Int32] {
        ids.count > 1 && ids.last == text.tokenizer.eosID ? ids.dropLast() : ids
    }

    private static func summary(_ prompt: String, _ ids: [Int32], _ answer: Speaker.Answer) -> JSONValue {
        .members([
            "prompt": .string(prompt), "text": .string(answer.text),
            "ids": .array(answer.ids.map { .int(Int($0)) }), "prompt_ids": .array(ids.map { .int(Int($0)) }),
            "prompt_tokens": .int(ids.count), "tokens": .int(answer.ids.count),
            "finish_reason": .string(answer.reason.rawValue),
            "prompt_seconds": .double(answer.readingSeconds), "seconds": .double(answer.writingSeconds),
        ])
    }
}
