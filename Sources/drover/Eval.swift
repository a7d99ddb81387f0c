import ArgumentParser
import Datasets
import Foundation
import ModelFiles
import Models
import Templates
import Terms
import Tokenization

/// `drover eval`: how well a model predicts a data file.
struct Eval: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures the mean loss of a model over a data file.",
        discussion: "loss is the mean negative log-likelihood over the trained targets, as a job would count them.")

    @OptionGroup var model: ModelOptions
    @OptionGroup var data: DataOptions

    @Flag(help: "One JSON object on standard output.")
    var json = false

    func run() throws {
        let loaded = try model.load()
        let samples = try Samples(data, directory: loaded.directory, threads: model.machine.threadCount)
        let limit = loaded.directory.configuration.longestDocument
        var (sum, tokens, sequences) = (0.0, 0, 0)
        var waiting: [Sample] = []
        func measure() {
            guard !waiting.isEmpty else { return }
            let batch = MicroBatch(documents: waiting.map { (ids: $0.ids, labels: $0.labels) })
            sum += loaded.decoder.loss(batch)
            tokens += batch.trainedTokens
            waiting = []
        }
        try samples.forEach { sample, place in
            if let limit, sample.count > limit {
                throw Failure.input(
                    "\(place): the row has \(sample.count) tokens, the model takes \(limit): "
                        + "give --cutoff-len \(limit)")
            }
            sequences += 1
            // Documents never see each other, so how they are put together changes nothing but the speed.
            if waiting.reduce(0, { $0 + $1.count }) + sample.count > Self.batchTokens { measure() }
            waiting.append(sample)
            return true
        }
        measure()
        guard tokens > 0 else {
            throw Failure.input("\(data.data.joined(separator: ", ")): no row has a token that counts in the loss")
        }
        let loss = sum / Double(tokens)
        guard json else {
            return Output.line("loss \(loss)  perplexity \(exp(loss))  over \(tokens) tokens of \(sequences) sequences")
        }
        Output.json(
            .members([
                "loss": .double(loss), "perplexity": .double(exp(loss)), "tokens": .int(tokens),
                "sequences": .int(sequences),
            ]))
    }

    /// Tokens of a forward pass, where samples are short.
    private static let batchTokens = 2048
}
