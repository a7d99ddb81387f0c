import Testing

@testable import JobSpecs

@Suite struct SpecIssueTests {
    @Test func `all faults come at once, in the order of the file, then of the overrides`() {
        let found = issues(
            """
            model_name_or_path: m
            dataset: [{path: d.jsonl, typ: text}]
            learning_rat: 1e-4
            packing: yes
            budget:
              wall_clock: 36
              tokens: 0
            global_batch_size: 0
            """, ["lora_rank=x", "bogus"])

        #expect(
            found.map(\.description) == [
                "job.yaml:2:27: 'typ' is no key of a dataset's entry; it has path, type, weight; did you mean 'type'?",
                "job.yaml:3:1: 'learning_rat' is no key of a job file; did you mean 'learning_rate'?",
                "job.yaml:4:10: packing takes true or false, not 'yes' (YAML 1.2 knows no yes and no)",
                "job.yaml:6:15: budget.wall_clock takes a time with unit, such as 36h: "
                    + "'36' has no unit; write 36s, 36m, 36h or 36d",
                "job.yaml:7:11: budget.tokens takes a whole number from 1, such as 2000 or 50M: '0' is not above 0",
                "job.yaml:8:20: global_batch_size takes a whole number from 1 to 1048576, not 0",
                "override 'lora_rank=x': lora_rank takes a whole number from 1 to 65536, not 'x'",
                "override 'bogus': an override is written key=value",
            ])
    }

    @Test func `missing keys are named`() {
        #expect(issues("").map(\.key) == ["model_name_or_path", "dataset"])
        #expect(issues("# nothing but a comment\n").count == 2)
        #expect(issues("- a\n").map(\.sentence).first == "a job file is a mapping of keys to values, not a list")
    }

    @Test(arguments: [
        ("lora_rank: 1.5", "a whole number"), ("lora_rank: \"16\"", "leave the quotes out"),
        ("max_steps: -1", "from 1"), ("max_steps: 2.5", "whole number"), ("seed: 1_000", "write 1000"),
        ("seed: -1", "from 0"), ("seed: 99999999999999999999", "from 0"), ("learning_rate: fast", "above 0"),
        ("learning_rate: 0", "above 0"), ("learning_rate: .inf", "above 0"), ("learning_rate: .nan", "above 0"),
        ("val_size: 1.0", "up to but not 1"), ("val_size: -0.1", "from 0"), ("warmup_ratio: 1.5", "from 0 to 1"),
        ("warmup_ratio: -0.1", "from 0 to 1"), ("save_total_limit: 0", "from 2"), ("save_total_limit: 1", "from 2"),
        ("lora_dropout: 1", "not 1"),
        ("stage: dpo", "later version"), ("precision: fp16", "auto, fp32, bf16"), ("packing: 1", "true or false"),
        ("export: []", "an empty list"), ("export: [peft, peft]", "twice"), ("export: gguf", "peft, hf, merged"),
        ("lora_target: [all, q_proj]", "stands alone"), ("lora_target: [[a]]", "a list with a list in it"),
        ("save_interval: 20", "has no unit"), ("save_interval: 20 minutes", "no unit of time"),
        ("save_interval: 0s", "not above 0"), ("name: a/b", "without '/'"), ("name: [a]", "not a list"),
        ("name: true", "not true"), ("resume_from_checkpoint: null", "leave the key out"),
        ("workers: 4", "takes a mapping"), ("workers: {min: 3, max: 2}", "more than workers.max"),
        ("workers: {min: 0}", "from 1"), ("budget: {money: 60}", "names no currency"),
        ("budget: {money: 60 eur}", "no currency code"), ("budget: {energy: 12}", "has no unit"),
        ("budget: {energy: 12 kW}", "no unit of energy"), ("budget: {core_hours: 0}", "not above 0"),
        ("budget: {core_hours: -4}", "not above 0"), ("budget: {steps: 0}", "not above 0"),
        ("budget: {tokens: 50T}", "no size"), ("budget: {warn_at: 2}", "to 1"),
        ("budget: {core_hours: 99999999999999999}", "too large"), ("priority: 101", "0 to 100"),
    ])
    func `one wrong value gives one issue that says what is taken`(line: String, part: String) {
        let found = faults(line + "\n")
        #expect(found.count == 1)
        #expect(found.first?.contains(part) == true, "\(found)")
    }

    @Test(arguments: [
        ("finetuning_type: full\nlora_rank: 8", "lora_rank contradicts finetuning_type full"),
        ("finetuning_type: full\nlora_r: 8", "lora_r contradicts finetuning_type full"),
        ("finetuning_type: full\nadapter_name_or_path: a", "contradicts finetuning_type full"),
        ("finetuning_type: full\nexport: [peft]", "export peft contradicts"),
        ("num_train_epochs: 1\nmax_steps: 5", "contradict each other"),
        ("max_tokens: 1M\nmax_steps: 5", "contradict each other"),
        ("virtual_shards: 4\nworkers: {max: 8}", "more than virtual_shards 4"),
        ("micro_batch_size: 2\nper_device_train_batch_size: 2", "are the same setting"),
        ("cutoff_len: 8\nsequence_len: 8\n", "are the same setting"),
    ])
    func `settings that contradict each other are refused`(lines: String, part: String) {
        let found = faults(lines + "\n")
        #expect(found.count == 1)
        #expect(found.first?.contains(part) == true, "\(found)")
    }

    @Test func `dataset faults are named by entry`() {
        #expect(
            issues("model_name_or_path: m\ndataset: []").map(\.sentence)
                == ["dataset is an empty list; name at least one data file"])
        #expect(
            issues("model_name_or_path: m\ndataset: d.jsonl").map(\.sentence)
                == ["dataset takes a list of data files, each '- path: …', not 'd.jsonl'; write [{path: d.jsonl}]"])
        #expect(
            issues("model_name_or_path: m\ndataset:\n  - type: text\n  - d.jsonl\n").map(\.description) == [
                "job.yaml:3:5: the entry 0 of dataset has no path",
                "job.yaml:4:5: an entry of dataset is a mapping with path, type and weight, not 'd.jsonl'; "
                    + "write '- path: d.jsonl'",
            ])
        #expect(
            issues("model_name_or_path: m\ndataset: [{path: d, weight: 0, type: csv}]").map(\.key)
                == ["dataset.0.weight", "dataset.0.type"])
    }

    @Test func `foreign and misplaced keys are refused with what to do instead`() {
        #expect(faults("gradient_accumulation_steps: 8\n").first?.contains("follows from global_batch_size") == true)
        #expect(faults("core_hours: 8\n").first?.hasSuffix("did you mean 'budget.core_hours'?") == true)
        #expect(faults("budget: {max_steps: 8}\n").first?.contains("'max_steps' is no key under budget") == true)
        #expect(faults("budget.steps: 8\n").first?.contains("is nested") == true)
        #expect(faults("Learning-Rate: 1\n").first?.hasSuffix("did you mean 'learning_rate'?") == true)
        #expect(faults("workers: {mx: 3}\n").first?.hasSuffix("did you mean 'max'?") == true)
        #expect(issues(smallest + "zzzzzzz: 1\n").map(\.nearest) == [nil])
    }
}

@Suite struct YAMLTreeTests {
    @Test func `a key that stands twice is reported at its second place, with all other faults`() {
        #expect(
            faults("seed: 1\nlora_rank: x\nseed: 2\nbudget:\n  steps: 1\n  steps: 2\n  'steps': 3\n") == [
                "job.yaml:5:12: lora_rank takes a whole number from 1 to 65536, not 'x'",
                "job.yaml:6:1: the key 'seed' stands a second time; its first place is line 4",
                "job.yaml:9:3: the key 'steps' stands a second time; its first place is line 8",
                "job.yaml:10:3: the key 'steps' stands a second time; its first place is line 8",
            ])
        #expect(faults("workers: {min: 1, max: 2, min: 3}\n").first?.contains("stands a second time") == true)
        #expect(issues("model_name_or_path: m\ndataset: [{path: a}, {path: b, path: c}]\n").count == 1)
    }

    @Test(arguments: [
        ("name: &a x\n", "anchors and aliases"), ("name: *a\n", "aliases are refused"), ("seed: !!int 5\n", "tags"),
        ("name: !x y\n", "tags"), ("workers: !!map {min: 1}\n", "tags"), ("---\nseed: 1\n", "another one begins"),
        ("<<: {seed: 1}\n", "merge keys"), ("? [a]\n: b\n", "plain word"), ("name: [\n", "not valid YAML"),
        ("\tname: x\n", "not valid YAML"), ("name: \"\\q\"\n", "not valid YAML"), ("name: a\u{1}b\n", "not valid YAML"),
        ("name: [[[[[[[[[[x]]]]]]]]]]\n", "nested more than"),
    ])
    func `what YAML has beyond plain values is refused`(text: String, part: String) {
        let found = faults(text)
        #expect(found.contains { $0.contains(part) && $0.hasPrefix("job.yaml:") }, "\(found)")
    }

    @Test func `hostile files end in an issue, soon`() {
        var bomb = "a0: &a0 [x, x]\n"
        for level in 1..<20 { bomb += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
        #expect(!issues(bomb).isEmpty)
        #expect(!issues(String(repeating: "[", count: 100_000)).isEmpty)
        #expect(!issues(String(repeating: "- ", count: 50_000)).isEmpty)
        #expect(!issues(String(repeating: "{a: ", count: 900)).isEmpty)
        #expect(!issues(String(repeating: "a: 1\n", count: 300)).isEmpty)
        #expect(!issues(String(repeating: "x", count: 300_000)).isEmpty)
        #expect(!issues("? &a [1]\n: 1\n? *a\n: 2\n").isEmpty)
    }

    @Test func `any prefix of a job file, and any single byte changed, gives a spec or issues`() {
        let bytes = Array(designExample.utf8)
        var refused = 0
        for end in stride(from: 0, to: bytes.count, by: 37) {
            if !issues(String(decoding: bytes[..<end], as: UTF8.self)).isEmpty { refused += 1 }
        }
        for place in stride(from: 0, to: bytes.count, by: 11) {
            var changed = bytes
            changed[place] = UInt8((place * 7) & 127)
            if !issues(String(decoding: changed, as: UTF8.self)).isEmpty { refused += 1 }
        }
        #expect(refused > 20)
    }

    @Test(
        arguments: [
            ("1", 1.0), ("-1.5", -1.5), ("2e-4", 2e-4), ("1E3", 1000), (".5", 0.5), ("5.", 5), ("+3", 3), ("0x10", 16),
            ("0o17", 15), ("010", 10), ("1e", nil), ("e5", nil), (".", nil), ("1_0", nil), ("-", nil), ("0x", nil),
            ("1:30", nil), ("Infinity", nil), ("nan", nil), ("1e999", nil), ("0x-1", nil), ("١", nil),
        ] as [(String, Double?)])
    func `numbers follow the core schema of YAML 1 point 2`(text: String, value: Double?) {
        #expect(SpecScalar(text: text, isPlain: true).number == value)
        #expect(SpecScalar(text: text, isPlain: false).number == nil)
    }

    @Test func `a byte order mark, Windows line ends and a document marker do no harm`() throws {
        let text = "---\n" + smallest + "seed: 7\n"
        #expect(try spec(text.split(separator: "\n").joined(separator: "\r\n")).seed == 7)
        #expect(try spec("\u{FEFF}" + smallest).seed == 42)
    }
}

@Suite struct EditDistanceTests {
    @Test func `insertions, deletions, substitutions and swaps count one each`() {
        func distance(_ left: String, _ right: String) -> Int {
            EditDistance.between(Array(left.utf8), Array(right.utf8))
        }
        #expect(distance("seed", "seed") == 0 && distance("", "abc") == 3 && distance("abc", "") == 3)
        #expect(distance("sed", "seed") == 1 && distance("seeed", "seed") == 1 && distance("sead", "seed") == 1)
        #expect(distance("sede", "seed") == 1 && distance("kitten", "sitting") == 3)
    }
}
