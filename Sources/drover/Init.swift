import ArgumentParser
import Kernels
import ModelFiles
import Models
import Terms
import Tokenization

/// `drover init`: a model that knows nothing yet.
struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes a freshly initialised Hugging Face model directory.",
        discussion: "Every tensor is drawn from the seed and its own name: the same command gives the same bytes.")

    @Option(help: "The config.json that describes the model.")
    var config: String

    @Option(help: "Directory whose tokenizer files are copied beside the weights.")
    var tokenizer: String?

    @Option(help: "Decides every weight.")
    var seed: UInt64

    @Option(help: "The folder to make.")
    var out: String

    @Option(help: "How weights are stored: fp32 or bf16.")
    var dtype: WeightStorage = .fp32

    func run() throws {
        let configuration = try ModelDirectory.readConfiguration(config)
        if let tokenizer {
            guard Disk.hasFolder(tokenizer) else {
                throw Failure.input("\(tokenizer) is no directory: give a tokenizer's")
            }
            let count = try ModelText(TokenizerFiles(directory: tokenizer)).tokenizer.vocabularySize
            guard count <= configuration.vocabulary else {
                throw Failure.input(
                    "\(tokenizer): the tokenizer has \(count) tokens, vocab_size in \(config) is only "
                        + "\(configuration.vocabulary)")
            }
        }
        let table = TensorTable(configuration)
        let scratch = UnsafeMutablePointer<Float>.allocate(capacity: table.tensors.map(\.count).max() ?? 1)
        defer { scratch.deallocate() }
        let team = Team(threads: MachineOptions.cores)
        let staging = try Staging(target: out)
        do {
            try ModelDirectoryWriter.write(
                to: staging.path, configuration: configuration, companions: tokenizer, storage: dtype
            ) { tensor in
                configuration.drawFresh(tensor, seed: seed, into: scratch, team: team)
                return UnsafePointer(scratch)
            }
            try staging.publish()
        } catch {
            staging.discard()
            throw error
        }
        let type = configuration.family.modelType
        Output.line("\(out): \(type), \(table.count) parameters in \(table.tensors.count) tensors")
    }
}
