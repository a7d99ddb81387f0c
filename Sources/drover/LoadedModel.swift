import ArgumentParser
import Foundation
import Kernels
import ModelFiles
import Models
import Terms
import Tokenization

/// A model directory in memory with an optional adapter on it, ready for forward passes.
final class LoadedModel {
    let directory: ModelDirectory
    let adapter: AdapterDirectory?
    let decoder: Decoder
    /// The decoder reads this memory.
    private let owners: [AnyObject]

    /// Opens the directory and the adapter, reads all weights.
    convenience init(path: String, adapter: String? = nil, compute: Compute) throws {
        let directory = try ModelDirectory(path: path)
        let adapter = try adapter.map { try AdapterDirectory(path: $0, model: directory.configuration) }
        try self.init(directory, adapter: adapter, compute: compute)
    }

    /// Reads the weights of opened directories.
    init(_ directory: ModelDirectory, adapter: AdapterDirectory? = nil, compute: Compute) throws {
        self.directory = directory
        self.adapter = adapter
        let weights = try directory.loadWeights(for: compute.arithmetic)
        var factors: Adapter?
        var owners: [AnyObject] = [weights]
        if let adapter {
            let loaded = try adapter.loadWeights()
            let flat = FloatBuffer(count: adapter.layout.count)
            for entry in adapter.layout.entries {
                guard let tensor = loaded.table[entry.name] else { continue }
                (flat.pointer + entry.offset).update(from: tensor.pointer, count: entry.count)
            }
            factors = Adapter(modules: adapter.modules, parameters: flat.pointer, owner: flat)
            owners.append(flat)
        }
        self.owners = owners
        decoder = try Decoder(
            configuration: directory.configuration, weights: weights.table, adapter: factors, trainable: .nothing,
            compute: compute)
    }

    /// The model's tokenizer and template; refuses a tokenizer with more tokens than the model.
    func text() throws -> ModelText {
        let text = try ModelText(directory)
        let (tokens, rows) = (text.tokenizer.vocabularySize, directory.configuration.vocabulary)
        guard tokens <= rows else {
            throw Failure.input("\(directory.path): the tokenizer has \(tokens) tokens, the model only \(rows)")
        }
        return text
    }
}

/// Options of every command that runs a model.
struct ModelOptions: ParsableArguments {
    @Option(help: "Model directory in Hugging Face layout.")
    var model: String

    @Option(help: "PEFT adapter directory to apply.")
    var adapter: String?

    @OptionGroup var machine: MachineOptions

    /// The model with all weights in memory.
    func load() throws -> LoadedModel {
        try LoadedModel(path: model, adapter: adapter, compute: machine.compute())
    }
}

/// Options about the machine a command computes on.
struct MachineOptions: ParsableArguments {
    @Option(help: "Threads that compute; default: every core.")
    var threads: Int?

    @Option(help: "fp32 or bf16 matrix products; auto = fp32.")
    var precision = "auto"

    /// Refuses a number of threads that no machine has.
    static func check(threads: Int?) throws {
        if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be in 1…1024") }
    }

    func validate() throws {
        try Self.check(threads: threads)
        guard ["auto", "fp32", "bf16"].contains(precision) else {
            throw ValidationError("--precision takes auto, fp32 or bf16, not `\(precision)`")
        }
    }

    /// The number of threads asked for, or that of the cores this process may use.
    var threadCount: Int { threads ?? Self.cores }

    /// Cores this process may use.
    static var cores: Int { ProcessInfo.processInfo.activeProcessorCount }

    /// The arithmetic of a command, with its threads started.
    func compute() -> Compute {
        Compute(team: Team(threads: threadCount)).using(arithmetic)
    }

    /// What matrix products multiply.
    var arithmetic: Arithmetic { Arithmetic(rawValue: precision) ?? .fp32 }
}
