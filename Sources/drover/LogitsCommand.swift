import ArgumentParser
import ModelFiles
import Models
import Terms

/// `drover logits`: what a model computes, for comparison with other programs.
struct LogitsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logits", abstract: "Writes the logits after each of the given tokens to a safetensors file.",
        discussion: "The file holds one tensor, `logits` [T, V] in fp32.")

    @OptionGroup var model: ModelOptions

    @Option(parsing: .unconditional, help: "Token ids apart by commas, one document.")
    var ids: String

    @Option(help: "The file to write.")
    var out: String

    func run() throws {
        guard let tokens = IDList.parse(ids), !tokens.isEmpty else {
            throw Failure.input("--ids takes token ids apart by commas such as 1,2,3, not `\(ids.prefix(60))`")
        }
        let loaded = try model.load()
        let configuration = loaded.directory.configuration
        try Self.check(tokens, configuration)
        let labels = [Int32](repeating: -1, count: tokens.count)
        let batch = MicroBatch(tokens: tokens, targets: labels, documents: [0])
        let logits = UnsafeMutablePointer<Float>.allocate(capacity: tokens.count * configuration.vocabulary)
        defer { logits.deallocate() }
        loaded.decoder.logits(batch, rows: 0..<tokens.count, into: logits)
        let tensor = TensorDescription(name: "logits", shape: [tokens.count, configuration.vocabulary])
        try SafetensorsWriter.write(to: out, tensors: [tensor]) { _ in UnsafePointer(logits) }
        Output.line("logits [\(tokens.count), \(configuration.vocabulary)] fp32: \(out)")
    }

    /// Refuses tokens that the model has not, and more of them than it takes.
    static func check(_ tokens: [Int32], _ configuration: DecoderConfiguration) throws {
        if let bad = tokens.first(where: { $0 < 0 || Int($0) >= configuration.vocabulary }) {
            throw Failure.input("token \(bad) is outside the model's vocabulary of \(configuration.vocabulary)")
        }
        if let limit = configuration.longestDocument, tokens.count > limit {
            throw Failure.input("\(tokens.count) tokens are more than the \(limit) that the model allows")
        }
    }
}
