import ArgumentParser
import Datasets
import Foundation
import JobSpecs
import ModelFiles
import Models

/// `drover chat`: a conversation with a model or with what a run has trained.
struct Chat: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Talks with a model, or with the result of a run.",
        discussion: """
            One line is one turn. /reset forgets the conversation, /exit or Ctrl-D ends it, Ctrl-C stops an answer.
            drover chat runs/quickstart        the run's base model with its adapter
            drover chat --model DIR            a model directory
            """)

    @Argument(help: "A run directory, or a model directory.")
    var path: String?

    @Option(help: "Model directory in Hugging Face layout.")
    var model: String?

    @Option(help: "PEFT adapter directory to apply.")
    var adapter: String?

    @Option(parsing: .unconditional, help: "A system message.")
    var system: String?

    @Option(help: "A built-in template in place of the model's own.")
    var template = "auto"

    @OptionGroup var generation: GenerationOptions
    @OptionGroup var machine: MachineOptions

    func validate() throws {
        guard (path == nil) != (model == nil) else { throw ValidationError("give a run directory or --model") }
    }

    func run() throws {
        let (model, adapter, runTemplate) = try source()
        let loaded = try LoadedModel(path: model, adapter: adapter, compute: machine.compute())
        let text = try loaded.text()
        let chat = try ChatText(loaded, text, template: template == "auto" ? runTemplate : template)
        let ends = AnswerEnds(loaded, text, chat: chat.maker)
        let speaker = Speaker(
            loaded, text, sampler: generation.sampler(temperature: 0.7, topP: 0.9), maxTokens: generation.maxTokens,
            stopTokens: ends.tokens, stopTexts: ends.texts + generation.stop)
        Signals.watch()
        // Ctrl-C at the prompt ends the reading of a line, and so the conversation.
        var action = sigaction()
        sigaction(SIGINT, nil, &action)
        action.sa_flags &= ~SA_RESTART
        sigaction(SIGINT, &action, nil)
        let name = [loaded.directory.configuration.family.modelType, adapter.map { "with \($0)" }].compactMap(\.self)
        if Output.isTerminal {
            Output.line(Output.styled("\(name.joined(separator: " ")); /exit or Ctrl-D ends", .dim))
        }
        try converse(speaker, chat)
    }

    /// The model, the adapter and the template's name.
    private func source() throws -> (model: String, adapter: String?, template: String) {
        guard let path else { return (model ?? "", adapter, "auto") }
        if !Disk.hasFile(joinPath(path, "resolved.yaml")), Disk.hasFile(joinPath(path, "config.json")) {
            return (path, adapter, "auto")
        }
        let run = try RunFolder(path)
        if let adapter { return (run.spec.modelPath, adapter, run.spec.template) }
        guard let export = run.export else {
            let format = run.spec.finetuningType == .lora ? "peft -o \(path)/adapter" : "hf -o \(path)/model"
            throw Failure.input("\(path): nothing has been exported yet: drover export \(path) --format \(format)")
        }
        return (export.model, export.adapter, run.spec.template)
    }

    private func converse(_ speaker: Speaker, _ chat: ChatText) throws {
        let start = system.map { [Turn("system", $0)] } ?? []
        var turns = start
        while let line = ask() {
            switch line.trimmingCharacters(in: .whitespaces) {
            case "": continue
            case "/exit", "/quit": return
            case "/reset":
                turns = start
                continue
            default: break
            }
            turns.append(Turn("user", line))
            let requests = Signals.requests
            let answer = try speaker.answer(try chat.prompt(turns)) { piece in
                Output.text(piece)
                return !Output.isClosed && Signals.requests == requests
            }
            Output.line()
            if Output.isClosed { return }
            turns.append(Turn("assistant", answer.text))
        }
        if Output.isTerminal { Output.line() }
    }

    /// The next line of the user; nil at the end of the input, or after Ctrl-C at the prompt.
    private func ask() -> String? {
        if Output.isTerminal, isatty(STDIN_FILENO) == 1 { Output.text(Output.styled("> ", .cyan)) }
        return Lines.next()
    }
}
