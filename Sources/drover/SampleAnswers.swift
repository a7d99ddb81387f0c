import Datasets
import Foundation
import Kernels
import Models
import Terms
import Tokenization

/// Answers to a few held-out questions, by the base model and by the trained one: what a person reads before figures.
struct SampleAnswers {
    /// One question with the answers before and after training.
    struct Pair {
        var question: String
        var before: String
        var after: String
    }

    /// Tokens of an answer at most.
    private static let length = 60

    /// Questions from the held-out sequences of a token cache, spread over it, each up to where the answer begins.
    private static func prompts(_ set: SequenceSet, count: Int) -> [[Int32]] {
        (0..<count).compactMap { place in
            guard set.sequenceCount > 0 else { return nil }
            let sequence = set.sequence(set.sequenceCount * (2 * place + 1) / (2 * count))
            // The first document's tokens up to the first one that predicts a trained token, that one included.
            guard let first = sequence.targets.firstIndex(where: { $0 >= 0 }), first > 0 else { return nil }
            let start = sequence.documentStarts.last { Int($0) <= first } ?? 0
            return Array(sequence.tokens[Int(start)...first])
        }
    }

    /// - Parameters:
    ///   - cache: the job's token cache.
    ///   - trained: an adapter directory, or a model directory.
    static func pairs(cache: String, base: String, trained: String, isAdapter: Bool, count: Int = 3) throws -> [Pair] {
        let data = try TokenCache(path: cache, verifying: false)
        let prompts = Self.prompts(data.validation, count: count)
        if let path = data.changedFile() { throw DatasetError.changed(path: path) }
        let compute = Compute(team: Team(threads: ProcessInfo.processInfo.activeProcessorCount))
        let before = try answers(prompts, try LoadedModel(path: base, compute: compute))
        let after = try answers(
            prompts,
            try LoadedModel(path: isAdapter ? base : trained, adapter: isAdapter ? trained : nil, compute: compute))
        let text = try LoadedModel(path: base, compute: compute).text()
        return prompts.indices.map { index in
            Pair(question: question(prompts[index], text), before: before[index], after: after[index])
        }
    }

    private static func answers(_ prompts: [[Int32]], _ model: LoadedModel) throws -> [String] {
        let text = try model.text()
        let sampler = Sampler(temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1.1, seed: 0)
        return try prompts.map { prompt in
            let speaker = Speaker(
                model, text, sampler: sampler, maxTokens: length, stopTokens: AnswerEnds(model, text).tokens,
                stopTexts: [])
            return oneLine(try speaker.answer(prompt) { _ in true }.text)
        }
    }

    /// The last line of the prompt that says something, without turn marks.
    private static func question(_ prompt: [Int32], _ text: ModelText) -> String {
        let lines = text.tokenizer.decode(prompt, skipSpecialTokens: true).split(separator: "\n")
        return oneLine(String(lines.dropLast().last ?? lines.last ?? ""))
    }

    private static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: " ").trimmingCharacters(in: .whitespaces)
    }
}
