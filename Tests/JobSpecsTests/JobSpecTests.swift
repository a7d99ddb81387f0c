import Budgeting
import Testing

@testable import JobSpecs

/// The smallest job file.
let smallest = """
    model_name_or_path: m
    dataset:
      - path: d.jsonl

    """

/// Reads a job file, failing the test with all its issues.
func spec(_ yaml: String = smallest, _ overrides: [String] = [], file: String = "job.yaml") throws -> JobSpec {
    try JobSpec.read(yaml: yaml, file: file, overrides: overrides).get()
}

/// The issues of a job file, none when it is right.
func issues(_ yaml: String, _ overrides: [String] = []) -> [SpecIssue] {
    switch JobSpec.read(yaml: yaml, file: "job.yaml", overrides: overrides) {
    case .failure(let issues): issues.issues
    case .success: []
    }
}

/// The descriptions of the issues of the smallest job file with more lines.
func faults(_ more: String, _ overrides: [String] = []) -> [String] {
    issues(smallest + more, overrides).map(\.description)
}

@Suite struct JobSpecTests {
    @Test func `the smallest job file gets every default of the design`() throws {
        let job = try spec(file: "configs/shop.yaml")

        #expect(job.name == "shop" && job.outputDir == "runs/shop")
        #expect(job.stage == .sft && job.finetuningType == .lora)
        #expect(job.loraRank == 16 && job.loraAlpha == 32 && job.loraDropout == 0 && job.loraTarget == .all)
        #expect(job.useRSLoRA == false && job.adapterPath == nil && job.template == "auto")
        #expect(job.datasets == [JobDataset(path: "d.jsonl", type: .auto, weight: 1)])
        #expect(job.valSize == 0.02 && job.cutoffLen == 1024 && job.excessLength == .drop && job.packing)
        #expect(!job.trainOnPrompt && job.shuffle && job.seed == 42)
        #expect(job.globalBatchSize == 64 && job.microBatchSize == nil && job.virtualShards == nil)
        #expect(job.length == .epochs(3) && job.learningRate == 1e-4 && job.lrSchedulerType == .wsd)
        #expect(job.warmupRatio == 0.03 && job.weightDecay == 0 && job.maxGradNorm == 1)
        #expect(job.adamBeta1 == 0.9 && job.adamBeta2 == 0.999 && job.adamEpsilon == 1e-8)
        #expect(job.precision == .auto && job.gradientWire == .fp32 && job.exactness == .exact)
        #expect(job.gradientCheckpointing == .auto && job.workers == 1...8)
        #expect(job.project == "default" && job.priority == 50)
        #expect(job.budget.isUnlimited && job.budget.warnAt == 800_000)
        #expect(job.saveSteps == 500 && job.saveInterval == .milliseconds(1_200_000))
        #expect(job.resumeFromCheckpoint == .auto && job.saveTotalLimit == 3)
        #expect(job.evalSteps == 200 && job.maxEvalSamples == 1000 && job.loggingSteps == 1 && job.exports == [.peft])
    }

    @Test func `the job file of the design is read as it stands`() throws {
        let job = try spec(designExample)

        #expect(job.name == "shop-assistant" && job.modelPath == "./models/Qwen3-0.6B")
        #expect(job.budget[.coreTime] == 400 * 3_600_000 && job.budget[.wallClock] == 36 * 3_600_000)
        #expect(job.budget[.tokens] == 50_000_000 && job.budget[.steps] == 2000)
        #expect(job.budget[.energy] == 43_200_000_000 && job.budget[.money] == 60_000_000)
        #expect(job.budget.currency == "EUR")
    }

    @Test func `values of every form are read to their types`() throws {
        let job = try spec(
            smallest + """
                learning_rate: 2e-4
                lora_alpha: 8
                adam_epsilon: .1
                weight_decay: 1e-2
                seed: 0x2A
                lora_target: [q_proj, v_proj]
                export: peft,merged
                save_interval: auto
                num_train_epochs: 0.5
                packing: False
                gradient_checkpointing: true
                resume_from_checkpoint: runs/x/checkpoints
                workers: {min: 2, max: 4}
                budget: {tokens: 1.5M, wall_clock: 1h30m, core_hours: 0.5, energy: 500 Wh, money: 1.25 USD}
                val_size: 0
                name: 2024
                """)

        #expect(job.learningRate == 0.0002 && job.loraAlpha == 8 && job.adamEpsilon == 0.1 && job.weightDecay == 0.01)
        #expect(job.seed == 42 && job.loraTarget == .modules(["q_proj", "v_proj"]) && job.exports == [.peft, .merged])
        #expect(job.saveInterval == .auto && job.length == .epochs(0.5) && !job.packing)
        #expect(job.gradientCheckpointing == .on && job.resumeFromCheckpoint == .path("runs/x/checkpoints"))
        #expect(job.workers == 2...4 && job.valSize == 0 && job.name == "2024")
        #expect(job.budget[.tokens] == 1_500_000 && job.budget[.wallClock] == 5_400_000)
        #expect(job.budget[.coreTime] == 1_800_000 && job.budget[.energy] == 1_800_000_000)
        #expect(job.budget[.money] == 1_250_000 && job.budget.currency == "USD")
    }

    @Test func `streaming needs a length that tells what is enough`() throws {
        let base = "model_name_or_path: m\ndataset: [{path: a.jsonl}]\n"
        #expect(try spec(base).streaming == .auto)
        #expect(try spec(base + "streaming: true\nmax_steps: 5").streaming == .on)
        #expect(try spec(base + "streaming: true\nmax_tokens: 5").streaming == .on)
        #expect(try spec(base + "streaming: false").streaming == .off)
        for length in ["", "num_train_epochs: 2"] {
            let error = #expect(throws: SpecIssues.self) { try spec(base + "streaming: true\n" + length) }
            #expect(error?.description.contains("streaming true needs max_steps or max_tokens") == true)
        }
        let (auto, off) = (try spec(base + "max_steps: 5"), try spec(base + "max_steps: 5\nstreaming: false"))
        #expect(auto.settled(as: auto.withStreaming(true)).streaming == .on)
        #expect(auto.settled(as: off).streaming == .off && off.settled(as: auto.withStreaming(true)).streaming == .off)
    }

    @Test func `names of LLaMA-Factory, Axolotl and TRL are accepted`() throws {
        let job = try spec(
            """
            base_model: m
            adapter: lora
            lora_r: 4
            lora_target_linear: true
            chat_template: chatml
            datasets: [{path: a.jsonl, type: chat_template}]
            val_set_size: 0.1
            sequence_len: 256
            sample_packing: false
            train_on_inputs: true
            per_device_train_batch_size: 2
            num_epochs: 2
            lr_scheduler: cosine
            """)

        #expect(job.modelPath == "m" && job.finetuningType == .lora && job.loraRank == 4 && job.loraTarget == .all)
        #expect(job.template == "chatml" && job.datasets == [JobDataset(path: "a.jsonl", type: .messages)])
        #expect(job.valSize == 0.1 && job.cutoffLen == 256 && !job.packing && job.trainOnPrompt)
        #expect(job.microBatchSize == 2 && job.length == .epochs(2) && job.lrSchedulerType == .cosine)
    }

    @Test func `a full job has no adapter keys and exports a model`() throws {
        let job = try spec(smallest + "finetuning_type: full\n")

        #expect(job.loraRank == nil && job.loraTarget == nil && job.useRSLoRA == nil && job.exports == [.hf])
    }

    @Test func `with an adapter to start from, adapter keys that are not given stay open`() throws {
        let job = try spec(smallest + "adapter_name_or_path: a\nlora_rank: 8\n")

        #expect(job.loraRank == 8 && job.loraAlpha == nil && job.loraTarget == nil)
    }

    @Test func `every accessor finds a value of its type under every default`() throws {
        for finetuning in ["full", "lora"] {
            for key in JobKey.allCases {
                let job = try spec(smallest + "finetuning_type: \(finetuning)\n")
                let isOptional = job[key] == .null
                let mayBeOpen = key.entry.isNullable
                #expect(!isOptional || mayBeOpen, "\(key.name) has no value")
            }
        }
    }
}

@Suite struct JobKeyTableTests {
    @Test func `the table has one entry for each key, in order, with names used once`() {
        #expect(JobKeyTable.entries.map(\.key) == JobKey.allCases)
        let names = JobKeyTable.entries.flatMap { [$0.name] + $0.aliases.map(\.name) }
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { ForeignKeys.advice(on: $0) == nil })
    }

    @Test func `every entry is documented in one sentence and every default is a value`() {
        #expect(JobKeyTable.defaults.count == JobKey.allCases.count)
        for entry in JobKeyTable.entries {
            #expect(entry.doc.hasSuffix(".") && !entry.takes.isEmpty)
            #expect(JobKeyTable.markdown.contains("| `\(entry.name)` |"))
        }
    }

    @Test func `run keys are workers, output, saving, logging and budget; all others are result keys`() {
        let run = JobKeyTable.entries.filter { $0.tag == .run }.map(\.name)
        #expect(
            run == [
                "name", "workers.min", "workers.max", "project", "priority", "budget.core_hours", "budget.wall_clock",
                "budget.tokens", "budget.steps", "budget.energy", "budget.money", "budget.warn_at", "output_dir",
                "save_steps", "save_interval", "resume_from_checkpoint", "save_total_limit", "save_best", "save_every",
                "eval_steps", "eval_on_start", "max_eval_samples", "logging_steps", "export",
            ])
    }
}

/// The job file of the design, §2.
let designExample = """
    name: shop-assistant
    model_name_or_path: ./models/Qwen3-0.6B     # HF directory: config.json, *.safetensors, tokenizer
    stage: sft                                  # pt | sft | (later) rm | dpo …
    finetuning_type: lora                       # full | lora
    lora_rank: 16
    lora_alpha: 32
    lora_dropout: 0.0
    lora_target: all                            # all linear layers, or a list of module names
    use_rslora: false
    adapter_name_or_path: null
    template: auto
    dataset:
      - path: data/shop.jsonl
        type: auto
        weight: 1.0
    val_size: 0.02
    cutoff_len: 1024
    excess_length: drop
    packing: true
    train_on_prompt: false
    shuffle: true
    seed: 42
    global_batch_size: 64
    micro_batch_size: auto
    virtual_shards: auto
    num_train_epochs: 3
    learning_rate: 1.0e-4
    lr_scheduler_type: wsd
    warmup_ratio: 0.03
    weight_decay: 0.0
    adam_beta1: 0.9
    adam_beta2: 0.999
    adam_epsilon: 1.0e-8
    max_grad_norm: 1.0
    precision: auto
    gradient_wire: fp32
    exactness: exact
    gradient_checkpointing: auto
    workers: {min: 1, max: 8}
    project: default
    priority: 50
    budget:
      core_hours: 400
      wall_clock: 36h
      tokens: 50M
      steps: 2000
      energy: 12 kWh
      money: 60 EUR
      warn_at: 0.8
    output_dir: runs/shop-assistant
    save_steps: 500
    save_interval: 20m
    resume_from_checkpoint: auto
    save_total_limit: 3
    eval_steps: 200
    max_eval_samples: 1000
    logging_steps: 1
    export: [peft]
    """
