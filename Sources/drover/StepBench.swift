import Collectives
import Datasets
import Foundation
import Kernels
import ModelFiles
import Models
import Terms
import Training

/// Optimizer steps of one worker: shard gradients, their sum by the fixed tree, clipping, AdamW.
final class StepBench {
    private let trainer: Trainer
    private let compute: Compute
    private let options: StepOptions
    private let rank: Int?
    private let tree: ShardTree
    private var free: [FloatBuffer] = []

    /// What the steps took and gave.
    struct Run {
        var losses: [Double] = []
        /// Input tokens of each step.
        var tokens: [Int] = []
        /// Whole steps, and their parts, in seconds.
        var steps: [Double] = []
        var gradients: [Double] = []
        var folds: [Double] = []
        var updates: [Double] = []
        /// Forward passes alone over one step's tokens.
        var forward = 0.0
        var peakMiB = 0.0
    }

    /// Steps that medians leave out.
    private static let warmUp = 2

    init(
        _ configuration: DecoderConfiguration, _ directory: ModelDirectory?, rank: Int?, options: StepOptions,
        compute: Compute
    ) throws {
        // Frozen weights are kept as products read them; trained ones are fp32.
        let kept = rank == nil ? Arithmetic.fp32 : compute.arithmetic
        let weights = try directory?.loadWeights(for: kept) ?? Self.drawn(configuration, kept, compute)
        let method: TrainingMethod =
            rank.map {
                .adapter(AdapterSpecification(rank: $0, alpha: Double(2 * $0), targets: .all), seed: 0, initial: nil)
            } ?? .full
        trainer = try Trainer(
            configuration: configuration, weights: weights.table, owner: weights, method: method, compute: compute,
            recomputes: options.gradientCheckpointing)
        (self.compute, self.options, self.rank) = (compute, options, rank)
        tree = ShardTree(leaves: options.virtualShards)
    }

    private static func drawn(
        _ configuration: DecoderConfiguration, _ arithmetic: Arithmetic, _ compute: Compute
    ) throws -> LoadedWeights {
        try LoadedWeights(TensorTable(configuration), for: arithmetic) { tensor, target in
            configuration.drawFresh(tensor, seed: 0, into: target, team: compute.team)
        }
    }

    func run(progress: (Int, Double, Double) -> Void) -> Run {
        var run = Run()
        for step in 1...options.steps {
            let shards = shards(of: step)
            let time = Measuring.seconds { self.step(step, shards, &run) }
            run.steps.append(time)
            run.tokens.append(tokens(of: step))
            progress(step, run.losses[step - 1], time)
        }
        run.peakMiB = Measuring.peakMiB
        let batches = shards(of: 1).flatMap { $0 }
        run.forward = Measuring.median((0..<3).map { _ in Measuring.seconds { _ = trainer.evaluate(batches) } })
        return run
    }

    private func step(_ step: Int, _ shards: [[MicroBatch]], _ run: inout Run) {
        var fold = TreeFold(tree: tree)
        var held: [(range: ShardRange, sum: FloatBuffer)] = []
        var (loss, tokens, gradientTime, foldTime) = (0.0, 0, 0.0, 0.0)
        for (shard, batches) in shards.enumerated() {
            let sum = free.popLast() ?? FloatBuffer(count: trainer.count)
            gradientTime += Measuring.seconds {
                let gradient = trainer.shardGradient(batches, into: sum.pointer)
                loss += gradient.lossSum
                tokens += gradient.trainedTokens
            }
            foldTime += Measuring.seconds {
                let range = ShardRange(shard, shard + 1)
                held.append((range, sum))
                for merge in fold.insert(range) ?? [] { add(merge, &held) }
            }
        }
        run.gradients.append(gradientTime)
        run.folds.append(foldTime)
        run.losses.append(loss / Double(max(1, tokens)))
        let root = held[0].sum
        run.updates.append(
            Measuring.seconds {
                _ = trainer.apply(gradient: root.pointer, trainedTokens: tokens, update: update(step))
            })
        free.append(root)
    }

    /// left += right.
    private func add(_ merge: TreeFold.Merge, _ held: inout [(range: ShardRange, sum: FloatBuffer)]) {
        guard let left = held.firstIndex(where: { $0.range == merge.left }),
            let right = held.firstIndex(where: { $0.range == merge.right })
        else { preconditionFailure("the tree names nodes that are held") }
        compute.add(held[left].sum.pointer, held[right].sum.pointer, count: trainer.count)
        held[left].range = merge.parent
        free.append(held.remove(at: right).sum)
    }

    private func update(_ step: Int) -> UpdateParameters {
        UpdateParameters(
            learningRate: options.learningRate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0,
            biasCorrection1: 1 - pow(0.9, Double(step)), biasCorrection2: 1 - pow(0.999, Double(step)),
            maxGradientNorm: 1)
    }

    /// The micro-batches of each shard; every token but a document's last has a target.
    private func shards(of step: Int) -> [[MicroBatch]] {
        (0..<options.virtualShards).map { shard in
            let rows = Self.rows(documents(step, shard), packedInto: options.documents.map { _ in options.seq })
            return stride(from: 0, to: rows.count, by: options.microBatch).map { first in
                microBatch(rows[first..<min(first + options.microBatch, rows.count)].flatMap { $0 })
            }
        }
    }

    private func microBatch(_ documents: [Document]) -> MicroBatch {
        MicroBatch(
            documents: documents.map { document in
                let ids = Self.sequence(
                    document.number, count: document.length, vocabulary: trainer.configuration.vocabulary)
                return (ids: ids, labels: ids)
            })
    }

    /// Input tokens of a step.
    func tokens(of step: Int) -> Int {
        (0..<options.virtualShards).reduce(0) { sum, shard in
            sum + documents(step, shard).reduce(0) { $0 + $1.length }
        }
    }

    /// A piece of the test's text.
    private struct Document {
        var number: Int
        var length: Int
    }

    private func documents(_ step: Int, _ shard: Int) -> [Document] {
        let count = options.documents ?? options.microBatch
        let first = ((step - 1) * options.virtualShards + shard) * count
        return (first..<first + count).map { number in
            Document(
                number: number,
                length: options.documents == nil ? options.seq : Self.length(number, most: options.seq))
        }
    }

    /// Sequences of whole documents: each its own, or packed as a job packs them.
    private static func rows(_ documents: [Document], packedInto capacity: Int?) -> [[Document]] {
        guard let capacity else { return documents.map { [$0] } }
        let table = Packing.bestFit(lengths: documents.map { UInt32($0.length) }, capacity: capacity)
        return (0..<table.count).map { row in table.documents(of: row).map { documents[Int($0)] } }
    }

    /// The shortest document of mixed ones.
    static let shortest = 16

    /// Tokens of document `number` where they are mixed: 16 and the cube of an even spread up to `most`, so that half
    /// are shorter than an eighth, as instructions are; scripts/bench/pytorch-step has the same.
    ///
    /// The spread is SplitMix64's (Steele, Lea & Flood 2014, figure 16).
    static func length(_ number: Int, most: Int) -> Int {
        var state = UInt64(number) &* 0x9E37_79B9_7F4A_7C15
        state = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
        state = (state ^ state >> 27) &* 0x94D0_49BB_1331_11EB
        let spread = (state ^ state >> 31) >> 52
        // In Swift a shift binds closer than a product.
        return shortest + Int((UInt64(most - shortest) * spread * spread * spread) >> 36)
    }

    /// Sequence `number` of the test's endless text; scripts/bench/pytorch-step makes the same.
    ///
    /// A linear congruential generator (Knuth, TAOCP 2, §3.3.4, MMIX) over at most a thousand words, so that there is
    /// something to learn.
    static func sequence(_ number: Int, count: Int, vocabulary: Int) -> [Int32] {
        var state = UInt64(number) &* 0x9E37_79B9_7F4A_7C15 &+ 1
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int32(truncatingIfNeeded: (state >> 33) % UInt64(min(1000, vocabulary)))
        }
    }
}

extension StepBench {
    /// The figures as JSON; `ceiling` in GFLOP/s is what the step's own products reach alone, `peak` the best product
    /// of all.
    func summary(_ run: Run, ceiling: Double, peak: Ceiling.Gemm, precision: String, name: String) -> JSONValue {
        func steady(_ values: [Double]) -> Double {
            Measuring.median(values.count > Self.warmUp ? Array(values.dropFirst(Self.warmUp)) : values)
        }
        let seconds = steady(run.steps)
        let flops = Self.flopsPerToken(trainer.configuration, rank: rank, sequence: options.seq)
        let rate = steady(zip(run.tokens, run.steps).map { Double($0) / $1 })
        return .members([
            "bench": .string(name), "model_type": .string(trainer.configuration.family.modelType),
            "precision": .string(precision), "threads": .int(compute.team.threads),
            "kernels": .string(compute.level.rawValue), "seq": .int(options.seq),
            "micro_batch": .int(options.microBatch), "virtual_shards": .int(options.virtualShards),
            "tokens_per_step": .int(run.tokens.reduce(0, +) / run.tokens.count), "steps": .int(options.steps),
            "documents": options.documents.map(JSONValue.int) ?? .null,
            "lora": rank.map(JSONValue.int) ?? .null, "trained_parameters": .int(trainer.count),
            "tokens_per_second": .double(rate), "step_seconds": .double(seconds),
            "phases": .members([
                "gradient_seconds": .double(steady(run.gradients)), "forward_seconds": .double(run.forward),
                "backward_seconds": .double(max(0, steady(run.gradients) - run.forward)),
                "fold_seconds": .double(steady(run.folds)), "update_seconds": .double(steady(run.updates)),
            ]),
            "peak_rss_mib": .double(run.peakMiB), "flops_per_token": .double(flops),
            "achieved_gflops": .double(flops * rate / 1e9), "gemm_ceiling_gflops": .double(ceiling),
            "gemm_peak_gflops": .double(peak.gigaflops), "gemm_peak_library": .string(peak.library),
            "efficiency": .double(flops * rate / 1e9 / ceiling),
            "losses": .array(run.losses.map(JSONValue.double)),
        ])
    }

    /// Floating-point operations of a token's forward and backward pass: 6·N + 6·L·T·q for a full step, where N counts
    /// the matrices with the head and q is the width of all heads; an adapter needs no gradients of the frozen ones.
    static func flopsPerToken(_ configuration: DecoderConfiguration, rank: Int?, sequence: Int) -> Double {
        let modules = configuration.linearModules
        // Of a mixture only what a token goes through counts.
        let layers = modules.reduce(0.0) { $0 + Double($1.inputs * $1.outputs) * configuration.shareOfTokens($1) }
        let head = Double(configuration.vocabulary * configuration.width)
        let attention = 6 * Double(configuration.layers * sequence * configuration.queryWidth)
        guard let rank else { return 6 * (layers + head) + attention }
        let factors = modules.reduce(0.0) {
            $0 + Double(rank * ($1.inputs + $1.outputs)) * configuration.shareOfTokens($1)
        }
        return 4 * (layers + head) + 6 * factors + attention
    }
}
