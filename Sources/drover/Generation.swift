import ArgumentParser
import Datasets
import Foundation
import ModelFiles
import Models
import Templates
import Terms
import Tokenization

/// How an answer is chosen, and where it ends.
struct GenerationOptions: ParsableArguments {
    @Option(help: "Tokens of an answer at most; it also ends at the model's own end of text or turn.")
    var maxTokens = 256

    @Option(help: "0 = always the likeliest token; higher = more varied.")
    var temperature: Double?

    @Option(help: "Only the K likeliest tokens; 0 = all.")
    var topK = 0

    @Option(help: "Only the likeliest tokens whose probabilities add up to P.")
    var topP: Double?

    @Option(help: "Above 1 makes tokens that have occurred less likely.")
    var repetitionPenalty = 1.0

    @Option(help: "Decides every random choice.")
    var seed: UInt64 = 0

    @Option(parsing: .unconditionalSingleValue, help: "A text that ends the answer; may be given more than once.")
    var stop: [String] = []

    func validate() throws {
        guard maxTokens >= 1 else { throw ValidationError("--max-tokens must be at least 1") }
        guard (temperature ?? 0) >= 0, (temperature ?? 0).isFinite else {
            throw ValidationError("--temperature must be 0 or more")
        }
        guard topK >= 0 else { throw ValidationError("--top-k must be 0 or more") }
        guard (topP ?? 1) > 0, (topP ?? 1) <= 1 else { throw ValidationError("--top-p must be above 0 and at most 1") }
        guard repetitionPenalty > 0, repetitionPenalty.isFinite else {
            throw ValidationError("--repetition-penalty must be above 0")
        }
    }

    /// The sampler; `temperature` and `topP` stand for what was not given.
    func sampler(temperature: Double, topP: Double) -> Sampler {
        Sampler(
            temperature: self.temperature ?? temperature, topK: topK, topP: self.topP ?? topP,
            repetitionPenalty: repetitionPenalty, seed: seed)
    }
}

/// Writes answers with one model, keeping what it has read of a conversation for the next turn.
final class Speaker {
    private let model: LoadedModel
    private let text: ModelText
    private let sampler: Sampler
    private let maxTokens: Int
    private let stopTokens: [Int32]
    private let stopTexts: [String]
    private var session: DecodingSession?
    /// The tokens the session has seen.
    private var seen: [Int32] = []

    /// What came of one prompt.
    struct Answer {
        var text: String
        var ids: [Int32]
        var reason: Reason
        /// Of the prompt, and of the answer, in seconds.
        var readingSeconds: Double
        var writingSeconds: Double
    }

    /// Why an answer ended.
    enum Reason: String { case stop, length, interrupted }

    init(
        _ model: LoadedModel, _ text: ModelText, sampler: Sampler, maxTokens: Int, stopTokens: [Int32],
        stopTexts: [String]
    ) {
        (self.model, self.text, self.sampler, self.maxTokens) = (model, text, sampler, maxTokens)
        (self.stopTokens, self.stopTexts) = (stopTokens, stopTexts)
    }

    /// Answers a prompt; `emit` takes each piece of text as it becomes certain and says whether to go on.
    func answer(_ prompt: [Int32], emit: (String) -> Bool) throws -> Answer {
        guard !prompt.isEmpty else { throw Failure.input("the prompt gives no tokens: write something") }
        let limit = model.directory.configuration.longestDocument ?? Int.max
        guard prompt.count < limit else {
            throw Failure.input(
                "the prompt has \(prompt.count) tokens, the model takes \(limit) with the answer: shorten it")
        }
        let room = min(maxTokens, limit - prompt.count)
        let start = DispatchTime.now().uptimeNanoseconds
        var logits = read(prompt, room: room)
        let begin = DispatchTime.now().uptimeNanoseconds
        var decoder = text.tokenizer.streamingDecoder(skipSpecialTokens: true)
        var filter = StopFilter(stopTexts)
        var answer = Answer(
            text: "", ids: [], reason: .length, readingSeconds: Double(begin - start) / 1e9, writingSeconds: 0)
        func show(_ piece: String) -> Bool {
            answer.text += piece
            return piece.isEmpty || emit(piece)
        }
        while answer.ids.count < room {
            let token = sampler.next(logits, after: seen, place: seen.count)
            if stopTokens.contains(token) {
                answer.reason = .stop
                break
            }
            answer.ids.append(token)
            let goesOn = show(filter.push(decoder.push(token)))
            if filter.isStopped {
                answer.reason = .stop
                break
            }
            guard goesOn else {
                answer.reason = .interrupted
                break
            }
            if answer.ids.count < room {
                logits = session?.append([token]) ?? []
                seen.append(token)
            }
        }
        _ = show(filter.push(decoder.finish()) + filter.finish())
        answer.writingSeconds = Double(DispatchTime.now().uptimeNanoseconds - begin) / 1e9
        return answer
    }

    /// Reads the part of the prompt that the session has not seen; logits after its last token.
    private func read(_ prompt: [Int32], room: Int) -> [Float] {
        var common = zip(prompt, seen).prefix { $0 == $1 }.count
        // The last token is always read, so that its logits are at hand.
        common = min(common, prompt.count - 1)
        let needed = prompt.count + room
        if (session?.capacity ?? 0) < needed {
            let limit = model.directory.configuration.longestDocument ?? Int.max
            session = DecodingSession(model.decoder, capacity: min(limit, needed + min(needed, 1024)))
            common = 0
        }
        session?.truncate(to: common)
        seen = prompt
        return session?.append(Array(prompt[common...])) ?? []
    }
}

/// What ends a model's answers: its own end tokens, and in a chat the template's end of a turn.
struct AnswerEnds {
    var tokens: [Int32]
    var texts: [String]

    /// Ends of plain text.
    init(_ model: LoadedModel, _ text: ModelText) {
        tokens = model.directory.endTokens.compactMap { Int32(exactly: $0) } + [text.tokenizer.eosID].compactMap(\.self)
        texts = []
    }

    /// Ends of a turn that `maker`'s template writes.
    init(_ model: LoadedModel, _ text: ModelText, chat maker: SampleMaker) {
        self.init(model, text)
        guard let boundary = maker.turnBoundary() else { return }
        if let token = boundary.controlToken {
            tokens.append(token)
        } else {
            // A template without marks: the head of the user's next turn is the end of the answer.
            let head = boundary.text.trimmingCharacters(in: .whitespacesAndNewlines)
            if !head.isEmpty { texts.append(head) }
        }
    }
}

/// A model's conversations as tokens.
struct ChatText {
    let maker: SampleMaker

    /// The template of that name; refuses a model without one.
    init(_ model: LoadedModel, _ text: ModelText, template name: String) throws {
        guard let template = try text.template(named: name) else {
            throw Failure.input(
                "\(model.directory.path): the model has no chat template; choose one with --template: "
                    + ChatTemplate.builtInNames.joined(separator: ", "))
        }
        maker = SampleMaker(
            encoder: text.encoder, template: template, stage: .sft,
            vocabularyCount: model.directory.configuration.vocabulary, variables: text.variables,
            date: .now)
    }

    /// The tokens of a conversation up to where the model speaks.
    func prompt(_ turns: [Turn]) throws -> [Int32] {
        do { return try maker.prompt(of: Conversation(turns: turns)) } catch { throw Failure.input("\(error)") }
    }
}
