import Coordination
import CoordinatorShell
import Terms
import WorkerShell

/// What a run would go on with and did not begin with: another model, other data, another key that decides the result
/// (design §4.1, rule 15). A sentence each, none when it may go on.
///
/// The two descriptions are compared member by member, as they are written down: what a later release adds to them is
/// compared too, unless it is among what may change.
struct ResumeDifference {
    let sentences: [String]

    /// - Parameters:
    ///   - recorded: the job as its journal has it.
    ///   - fresh: the job as its files are now.
    init(from recorded: JobDescription, to fresh: JobDescription) {
        var now = fresh
        // What it began with is in its journal alone; who goes on with it may be somebody else.
        (now.branch, now.script, now.user) = (recorded.branch, recorded.script, recorded.user)
        guard let old = Self.members(recorded.amended(by: fresh)), let new = Self.members(now) else {
            sentences = ["the job on record can't be compared with the one that its files describe now"]
            return
        }
        var found = Self.files(recorded.files, fresh.files)
        for path in old.map(\.path) + new.map(\.path).filter({ path in !old.contains { $0.path == path } }) {
            let (before, after) = (Self.value(path, in: old), Self.value(path, in: new))
            guard before != after else { continue }
            let sentence = Self.sentence(path, before, after)
            // Some keys stand in two places.
            if !found.contains(sentence) { found.append(sentence) }
        }
        sentences = found
    }

    // MARK: Files

    private static func files(_ old: [JobFile], _ new: [JobFile]) -> [String] {
        func matches(_ file: JobFile, _ other: JobFile) -> Bool { file.kind == other.kind && file.name == other.name }
        let changed = old.compactMap { file -> String? in
            guard let now = new.first(where: { matches(file, $0) }) else { return "\(name(file)) is no longer there" }
            guard !file.isSame(as: now) else { return nil }
            return "\(name(file)) has changed since the run began (sha256 \(file.digest.hex.prefix(12))… → "
                + "\(now.digest.hex.prefix(12))…)"
        }
        let added = new.filter { file in !old.contains { matches(file, $0) } }
        return changed + added.map { "\(name($0)) was not there when the run began" }
    }

    private static func name(_ file: JobFile) -> String {
        switch file.kind {
        case .model: "the base model's \(file.name)"
        case .adapter: "\(file.name) of the adapter that the run began with"
        case .data, .blocks: "the data, or what makes tokens of it,"
        }
    }

    // MARK: Keys

    private typealias Member = (path: String, value: JSONValue)

    /// The members of a description, those of objects in it as `training.lora.r`; without files, which have sentences of
    /// their own. nil = it can't be read.
    private static func members(_ description: JobDescription) -> [Member]? {
        var description = description
        // Earlier releases wrote less of it.
        description.training = TrainingSettings(json: description.training)?.json ?? description.training
        let limits = JSONLimits(depth: 32, values: 1_000_000)
        guard var root = (try? JSONValue.parse(description.encoded(), limits: limits))?.object else { return nil }
        root["files"] = nil
        return leaves(root, below: "")
    }

    private static func leaves(_ object: JSONObject, below path: String) -> [Member] {
        object.members.flatMap { key, value -> [Member] in
            if let inner = value.object { return leaves(inner, below: "\(path)\(key).") }
            return [("\(path)\(key)", value)]
        }
    }

    private static func value(_ path: String, in members: [Member]) -> JSONValue {
        members.first { $0.path == path }?.value ?? .null
    }

    private static func sentence(_ path: String, _ old: JSONValue, _ new: JSONValue) -> String {
        if path == "tensors" { return "the tensors that are trained are others" }
        // No seed of the order: none is drawn.
        if path == "shuffle_seed", old.isNull || new.isNull { return "shuffle \(!old.isNull) → \(!new.isNull)" }
        let key = keys[path] ?? path
        return "\(key) \(text(old, of: path)) → \(text(new, of: path))"
    }

    private static func text(_ value: JSONValue, of path: String) -> String {
        if let text = value.string {
            guard reals.contains(path), let bits = UInt64(text, radix: 16) else { return text }
            return "\(Double(bitPattern: bits))"
        }
        let text = value.isNull ? "none" : value.text
        return text.count > 60 ? text.prefix(60) + "…" : text
    }

    /// Members that are reals, written as bit patterns.
    private static let reals: Set<String> = [
        "beta1", "beta2", "peak_rate", "warmup_ratio", "training.beta1", "training.beta2", "training.epsilon",
        "training.weight_decay", "training.max_grad_norm", "training.lora_dropout", "training.lora.alpha",
    ]

    /// What the job file calls a member.
    private static let keys: [String: String] = [
        "global_batch": "global_batch_size", "micro_batch": "micro_batch_size", "shuffle_seed": "seed",
        "beta1": "adam_beta1", "beta2": "adam_beta2", "schedule": "lr_scheduler_type", "peak_rate": "learning_rate",
        "parameters": "trained parameters", "sequences": "sequences of the data",
        "whole_sequences": "sequences of all of the data",
        "total_sequences": "sequences that the job trains on (num_train_epochs, max_steps, max_tokens)",
        "training.seed": "seed", "training.beta1": "adam_beta1", "training.beta2": "adam_beta2",
        "training.epsilon": "adam_epsilon", "training.weight_decay": "weight_decay",
        "training.max_grad_norm": "max_grad_norm", "training.recomputes": "gradient_checkpointing",
        "training.precision": "precision", "training.gradient_wire": "gradient_wire",
        "training.starts_from_adapter": "starts from an adapter", "training.lora_dropout": "lora_dropout",
        "training.lora.r": "lora_rank", "training.lora.alpha": "lora_alpha", "training.lora.rslora": "use_rslora",
        "training.lora.targets": "lora_target",
    ]
}
