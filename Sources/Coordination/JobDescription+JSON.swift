import Budgeting
import Recipes
import Terms
import Wire

/// Why a job description could not be read.
package struct DescriptionError: Error, Equatable, CustomStringConvertible {
    package var problem: String
    package var description: String { "job description: \(problem)" }
}

extension JobDescription {
    /// Canonical JSON; reals as bit patterns, so that nothing is rounded.
    package func encoded() -> [UInt8] {
        func optional(_ value: Int?) -> JSONValue { value.map(JSONValue.int) ?? .null }
        func bits(_ value: Double) -> JSONValue { .string(String(value.bitPattern, radix: 16)) }
        var value = JSONValue.members([
            "format": .string("drover-job/1"), "name": .string(name), "project": .string(project),
            "priority": .int(priority),
            "workers_min": .int(workersMin), "workers_max": .int(workersMax),
            "exactness": .string(isExact ? "exact" : "equivalent"), "parameters": .int(parameters),
            "sequences": .int(sequences), "global_batch": .int(globalBatch), "micro_batch": .int(microBatch),
            "virtual_shards": .int(virtualShards),
            "shuffle_seed": shuffleSeed.map { .string(String($0)) } ?? .null,
            "total_sequences": .int(totalSequences), "beta1": bits(beta1), "beta2": bits(beta2),
            "schedule": .string(schedule.rawValue), "peak_rate": bits(peakRate), "warmup_ratio": bits(warmupRatio),
            "save_steps": .int(saveSteps), "save_ms": .int(saveMilliseconds), "eval_steps": .int(evaluationSteps),
            "eval_sequences": .int(evaluationSequences), "eval_shards": .int(evaluationShards),
            "save_auto": .int(savesByCost ? 1 : 0), "eval_first": .int(evaluatesFirst ? 1 : 0), "user": .string(user),
            "branch": branch.map {
                .members([
                    "step": .int($0.step), "tokens": .int($0.tokens), "digest": .string(String($0.digest, radix: 16)),
                ])
            } ?? .null,
            "step_limit": optional(stepLimit), "token_limit": optional(tokenLimit),
            "wall_ms_limit": optional(wallMillisecondsLimit), "core_ms_limit": optional(coreMillisecondsLimit),
            "energy_mj_limit": optional(budget[.energy].map(Int.init)),
            "money_limit": optional(budget[.money].map(Int.init)),
            "currency": budget.currency.map(JSONValue.string) ?? .null, "warn_at": .int(Int(budget.warnAt)),
            "plan": .array(script.map(\.json)),
            "save_total_limit": .int(saveTotalLimit), "keep_best": .int(keepBest), "keep_every": .int(keepEvery),
            "logging_steps": .int(loggingSteps), "memory_bytes": .int(memoryBytes),
            "tensors": .array(
                tensors.map { tensor in
                    .members(["name": .string(tensor.name), "shape": .array(tensor.shape.map(JSONValue.int))])
                }),
            "files": .array(
                files.map { file in
                    .members([
                        "kind": .string(file.kind.rawValue), "name": .string(file.name),
                        "sha256": .string(file.digest.hex),
                        "bytes": .int(file.size), "path": .string(file.path), "state": .string(file.state),
                    ])
                }),
            "training": training,
        ])
        if let wholeSequences, var object = value.object {
            object["whole_sequences"] = .int(wholeSequences)
            value = .object(object)
        }
        return Array(value.canonicalText.utf8)
    }

    /// Most sequences a step: four recipes of them fit in a message, and one in a journal entry.
    package static let batchLimit = 1 << 16

    /// Reads what `encoded` wrote; total over any bytes, and what it gives can be run without a number out of range.
    package init(decoding bytes: [UInt8]) throws(DescriptionError) {
        let root: JSONValue
        do { root = try JSONValue.parse(bytes, limits: JSONLimits(depth: 32, values: 1_000_000)) } catch {
            throw DescriptionError(problem: "\(error)")
        }
        let reader = FieldReader(root: root)
        guard root["format"]?.string == "drover-job/1" else { throw DescriptionError(problem: "unknown format") }
        self.init(
            name: try reader.string("name"), parameters: try reader.count("parameters"),
            sequences: try reader.positive("sequences"),
            globalBatch: try reader.positive("global_batch", most: Self.batchLimit),
            microBatch: try reader.positive("micro_batch"),
            virtualShards: try reader.positive("virtual_shards", most: WireLimits.members),
            shuffleSeed: try reader.seed("shuffle_seed"), totalSequences: try reader.positive("total_sequences"),
            beta1: try reader.real("beta1", within: 0...1), beta2: try reader.real("beta2", within: 0...1),
            schedule: try reader.schedule(), peakRate: try reader.real("peak_rate", within: 0...1e6),
            warmupRatio: try reader.real("warmup_ratio", within: 0...1), saveSteps: try reader.count("save_steps"),
            saveMilliseconds: try reader.count("save_ms", most: 1 << 40),
            evaluationSteps: try reader.count("eval_steps"),
            evaluationSequences: try reader.count("eval_sequences"),
            evaluationShards: try reader.positive("eval_shards", most: WireLimits.ranges), files: try reader.files(),
            training: root["training"] ?? .null)
        project = try reader.string("project")
        priority = try reader.count("priority")
        workersMin = try reader.positive("workers_min")
        workersMax = try reader.positive("workers_max")
        isExact = try reader.isExact()
        savesByCost = try reader.count("save_auto", most: 1) == 1
        user = try reader.string("user")
        branch = try reader.branch()
        budget = try reader.budget()
        script = try reader.script()
        saveTotalLimit = try reader.positive("save_total_limit")
        loggingSteps = try reader.positive("logging_steps")
        keepBest = try reader.count("keep_best", most: 1 << 20)
        keepEvery = try reader.count("keep_every")
        tensors = try reader.tensors()
        if root["whole_sequences"] != nil { wholeSequences = try reader.positive("whole_sequences") }
        // Earlier releases did not say.
        if root["eval_first"] != nil { evaluatesFirst = try reader.count("eval_first", most: 1) == 1 }
        if root["memory_bytes"] != nil { memoryBytes = try reader.count("memory_bytes", most: 1 << 60) }
    }
}

/// Typed access to the members of one object.
private struct FieldReader {
    let root: JSONValue

    func string(_ key: String) throws(DescriptionError) -> String {
        guard let value = root[key]?.string else { throw DescriptionError(problem: "`\(key)` is no text") }
        return value
    }
    func isExact() throws(DescriptionError) -> Bool {
        switch try string("exactness") {
        case "exact": true
        case "equivalent": false
        default: throw DescriptionError(problem: "`exactness` is exact or equivalent")
        }
    }
    func count(_ key: String, most: Int = 1 << 48) throws(DescriptionError) -> Int {
        guard let value = root[key]?.int, value >= 0, value <= most else {
            throw DescriptionError(problem: "`\(key)` is no count up to \(most)")
        }
        return value
    }
    func positive(_ key: String, most: Int = 1 << 48) throws(DescriptionError) -> Int {
        let value = try count(key, most: most)
        guard value > 0 else { throw DescriptionError(problem: "`\(key)` is zero") }
        return value
    }
    /// A budget limit; null = none. Anything else that is no count above 0 is an error, never a missing limit.
    func limit(_ key: String) throws(DescriptionError) -> Int64? {
        root[key].map(\.isNull) ?? true ? nil : Int64(try positive(key, most: 1 << 60))
    }
    func budget() throws(DescriptionError) -> Budget {
        let currency = root["currency"].map(\.isNull) ?? true ? nil : try string("currency")
        guard currency.map({ $0.utf8.count == 3 && $0.utf8.allSatisfy { (0x41...0x5A).contains($0) } }) ?? true else {
            throw DescriptionError(problem: "`currency` is no three capital letters")
        }
        var budget = Budget(currency: currency, warnAt: Int64(try positive("warn_at", most: 1_000_000)))
        budget[.steps] = try limit("step_limit")
        budget[.tokens] = try limit("token_limit")
        budget[.wallClock] = try limit("wall_ms_limit")
        budget[.coreTime] = try limit("core_ms_limit")
        budget[.energy] = try limit("energy_mj_limit")
        budget[.money] = try limit("money_limit")
        return budget
    }
    func branch() throws(DescriptionError) -> JobDescription.Branch? {
        guard let value = root["branch"], !value.isNull else { return nil }
        guard let step = value["step"]?.int, (1...1 << 24).contains(step), let tokens = value["tokens"]?.int,
            tokens >= 0,
            tokens < 1 << 48, let digest = value["digest"]?.string.flatMap({ UInt64($0, radix: 16) })
        else { throw DescriptionError(problem: "`branch` names no state") }
        return JobDescription.Branch(step: step, tokens: tokens, digest: digest)
    }
    func script() throws(DescriptionError) -> [PlanEvent] {
        var events: [PlanEvent] = []
        guard let list = root["plan"]?.array else { throw DescriptionError(problem: "`plan` is no list") }
        for json in list {
            guard let event = PlanEvent(json) else { throw DescriptionError(problem: "`plan` holds no plan event") }
            events.append(event)
        }
        return events
    }
    func seed(_ key: String) throws(DescriptionError) -> UInt64? {
        if root[key].map(\.isNull) ?? true { return nil }
        guard let seed = UInt64(try string(key)) else { throw DescriptionError(problem: "`\(key)` is no seed") }
        return seed
    }
    func real(_ key: String, within range: ClosedRange<Double>) throws(DescriptionError) -> Double {
        guard let value = UInt64(try string(key), radix: 16).map(Double.init(bitPattern:)), range.contains(value) else {
            throw DescriptionError(problem: "`\(key)` is no bit pattern of a number in \(range)")
        }
        return value
    }
    func schedule() throws(DescriptionError) -> LearningRateSchedule.Kind {
        guard let kind = LearningRateSchedule.Kind(rawValue: try string("schedule")) else {
            throw DescriptionError(problem: "`schedule` is unknown")
        }
        return kind
    }
    func tensors() throws(DescriptionError) -> [TrainedTensor] {
        guard let list = root["tensors"]?.array else { throw DescriptionError(problem: "`tensors` is no list") }
        var tensors: [TrainedTensor] = []
        for entry in list {
            guard let name = entry["name"]?.string, let sizes = entry["shape"]?.array?.map(\.int)
            else { throw DescriptionError(problem: "a tensor is incomplete") }
            let shape = sizes.compactMap(\.self)
            // The product must not run over, whatever stands in it.
            let elements = shape.reduce(1.0) { $0 * Double(max(1, $1)) }
            guard shape.count == sizes.count, shape.allSatisfy({ $0 >= 0 }), elements <= 0x1p48 else {
                throw DescriptionError(problem: "a tensor has an impossible shape")
            }
            tensors.append(TrainedTensor(name: name, shape: shape))
        }
        return tensors
    }
    func files() throws(DescriptionError) -> [JobFile] {
        guard let list = root["files"]?.array else { throw DescriptionError(problem: "`files` is no list") }
        var files: [JobFile] = []
        for entry in list {
            guard let kind = entry["kind"]?.string.flatMap(JobFile.Kind.init(rawValue:)),
                let name = entry["name"]?.string, let digest = entry["sha256"]?.string.flatMap(Digest.init(hex:)),
                let size = entry["bytes"]?.int, size >= 0, let path = entry["path"]?.string
            else { throw DescriptionError(problem: "a file is incomplete") }
            guard !name.isEmpty, !name.hasPrefix("/"), !name.split(separator: "/").contains("..") else {
                throw DescriptionError(problem: "a file name leaves its folder")
            }
            // Earlier releases kept none.
            let state = entry["state"]?.string ?? ""
            files.append(JobFile(kind: kind, name: name, digest: digest, size: size, path: path, state: state))
        }
        return files
    }
}
