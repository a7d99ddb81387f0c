import Coordination
import Datasets
import Foundation
import Hashing
import JobSpecs
import Kernels
import ModelFiles
import Models
import Recipes
import Templates
import Terms
import Tokenization
import WorkerShell

/// Turns a job file into what a coordinator takes: everything read, checked and resolved before any worker starts.
struct Submission {
    /// With every `auto` settled that can be; `streaming` once the data is tokenised.
    private(set) var spec: JobSpec
    let model: ModelDirectory
    let adapter: AdapterDirectory?
    let layout: ParameterLayout
    let shapes: ResolvedShapes
    let settings: TrainingSettings
    /// What became of the rows, once the data is tokenised.
    var data: DataSummary?
    /// What the data and the model were read from, once the data is tokenised.
    private(set) var record: DataRecord?

    /// Opens model and adapter, settles every `auto`. Throws all faults it can find at once.
    init(_ spec: JobSpec) throws {
        var faults: [String] = []
        let model: ModelDirectory
        do { model = try ModelDirectory(path: spec.modelPath) } catch { throw Failure.input(faults + ["\(error)"]) }
        self.model = model
        self.spec = spec.withPrecision(Self.precision(spec, model))
        shapes = ResolvedShapes(spec)
        var adapter: AdapterDirectory?
        if let path = spec.adapterPath {
            do { adapter = try AdapterDirectory(path: path, model: model.configuration) } catch {
                faults.append("\(error)")
            }
        }
        self.adapter = adapter
        guard faults.isEmpty else { throw Failure.input(faults) }
        let specification = Self.adapterSpecification(spec, adapter)
        do {
            layout =
                try specification.map { ParameterLayout(adapter: try $0.modules(of: model.configuration)) }
                ?? ParameterLayout(full: TensorTable(model.configuration))
        } catch { throw Failure.input(["lora_target: \(error)"]) }
        settings = Self.settings(self.spec, specification, adapter, model, shapes)
        if let specification, settings.dropout > 0 {
            do {
                let dropout = AdapterDropout(probability: settings.dropout, seed: 0)
                try Decoder.check(dropout, try specification.modules(of: model.configuration))
            } catch { throw Failure.input(["\(error)"]) }
        }
    }

    /// What `auto` means: bf16 where this machine multiplies it natively and the model is wide enough to gain by it,
    /// fp32 otherwise. Instruction set and shapes decide, never a clock.
    private static func precision(_ spec: JobSpec, _ model: ModelDirectory) -> Precision {
        guard spec.precision == .auto else { return spec.precision }
        return Compute.hasNativeBF16 && model.configuration.width >= bf16Width ? .bf16 : .fp32
    }

    /// Below this width most of a step is not in its matrix products.
    private static let bf16Width = 512

    private static func adapterSpecification(_ spec: JobSpec, _ adapter: AdapterDirectory?) -> AdapterSpecification? {
        guard spec.finetuningType == .lora else { return nil }
        if let adapter { return adapter.specification }
        let targets: AdapterSpecification.Targets =
            switch spec.loraTarget ?? .all {
            case .all: .all
            case .modules(let names): .names(names)
            }
        return AdapterSpecification(
            rank: spec.loraRank ?? 16, alpha: spec.loraAlpha ?? 32, isRankStabilised: spec.useRSLoRA ?? false,
            targets: targets)
    }

    private static func settings(
        _ spec: JobSpec, _ specification: AdapterSpecification?, _ adapter: AdapterDirectory?, _ model: ModelDirectory,
        _ shapes: ResolvedShapes
    ) -> TrainingSettings {
        var settings = TrainingSettings(
            adapter: specification, seed: spec.seed, beta1: spec.adamBeta1, beta2: spec.adamBeta2,
            epsilon: spec.adamEpsilon, weightDecay: spec.weightDecay, maxGradientNorm: spec.maxGradNorm,
            recomputes: recomputes(spec, model, shapes), precision: spec.precision.rawValue)
        settings.startsFromAdapter = adapter != nil
        settings.gradientWire = GradientWire.Format(rawValue: spec.gradientWire.rawValue) ?? .fp32
        if specification != nil { settings.dropout = adapter?.configuration.dropout ?? spec.loraDropout ?? 0 }
        return settings
    }

    /// Activations above this many bytes are computed again instead of kept, when the job says `auto`.
    private static let activationLimit = 6 << 30

    private static func recomputes(_ spec: JobSpec, _ model: ModelDirectory, _ shapes: ResolvedShapes) -> Bool {
        switch spec.gradientCheckpointing {
        case .on: return true
        case .off: return false
        case .auto:
            let configuration = model.configuration
            let rows = shapes.microBatchSize * spec.cutoffLen
            let perRow = 8 * configuration.width + 4 * configuration.queryWidth + 3 * configuration.inner
            return 4 * Double(rows) * Double(perRow * configuration.layers) > Double(activationLimit)
        }
    }

    // MARK: Data

    /// Tokenises the data (or finds it tokenised) under `folder`, and returns the whole job.
    ///
    /// - Parameter isResuming: whether a run of this job exists, whose data must not have changed.
    mutating func describe(
        folder: String, isResuming: Bool = false, progress: @escaping (DataProgress) -> Void
    ) throws -> JobDescription {
        let cache = try tokenised(folder: folder, isResuming: isResuming, progress: progress)
        data = DataSummary(cache, of: spec)
        record = cache.record
        let excerpt = cache.contents.counts.excerpt
        spec = spec.withStreaming(excerpt != nil)
        let train = cache.contents.train
        guard train.sequenceCount > 0 else { throw Failure.input(["the dataset holds nothing to train on"]) }
        try checkLengths(train)
        try checkLengths(cache.contents.validation)
        let total = try totalSequences(train)
        let evaluated = min(spec.maxEvalSamples, cache.contents.validation.sequenceCount)
        var description = JobDescription(
            name: spec.name, parameters: layout.count, sequences: train.sequenceCount,
            globalBatch: spec.globalBatchSize, microBatch: shapes.microBatchSize, virtualShards: shapes.virtualShards,
            shuffleSeed: spec.shuffle ? spec.seed : nil, totalSequences: total, beta1: spec.adamBeta1,
            beta2: spec.adamBeta2,
            schedule: LearningRateSchedule.Kind(rawValue: spec.lrSchedulerType.rawValue) ?? .constant,
            peakRate: spec.learningRate, warmupRatio: spec.warmupRatio, evaluationSequences: evaluated,
            evaluationShards: max(1, min(64, evaluated)),
            files: zip(modelFiles, cache.model).map { file, source in
                JobFile(
                    kind: file.kind, name: file.name, digest: source.digest, size: source.bytes, path: source.path,
                    state: source.state)
            } + [try JobFile(data: cache.path)],
            training: settings.json)
        // A sequence of an excerpt stands for as many bytes as one of the whole would.
        description.wholeSequences = excerpt.map {
            Int((Double(train.sequenceCount) * Double($0.ofBytes) / Double(max(1, $0.bytes))).rounded())
        }
        description.setRunKeys(spec)
        description.isExact = spec.exactness == .exact
        description.tensors = layout.entries.map { TrainedTensor(name: $0.name, shape: $0.shape) }
        description.user = NSUserName()
        description.memoryBytes = JobSize.memory(self, description)
        return description
    }

    /// Refuses documents with more tokens than the model has positions.
    private func checkLengths(_ set: SequenceSet) throws {
        let limit = model.configuration.positions
        guard limit > 0 else { return }
        for index in 0..<set.sequenceCount where set.tokens(index) > limit {
            let sequence = set.sequence(index)
            let ends = sequence.documentStarts.dropFirst() + [Int32(sequence.tokens.count)]
            let longest = zip(sequence.documentStarts, ends).map { Int($1 - $0) }.max() ?? 0
            guard longest <= limit else {
                throw Failure.input(
                    "a sequence of \(longest) tokens is longer than the \(limit) positions that the model allows: "
                        + "set cutoff_len to \(limit) or less")
            }
        }
    }

    /// Sequences of the longest job: what is counted from them fits 64 bits.
    private static let mostSequences = 1e12

    func checkLength(_ sequences: Double, _ key: String) throws {
        guard sequences <= Self.mostSequences else { throw Failure.input("\(key): that is longer than anybody waits") }
    }

    private func totalSequences(_ train: SequenceSet) throws -> Int {
        switch spec.length {
        case .epochs(let epochs):
            let total = (epochs * Double(train.sequenceCount)).rounded(.up)
            try checkLength(total, "num_train_epochs")
            return max(1, Int(total))
        case .steps(let steps):
            try checkLength(Double(steps) * Double(spec.globalBatchSize), "max_steps")
            return Int(steps) * spec.globalBatchSize
        case .tokens(let tokens):
            let lengths = (0..<train.sequenceCount).map { Int32(train.tokens($0)) }
            let plan = BatchPlan(
                index: SequenceIndex(tokens: lengths, trained: lengths), globalBatch: spec.globalBatchSize,
                microBatch: 1, virtualShards: 1, shuffleSeed: spec.shuffle ? spec.seed : nil,
                totalSequences: .max / 2, beta1: 0, beta2: 0)
            // Whole epochs take the same tokens each: only the last one is counted step by step.
            let epoch = lengths.reduce(0) { $0 + Int($1) }
            let whole = Int(tokens) / max(1, epoch) * lengths.count
            try checkLength(Double(whole), "max_tokens")
            var step = whole / spec.globalBatchSize
            let begun = plan.sequences(of: step + 1).prefix(whole - step * spec.globalBatchSize)
            var spent = Int(tokens) / max(1, epoch) * epoch - begun.reduce(0) { $0 + Int(lengths[Int($1)]) }
            while true {
                let next = plan.sequences(of: step + 1).reduce(0) { $0 + Int(lengths[Int($1)]) }
                guard spent + next <= Int(tokens) else { break }
                spent += next
                step += 1
            }
            guard step > 0 else { throw Failure.input(["max_tokens: \(tokens) is less than one step takes"]) }
            return step * spec.globalBatchSize
        }
    }

    /// The files of the model and of the adapter that it starts from.
    var modelFiles: [(kind: JobFile.Kind, name: String, path: String)] {
        func file(_ kind: JobFile.Kind, _ name: String, in folder: String) -> (JobFile.Kind, String, String) {
            (kind, name, URL(fileURLWithPath: "\(folder)/\(name)").standardizedFileURL.path)
        }
        return model.fileNames.map { file(.model, $0, in: model.path) }
            + (adapter.map { adapter in
                ["adapter_config.json", "adapter_model.safetensors"].map { file(.adapter, $0, in: adapter.path) }
            } ?? [])
    }
}

extension JobFile {
    /// A job's tokens at `path`, with their digest.
    init(data path: String) throws {
        let absolute = URL(fileURLWithPath: path).standardizedFileURL.path
        let size = try FileManager.default.attributesOfItem(atPath: absolute)[.size] as? Int ?? 0
        self.init(
            kind: .data, name: "data.tokens", digest: try DigestNote.digest(of: absolute), size: size, path: absolute)
    }
}
