package import Budgeting

/// The keys by type; `JobKeyTable` says what each means.
extension JobSpec {
    /// Fit for a folder's name.
    package var name: String { required(text(.name), .name) }
    /// The model's directory.
    package var modelPath: String { required(text(.modelNameOrPath), .modelNameOrPath) }
    /// What is trained.
    package var stage: Stage { choice(.stage) }
    /// Which parameters are trained.
    package var finetuningType: FinetuningType { choice(.finetuningType) }

    /// nil for a full job, and where the adapter to start from rules and nothing was given.
    package var loraRank: Int? { integer(.loraRank) }
    /// As `loraRank`.
    package var loraAlpha: Double? { number(.loraAlpha) }
    /// As `loraRank`; in 0..<1.
    package var loraDropout: Double? { number(.loraDropout) }
    /// As `loraRank`.
    package var loraTarget: LoRATarget? {
        switch self[.loraTarget] {
        case .text: .all
        case .names(let names): .modules(names)
        default: nil
        }
    }
    /// As `loraRank`.
    package var useRSLoRA: Bool? { bool(.useRSLoRA) }
    /// The PEFT adapter to start from.
    package var adapterPath: String? { text(.adapterNameOrPath) }

    /// `auto`, or the name of a built-in template.
    package var template: String { required(text(.template), .template) }
    /// At least one.
    package var datasets: [JobDataset] {
        if case .datasets(let datasets) = self[.dataset] { datasets } else { required(nil, .dataset) }
    }
    /// In 0..<1.
    package var valSize: Double { required(number(.valSize), .valSize) }
    /// Tokens, at least 1.
    package var cutoffLen: Int { required(integer(.cutoffLen), .cutoffLen) }
    /// What happens to a sample longer than `cutoffLen`.
    package var excessLength: ExcessLength { choice(.excessLength) }
    /// Whether a sequence holds several samples.
    package var packing: Bool { required(bool(.packing), .packing) }
    /// Whether prompts are trained too.
    package var trainOnPrompt: Bool { required(bool(.trainOnPrompt), .trainOnPrompt) }
    /// Whether each epoch has its own order; false = file order.
    package var shuffle: Bool { required(bool(.shuffle), .shuffle) }
    /// In 0...Int64.max.
    package var seed: UInt64 { UInt64(required(integer(.seed), .seed)) }
    /// Whether only a part of the data is tokenised; `auto` is for the submitter to settle.
    package var streaming: AutoSwitch { choice(.streaming) }

    /// Sequences of an optimizer step, at least 1.
    package var globalBatchSize: Int { required(integer(.globalBatchSize), .globalBatchSize) }
    /// Sequences of one pass; nil = auto (`ResolvedShapes`).
    package var microBatchSize: Int? { integer(.microBatchSize) }
    /// V; nil = auto (`ResolvedShapes`).
    package var virtualShards: Int? { integer(.virtualShards) }
    /// Where the job's steps end, before any budget.
    package var length: JobLength {
        if let epochs = number(.numTrainEpochs) { return .epochs(epochs) }
        if let steps = integer(.maxSteps) { return .steps(Int64(steps)) }
        return .tokens(Int64(required(integer(.maxTokens), .maxTokens)))
    }

    /// Above 0.
    package var learningRate: Double { required(number(.learningRate), .learningRate) }
    /// The learning rate's course after warm-up.
    package var lrSchedulerType: SchedulerType { choice(.lrSchedulerType) }
    /// In 0...1.
    package var warmupRatio: Double { required(number(.warmupRatio), .warmupRatio) }
    /// From 0.
    package var weightDecay: Double { required(number(.weightDecay), .weightDecay) }
    /// In 0..<1.
    package var adamBeta1: Double { required(number(.adamBeta1), .adamBeta1) }
    /// In 0..<1.
    package var adamBeta2: Double { required(number(.adamBeta2), .adamBeta2) }
    /// Above 0.
    package var adamEpsilon: Double { required(number(.adamEpsilon), .adamEpsilon) }
    /// 0 = gradients are never scaled down.
    package var maxGradNorm: Double { required(number(.maxGradNorm), .maxGradNorm) }
    /// The arithmetic asked for; `auto` is for the submitter to settle.
    package var precision: Precision { choice(.precision) }
    /// How gradient nodes travel.
    package var gradientWire: GradientWire { choice(.gradientWire) }
    /// Whether other numerics profiles may join.
    package var exactness: Exactness { choice(.exactness) }
    /// Whether activations are recomputed; `auto` is for the submitter to settle.
    package var gradientCheckpointing: AutoSwitch { choice(.gradientCheckpointing) }

    /// Workers the job waits for and workers it uses at most.
    package var workers: ClosedRange<Int> {
        required(integer(.workersMin), .workersMin)...required(integer(.workersMax), .workersMax)
    }
    /// The project the job is accounted to.
    package var project: String { required(text(.project), .project) }
    /// In 0...100, higher first.
    package var priority: Int { required(integer(.priority), .priority) }

    /// The limits, with currency and warning level.
    package var budget: Budget {
        let share = required(number(.budgetWarnAt), .budgetWarnAt)
        var budget = Budget(warnAt: min(1_000_000, max(1, Int64((share * 1_000_000).rounded()))))
        for key in JobSpec.budgetKeys {
            guard case .amount(let quantity) = self[key] else { continue }
            budget[quantity.unit] = quantity.amount
            if let currency = quantity.currency { budget.currency = currency }
        }
        return budget
    }

    /// The keys of limits.
    static let budgetKeys: [JobKey] = [
        .budgetCoreHours, .budgetWallClock, .budgetTokens, .budgetSteps, .budgetEnergy, .budgetMoney,
    ]

    /// The run's folder.
    package var outputDir: String { required(text(.outputDir), .outputDir) }
    /// Steps between checkpoints; 0 = only the interval counts.
    package var saveSteps: Int { required(integer(.saveSteps), .saveSteps) }
    /// Time between checkpoints.
    package var saveInterval: SaveInterval {
        switch self[.saveInterval] {
        case .duration(let milliseconds): .milliseconds(milliseconds)
        case .text("auto"): .auto
        default: .never
        }
    }
    /// What the job starts from.
    package var resumeFromCheckpoint: ResumeChoice {
        switch required(text(.resumeFromCheckpoint), .resumeFromCheckpoint) {
        case "auto": .auto
        case "never": .never
        case let path: .path(path)
        }
    }
    /// Checkpoints kept, at least 1.
    package var saveTotalLimit: Int { required(integer(.saveTotalLimit), .saveTotalLimit) }
    /// Checkpoints with the lowest held-out loss that are kept besides.
    package var saveBest: Int { required(integer(.saveBest), .saveBest) }
    /// Checkpoints at multiples of so many steps are kept besides; 0 = none.
    package var saveEvery: Int { required(integer(.saveEvery), .saveEvery) }
    /// 0 = none before the last.
    package var evalSteps: Int { required(integer(.evalSteps), .evalSteps) }
    /// Whether there is one before step 1.
    package var evalOnStart: AutoSwitch { choice(.evalOnStart) }
    package var maxEvalSamples: Int { required(integer(.maxEvalSamples), .maxEvalSamples) }
    /// At least 1.
    package var loggingSteps: Int { required(integer(.loggingSteps), .loggingSteps) }
    /// At least one, each once.
    package var exports: [ExportFormat] {
        if case .names(let names) = self[.export] { names.compactMap(ExportFormat.init(rawValue:)) } else { [] }
    }
}
