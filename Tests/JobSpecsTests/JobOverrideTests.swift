import Budgeting
import Testing

@testable import JobSpecs

@Suite struct JobOverrideTests {
    @Test func `overrides replace the file's values, dotted for nested keys, the last one counting`() throws {
        let job = try spec(
            designExample,
            [
                "learning_rate=2e-4", "budget.tokens=5M", "workers.min=2", "dataset.0.path=x=y #z.jsonl", "seed=1",
                "seed=2", "base_model=other", "lora_target=q_proj,v_proj", "export=[peft, merged]", "name=true",
                "dataset.1.path=b.jsonl", "dataset.1.weight=2",
            ])

        #expect(job.learningRate == 2e-4 && job.budget[.tokens] == 5_000_000 && job.workers == 2...8)
        #expect(job.datasets == [JobDataset(path: "x=y #z.jsonl"), JobDataset(path: "b.jsonl", weight: 2)])
        #expect(job.seed == 2 && job.modelPath == "other" && job.loraTarget == .modules(["q_proj", "v_proj"]))
        #expect(job.exports == [.peft, .merged] && job.name == "true")
    }

    @Test func `whole structures can be written in flow style`() throws {
        let job = try spec(
            "",
            [
                "model_name_or_path=m", "dataset=[{path: a.jsonl, type: text}]", "workers={min: 2, max: 3}",
                "budget={steps: 7}",
            ], file: "")

        #expect(job.datasets == [JobDataset(path: "a.jsonl", type: .text)] && job.workers == 2...3)
        #expect(job.budget[.steps] == 7 && job.name == "job")
    }

    @Test func `null takes a value of the file away`() throws {
        let job = try spec(designExample, ["num_train_epochs=null", "max_steps=5", "budget.money=", "budget.steps=~"])

        #expect(job.length == .steps(5) && job.budget[.money] == nil && job.budget[.steps] == nil)
        #expect(job.budget.currency == nil)
    }

    @Test(arguments: [
        ("learning_rat=1", "did you mean 'learning_rate'?"), ("budget.token=1", "did you mean 'tokens'?"),
        ("dataset.path=x", "names no field"), ("dataset.5.path=x", "N in 0…1"),
        ("dataset.0.tpe=x", "did you mean 'type'?"),
        ("=5", "key=value"), ("seed", "key=value"), ("workers=[1", "not valid YAML"), ("budget=5", "takes a mapping"),
        ("dataset=[&a {path: x}]", "anchors"), ("max_steps=5", "contradict"), ("cutoff_len=", "not null"),
        ("a.b.c=1", "no key"), (".=1", "no key"), ("workers.=1", "no key"),
    ])
    func `a wrong override is named by its text`(override: String, part: String) {
        let found = issues(designExample, [override])
        #expect(found.count == 1, "\(found)")
        #expect(found.first?.description.hasPrefix("override '\(override)': ") == true)
        #expect(found.first?.description.contains(part) == true, "\(found)")
    }

    @Test func `a spec takes overrides as the file did`() throws {
        let job = try spec(designExample)

        #expect(try job.withOverrides([]).get() == job)
        #expect(
            try job.withOverrides(["seed=7", "dataset.0.type=text"]).get()
                == spec(designExample, ["seed=7", "dataset.0.type=text"]))
        #expect(throws: SpecIssues.self) { try job.withOverrides(["max_steps=5"]).get() }
        #expect(throws: SpecIssues.self) { try job.withOverrides(["sed=7"]).get() }
    }
}

@Suite struct ResolvedYAMLTests {
    @Test(arguments: [
        "", "finetuning_type: full\n", "adapter_name_or_path: a/b\n", "max_steps: 5\nsave_interval: never\n",
        "max_tokens: 3M\nsave_interval: auto\nresume_from_checkpoint: runs/../x\n",
        "lora_target: [q_proj, \"no\"]\nname: \"1e5\"\ntemplate: \"a: b # c\"\n",
        "learning_rate: 1e-10\nadam_epsilon: 1e-300\n",
        "template: \"\\u2028 \\U0001F600 \\xA0\\u2029 é \\\" \\\\\"\nproject: \"-\"\nsave_interval: 1.234s\n",
        "budget: {core_hours: 0.0000021, wall_clock: 1d1h, energy: 0.001 J, money: 0.000001 EUR}\n",
        "budget: {tokens: 1, warn_at: 1}\n",
        "gradient_checkpointing: false\nworkers: {min: 3, max: 3}\nvirtual_shards: 3\nmicro_batch_size: 1\n",
    ])
    func `the resolved file reads back to the same spec with absolute paths`(more: String) throws {
        let job = try spec(smallest + more)

        let resolved = job.resolvedYAML(workingDirectory: "/home/u v")
        let again = try spec(resolved, file: "resolved.yaml")

        #expect(again == job.absolute(in: "/home/u v"))
        #expect(again.resolvedYAML(workingDirectory: "/elsewhere") == resolved)
        let written = resolved.split(separator: "\n").filter { !$0.hasPrefix("  -") && !$0.hasPrefix("   ") }
        #expect(written.count == JobKey.allCases.count + JobKeyTable.groups.count)
    }

    @Test func `paths become absolute, words of path keys do not`() throws {
        let more = "resume_from_checkpoint: never\nadapter_name_or_path: /a//b/./c\n"
        let job = try spec(smallest + more).absolute(in: "/w")

        #expect(job.modelPath == "/w/m" && job.datasets[0].path == "/w/d.jsonl" && job.adapterPath == "/a/b/c")
        #expect(job.outputDir == "/w/runs/job" && job.resumeFromCheckpoint == .never)
    }

    @Test func `numbers are written with a point, so that older readers see numbers`() {
        #expect(YAMLText.number(1e-8) == "1.0e-08" && YAMLText.number(1e-4) == "0.0001")
        #expect(YAMLText.number(32) == "32.0")
        #expect(YAMLText.number(1e22) == "1.0e+22" && YAMLText.number(1.5e-7) == "1.5e-07")
    }

    @Test func `differences are told by tag, with both values`() throws {
        let old = try spec()
        let new = try spec(smallest, ["seed=7", "save_steps=5", "dataset.0.type=text"])

        #expect(
            new.differences(from: old, tag: .result) == [
                .init(
                    key: .dataset, old: "[{path: d.jsonl, type: auto, weight: 1.0}]",
                    new: "[{path: d.jsonl, type: text, weight: 1.0}]"),
                .init(key: .seed, old: "42", new: "7"),
            ])
        #expect(new.differences(from: old, tag: .run).map(\.key) == [.saveSteps])
        #expect(old.differences(from: old, tag: .result).isEmpty)
    }
}

@Suite struct ResolvedShapesTests {
    @Test(arguments: [
        (1, FinetuningType.full, 64, 1024, 1), (8, .full, 64, 1024, 8),
        (5, .full, 64, 1024, 8), (8, .lora, 64, 1024, 32),
        (8, .lora, 64, 4096, 64), (8, .lora, 4, 128, 8), (100, .lora, 1024, 4096, 128), (1, .lora, 1, 1, 1),
        (8, .lora, 16, 1024, 8), (8, .lora, 32, 1024, 16), (1, .lora, Int.max, 2, 64),
    ])
    func `V follows design 4 point 1 rule 14`(
        workers: Int, type: FinetuningType, batch: Int, cutoff: Int, shards: Int
    ) {
        #expect(
            ResolvedShapes.virtualShards(
                workersMax: workers, finetuningType: type, globalBatchSize: batch, cutoffLen: cutoff) == shards)
    }

    @Test(arguments: [(1024, 2), (2048, 1), (4096, 1), (128, 16), (1500, 1), (1, 2048)])
    func `a micro-batch holds about 2048 tokens`(cutoff: Int, rows: Int) {
        #expect(ResolvedShapes.microBatchSize(cutoffLen: cutoff) == rows)
    }

    @Test func `the number of local workers does not change what a job computes`() throws {
        let job = try spec(smallest + "cutoff_len: 128\nglobal_batch_size: 4\n")

        let one = try job.withWorkers(1).get()
        let three = try job.withWorkers(3).get()

        #expect(one.workers == 1...1 && three.workers == 3...3)
        #expect(three.differences(from: one, tag: .result).isEmpty)
        #expect(one.virtualShards == 8 && one.microBatchSize == 16)
        #expect(try job.withWorkers(9).get().virtualShards == 16)
        #expect(throws: SpecIssues.self) { try spec(smallest + "virtual_shards: 4\n").withWorkers(5).get() }
    }

    @Test func `what a run has settled it keeps when only its workers change, up to one a shard`() throws {
        func job(_ more: String) throws -> JobSpec { try spec(smallest + "finetuning_type: full\n" + more) }
        let begun = try job("workers: {max: 8}\n").readied(workers: nil).get().withStreaming(false)
        #expect(begun.virtualShards == 8 && begun.microBatchSize == 2)

        for count in [1, 3, 8] {
            let again = try job("workers: {max: \(count)}\n").settled(as: begun)
            #expect(again.differences(from: begun, tag: .result).isEmpty)
            let ready = try again.readied(workers: nil).get()
            #expect(ready.virtualShards == 8 && ready.workers == 1...count)
        }
        let wide = try job("workers: {max: 16}\n").settled(as: begun)
        let error = #expect(throws: SpecIssues.self) { try wide.readied(workers: nil).get() }
        #expect(error?.description.contains("workers.max 16 is more than virtual_shards 8") == true)
        #expect(try wide.readied(workers: 5).get().workers == 5...5)
        #expect(throws: SpecIssues.self) { try wide.readied(workers: 9).get() }
        // What is written is no matter of settling, and a new run settles for itself.
        let written = try job("virtual_shards: 16\nmicro_batch_size: 1\n").settled(as: begun)
        #expect(written.differences(from: begun, tag: .result).map(\.key) == [.microBatchSize, .virtualShards])
        #expect(try job("workers: {max: 16}\n").readied(workers: nil).get().virtualShards == 16)
    }

    @Test func `what an older release has resolved keeps two checkpoints where it says one`() throws {
        let yaml = smallest + "save_total_limit: 1\n"
        #expect(try JobSpec.read(yaml: yaml, file: "runs/a/resolved.yaml").get().saveTotalLimit == 2)
        #expect(throws: SpecIssues.self) { try JobSpec.read(yaml: yaml, file: "job.yaml").get() }
    }

    @Test func `given shapes stand, and few shards bound the default of workers`() throws {
        let job = try spec(smallest + "virtual_shards: 3\nmicro_batch_size: 5\n")

        #expect(job.workers == 1...3 && job.pinned == job)
        #expect(ResolvedShapes(job) == ResolvedShapes(job.pinned))
        #expect(try spec(smallest + "workers: {min: 10}\n").workers == 10...10)
    }
}
