import Budgeting

/// The keys of the job file, as data: names, types, defaults, aliases, tags and documentation come from here only.
package enum JobKeyTable {
    /// One entry for each `JobKey`, in its order.
    package static let entries: [JobKeyEntry] = model + data + optimization + placement + output

    /// The fields of an entry of `dataset`; `path` is required.
    package static let datasetFields: [(name: String, kind: JobKind, defaultText: String?, doc: String)] = [
        ("path", .path, nil, "A JSON, JSONL or text file. Required."),
        ("type", .choice(words(DatasetType.self)), "auto", "How its lines are read; auto = by its first lines."),
        ("weight", .number(.positive), "1.0", "Its share against the other files'."),
    ]

    /// The mappings that hold keys: `workers.min` stands under `workers`.
    package static let groups = ["workers", "budget"]

    /// The values that stand when a key is not given, by `JobKey.rawValue`.
    static let defaults: [JobValue] = entries.map { entry in
        guard let text = entry.defaultText else { return .null }
        let scalar = SpecScalar(text: text, isPlain: true)
        switch JobValueReader(entry: entry).value(of: .scalar(scalar), isOverride: false) {
        case .success(let value): return value
        case .failure(let fault): preconditionFailure("a default of the table is no value: \(fault.sentence)")
        }
    }

    private static let batchRange: ClosedRange<Int64> = 1...1_048_576
    private static let workerRange: ClosedRange<Int64> = 1...4096
    private static let stepRange: ClosedRange<Int64> = 0...Int64.max

    private static func words<Choice: RawRepresentable<String> & CaseIterable>(_ type: Choice.Type) -> [String] {
        type.allCases.map(\.rawValue)
    }

    private static let model: [JobKeyEntry] = [
        .init(
            key: .name, name: "name", kind: .name, tag: .run, isNullable: true,
            doc: "The job's name; by default the job file's, without its ending."),
        .init(
            key: .modelNameOrPath, name: "model_name_or_path", kind: .path, tag: .result,
            aliases: [.init("base_model")],
            doc: "The model's Hugging Face directory: config.json, *.safetensors, tokenizer files. Required."),
        .init(
            key: .stage, name: "stage", kind: .choice(words(Stage.self)), tag: .result, defaultText: "sft",
            doc: "pt trains every token of plain text, sft the answers of conversations."),
        .init(
            key: .finetuningType, name: "finetuning_type", kind: .choice(words(FinetuningType.self)), tag: .result,
            defaultText: "lora", aliases: [.init("adapter")],
            doc: "full trains every parameter, lora trains low-rank adapters."),
        .init(
            key: .loraRank, name: "lora_rank", kind: .integer(1...65536), tag: .result, defaultText: "16",
            isNullable: true, aliases: [.init("lora_r")], doc: "Rank of the adapters; lora only."),
        .init(
            key: .loraAlpha, name: "lora_alpha", kind: .number(.positive), tag: .result, defaultText: "32",
            isNullable: true, doc: "Adapters are scaled by alpha / rank; lora only."),
        .init(
            key: .loraDropout, name: "lora_dropout", kind: .number(.halfOpen(0, 1)), tag: .result,
            defaultText: "0.0", isNullable: true,
            doc: "Share of an adapter's inputs set to 0 while training; lora only."),
        .init(
            key: .loraTarget, name: "lora_target", kind: .names, words: ["all"], tag: .result, defaultText: "all",
            isNullable: true,
            aliases: [.init("lora_target_modules"), .init("lora_target_linear", valueOfTrue: "all")],
            valueAliases: [(from: "all-linear", to: "all")],
            doc: "all = every linear layer, or a list of module names; lora only."),
        .init(
            key: .useRSLoRA, name: "use_rslora", kind: .bool, tag: .result, defaultText: "false", isNullable: true,
            doc: "Scale adapters by alpha / sqrt(rank) instead; lora only."),
        .init(
            key: .adapterNameOrPath, name: "adapter_name_or_path", kind: .path, tag: .result, isNullable: true,
            doc: "Start from this PEFT adapter; its config then rules, lora_* keys that differ are refused."),
        .init(
            key: .template, name: "template", kind: .text, tag: .result, defaultText: "auto",
            aliases: [.init("chat_template")],
            doc: "auto = the checkpoint's own chat template, or a built-in one by name."),
    ]

    private static let data: [JobKeyEntry] = [
        .init(
            key: .dataset, name: "dataset", kind: .datasets, tag: .result, aliases: [.init("datasets")],
            doc: "The data files, each with path, type and weight. Required."),
        .init(
            key: .valSize, name: "val_size", kind: .number(.halfOpen(0, 1)), tag: .result, defaultText: "0.02",
            aliases: [.init("val_set_size")], doc: "Share of the samples held out for evaluation; 0 = none."),
        .init(
            key: .cutoffLen, name: "cutoff_len", kind: .integer(1...16_777_216), tag: .result, defaultText: "1024",
            aliases: [.init("sequence_len"), .init("max_length"), .init("max_seq_length")],
            doc: "Tokens a sequence may have."),
        .init(
            key: .excessLength, name: "excess_length", kind: .choice(words(ExcessLength.self)), tag: .result,
            defaultText: "drop", doc: "What happens to a sample longer than cutoff_len."),
        .init(
            key: .packing, name: "packing", kind: .bool, tag: .result, defaultText: "true",
            aliases: [.init("sample_packing")],
            doc: "Fill each sequence with several samples; they never see each other."),
        .init(
            key: .trainOnPrompt, name: "train_on_prompt", kind: .bool, tag: .result, defaultText: "false",
            aliases: [.init("train_on_inputs")], doc: "Train on prompts too, not on answers only."),
        .init(
            key: .shuffle, name: "shuffle", kind: .bool, tag: .result, defaultText: "true",
            doc: "Draw the samples in a new order each epoch; false = file order."),
        .init(
            key: .seed, name: "seed", kind: .integer(0...Int64.max), tag: .result, defaultText: "42",
            doc: "Seeds sample order, dropout and adapter initialisation."),
        .init(
            key: .streaming, name: "streaming", kind: .choice(words(AutoSwitch.self)), tag: .result,
            defaultText: "auto",
            doc: "Tokenise only as much of the data as max_steps or max_tokens needs; auto = of 256 MiB JSONL or more."
        ),
        .init(
            key: .globalBatchSize, name: "global_batch_size", kind: .integer(batchRange), tag: .result,
            defaultText: "64",
            doc: "Sequences of an optimizer step; fixed for the job's life, whatever the workers."),
        .init(
            key: .microBatchSize, name: "micro_batch_size", kind: .integer(batchRange), words: ["auto"],
            tag: .result, defaultText: "auto", aliases: [.init("per_device_train_batch_size")],
            doc: "Sequences of one forward and backward pass; auto = about 2048 tokens."),
        .init(
            key: .virtualShards, name: "virtual_shards", kind: .integer(workerRange), words: ["auto"], tag: .result,
            defaultText: "auto",
            doc: "Parts that a global batch is cut into for the workers; fixed for the job's life."),
    ]

    private static let optimization: [JobKeyEntry] = [
        .init(
            key: .numTrainEpochs, name: "num_train_epochs", kind: .number(.positive), tag: .result, isNullable: true,
            aliases: [.init("num_epochs")],
            doc: "Passes over the data; 3 when neither max_steps nor max_tokens is given."),
        .init(
            key: .maxSteps, name: "max_steps", kind: .count, tag: .result, isNullable: true,
            doc: "Optimizer steps, instead of epochs."),
        .init(
            key: .maxTokens, name: "max_tokens", kind: .count, tag: .result, isNullable: true,
            doc: "Input tokens, instead of epochs."),
        .init(
            key: .learningRate, name: "learning_rate", kind: .number(.positive), tag: .result, defaultText: "1.0e-4",
            doc: "The highest learning rate."),
        .init(
            key: .lrSchedulerType, name: "lr_scheduler_type", kind: .choice(words(SchedulerType.self)), tag: .result,
            defaultText: "wsd", aliases: [.init("lr_scheduler")],
            doc: "The learning rate's course after warm-up; wsd = constant, then an anneal over the last 15 %."),
        .init(
            key: .warmupRatio, name: "warmup_ratio", kind: .number(.closed(0, 1)), tag: .result, defaultText: "0.03",
            doc: "Share of the planned steps in which the learning rate rises."),
        .init(
            key: .weightDecay, name: "weight_decay", kind: .number(.nonNegative), tag: .result, defaultText: "0.0",
            doc: "AdamW's decoupled weight decay."),
        .init(
            key: .adamBeta1, name: "adam_beta1", kind: .number(.halfOpen(0, 1)), tag: .result, defaultText: "0.9",
            doc: "AdamW's decay of the first moment."),
        .init(
            key: .adamBeta2, name: "adam_beta2", kind: .number(.halfOpen(0, 1)), tag: .result, defaultText: "0.999",
            doc: "AdamW's decay of the second moment."),
        .init(
            key: .adamEpsilon, name: "adam_epsilon", kind: .number(.positive), tag: .result, defaultText: "1.0e-8",
            doc: "AdamW's epsilon."),
        .init(
            key: .maxGradNorm, name: "max_grad_norm", kind: .number(.nonNegative), tag: .result, defaultText: "1.0",
            doc: "Gradients are scaled down to this norm; 0 = never."),
        .init(
            key: .precision, name: "precision", kind: .choice(words(Precision.self)), tag: .result,
            defaultText: "auto",
            doc: "Arithmetic of matrix products; auto is resolved once, from instruction set and shapes."),
        .init(
            key: .gradientWire, name: "gradient_wire", kind: .choice(words(GradientWire.self)), tag: .result,
            defaultText: "fp32", doc: "How gradients travel between workers."),
        .init(
            key: .exactness, name: "exactness", kind: .choice(words(Exactness.self)), tag: .result,
            defaultText: "exact", doc: "equivalent = workers of another numerics profile may join."),
        .init(
            key: .gradientCheckpointing, name: "gradient_checkpointing",
            kind: .choice(words(AutoSwitch.self)), tag: .result, defaultText: "auto",
            doc: "Recompute activations in the backward pass to save memory."),
    ]

    private static let placement: [JobKeyEntry] = [
        .init(
            key: .workersMin, name: "workers.min", kind: .integer(workerRange), tag: .run, defaultText: "1",
            doc: "The job waits until this many workers are there."),
        .init(
            key: .workersMax, name: "workers.max", kind: .integer(workerRange), tag: .run, defaultText: "8",
            doc: "More workers are not used; left out, 8, or virtual_shards where that is less."),
        .init(
            key: .project, name: "project", kind: .name, tag: .run, defaultText: "default",
            doc: "The project the job is accounted to."),
        .init(
            key: .priority, name: "priority", kind: .integer(0...100), tag: .run, defaultText: "50",
            doc: "Jobs of higher priority start first."),
        .init(
            key: .budgetCoreHours, name: "budget.core_hours", kind: .amount(.coreTime), tag: .run, isNullable: true,
            doc: "Limit of cores times time."),
        .init(
            key: .budgetWallClock, name: "budget.wall_clock", kind: .amount(.wallClock), tag: .run, isNullable: true,
            doc: "Limit of time."),
        .init(
            key: .budgetTokens, name: "budget.tokens", kind: .amount(.tokens), tag: .run, isNullable: true,
            doc: "Limit of input tokens of committed steps, without padding."),
        .init(
            key: .budgetSteps, name: "budget.steps", kind: .amount(.steps), tag: .run, isNullable: true,
            doc: "Limit of optimizer steps."),
        .init(
            key: .budgetEnergy, name: "budget.energy", kind: .amount(.energy), tag: .run, isNullable: true,
            doc: "Limit of energy."),
        .init(
            key: .budgetMoney, name: "budget.money", kind: .amount(.money), tag: .run, isNullable: true,
            doc: "Limit of money."),
        .init(
            key: .budgetWarnAt, name: "budget.warn_at", kind: .number(.closed(0.000001, 1)), tag: .run,
            defaultText: "0.8", doc: "Share of a limit at which the job warns and plans anew."),
    ]

    private static let output: [JobKeyEntry] = [
        .init(
            key: .outputDir, name: "output_dir", kind: .path, tag: .run, isNullable: true,
            doc: "The run's folder; by default runs/ and the job's name."),
        .init(
            key: .saveSteps, name: "save_steps", kind: .integer(stepRange), tag: .run, defaultText: "500",
            doc: "Steps between two checkpoints; 0 = only save_interval counts."),
        .init(
            key: .saveInterval, name: "save_interval", kind: .duration, words: ["auto", "never"], tag: .run,
            defaultText: "20m",
            doc: "Time between two checkpoints; auto = from measured cost, never = save_steps only."),
        .init(
            key: .resumeFromCheckpoint, name: "resume_from_checkpoint", kind: .path, words: ["auto", "never"],
            tag: .run, defaultText: "auto",
            doc: "auto = the job's newest checkpoint if there is one, never = from step 0."),
        .init(
            key: .saveTotalLimit, name: "save_total_limit", kind: .integer(2...1_000_000), tag: .run,
            defaultText: "3", doc: "Checkpoints that are kept, at least 2; older ones are pruned."),
        .init(
            key: .saveBest, name: "save_best", kind: .integer(0...1_000_000), tag: .run, defaultText: "0",
            doc: "So many checkpoints with the lowest held-out loss are kept besides."),
        .init(
            key: .saveEvery, name: "save_every", kind: .integer(stepRange), tag: .run, defaultText: "0",
            doc: "Checkpoints at multiples of so many steps are kept besides; 0 = none."),
        .init(
            key: .evalSteps, name: "eval_steps", kind: .integer(stepRange), tag: .run, defaultText: "200",
            doc: "Steps between two evaluations; 0 = only the one at the end."),
        .init(
            key: .evalOnStart, name: "eval_on_start", kind: .choice(words(AutoSwitch.self)), tag: .run,
            defaultText: "auto",
            doc: "Evaluate before step 1; auto = where that reads no more sequences than two steps."),
        .init(
            key: .maxEvalSamples, name: "max_eval_samples", kind: .integer(1...Int64.max), tag: .run,
            defaultText: "1000", doc: "Held-out sequences that an evaluation reads at most, evenly spread over all."),
        .init(
            key: .loggingSteps, name: "logging_steps", kind: .integer(1...Int64.max), tag: .run, defaultText: "1",
            doc: "Steps between two lines of the log."),
        .init(
            key: .export, name: "export", kind: .choices(words(ExportFormat.self)), tag: .run, isNullable: true,
            doc: "What is written at the end; by default peft for lora, hf for full."),
    ]
}
