import ArgumentParser
import Kernels
import ModelFiles
import Models
import Terms

/// `drover bench step`: optimizer steps as a job runs them, on tokens that need no data.
struct BenchStep: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "step", abstract: "Times whole optimizer steps.",
        discussion: """
            A step is the gradients of V shards of one micro-batch each, their sum by the tree, clipping and AdamW: a
            job's own path on one worker. With --documents a shard is as many micro-batches as its documents fill when
            packed; tokens are those of documents then, as they always are. The medians leave the first two steps out. Tokens and weights depend on
            nothing but their numbers, so that the losses can be compared with another program's.
            """)

    @OptionGroup var options: StepOptions

    @Option(help: "Rank of an adapter on every linear layer; without it all weights are trained.")
    var lora: Int?

    func validate() throws { try StepOptions.check(rank: lora, "--lora") }

    func run() throws { try options.measure(rank: lora, name: "step") }
}

/// `drover bench lora`: as `step`, with an adapter.
struct BenchLoRA: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lora", abstract: "Times whole optimizer steps of an adapter.")

    @OptionGroup var options: StepOptions

    @Option(help: "Rank of the adapter on every linear layer.")
    var rank = 16

    func validate() throws { try StepOptions.check(rank: rank, "--rank") }

    func run() throws { try options.measure(rank: rank, name: "lora") }
}

/// Options of both.
struct StepOptions: ParsableArguments {
    @Option(help: "config.json of the model; its weights are drawn from seed 0.")
    var config: String?

    @Option(help: "Model directory to start from.")
    var model: String?

    @OptionGroup var machine: MachineOptions

    @Option(help: "Tokens of a sequence.")
    var seq = 512

    @Option(help: "Sequences of a micro-batch.")
    var microBatch = 1

    @Option(help: "Steps, the two that warm up among them.")
    var steps = 10

    @Option(help: "V: shards of a step, each one micro-batch.")
    var virtualShards = 1

    @Option(
        help:
            "Documents of mixed lengths up to --seq in a shard, packed into sequences; without it all are of --seq tokens."
    )
    var documents: Int?

    @Option(help: "Step size.")
    var learningRate = 1e-4

    @Flag(help: "Compute activations again in the backward pass instead of keeping them.")
    var gradientCheckpointing = false

    @Flag(help: "One JSON object on standard output.")
    var json = false

    /// Refuses a rank that no job file takes either.
    static func check(rank: Int?, _ option: String) throws {
        if let rank, !(1...65536).contains(rank) { throw ValidationError("\(option) must be in 1…65536") }
    }

    func validate() throws {
        guard (config == nil) != (model == nil) else { throw ValidationError("give --config or --model") }
        guard seq >= 2, seq <= 1 << 20 else { throw ValidationError("--seq must be in 2…1048576") }
        guard (1...1 << 20).contains(microBatch), steps >= 1, (1...4096).contains(virtualShards) else {
            throw ValidationError(
                "--micro-batch must be in 1…1048576, --steps at least 1, --virtual-shards in 1…4096")
        }
        if let documents, !(1...1 << 16).contains(documents) || seq < StepBench.shortest {
            throw ValidationError("--documents must be in 1…65536, of --seq \(StepBench.shortest) at least")
        }
        guard learningRate > 0, learningRate.isFinite else { throw ValidationError("--learning-rate must be above 0") }
    }

    /// Runs and prints.
    func measure(rank: Int?, name: String) throws {
        if let rank, !(1...4096).contains(rank) { throw Failure.input("the rank of an adapter must be in 1…4096") }
        let compute = machine.compute()
        let directory = try model.map { try ModelDirectory(path: $0) }
        let configuration = try directory?.configuration ?? ModelDirectory.readConfiguration(config ?? "")
        if let limit = configuration.longestDocument, seq > limit {
            throw Failure.input("--seq \(seq) is more than the \(limit) positions that the model allows")
        }
        // Measured before and after, because machines have neighbours; the better one counts.
        let before = Ceiling.gemm(compute)
        let bench = try StepBench(
            configuration, directory, rank: rank, options: self, compute: compute)
        let run = bench.run { step, loss, seconds in
            if !json {
                Output.line("step \(step)  loss \(loss)  \(Int(Double(bench.tokens(of: step)) / seconds)) tok/s")
            }
        }
        let after = Ceiling.gemm(compute)
        let peak = after.gigaflops > before.gigaflops ? after : before
        let products = StepProducts(configuration, rows: seq * microBatch, trainsWeights: rank == nil)
        let ceiling = products.ceiling(compute)
        let summary = bench.summary(
            run, ceiling: ceiling, peak: peak, precision: machine.arithmetic.rawValue, name: name)
        if json { Output.json(summary) } else { Output.line(summary.prettyText) }
    }
}
