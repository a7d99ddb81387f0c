import Budgeting

extension JobReader {
    /// Fills in defaults, checks what keys say about each other, and gives the spec or all faults.
    mutating func finish() -> Result<JobSpec, SpecIssues> {
        finishDatasets()
        requirePresence()
        checkLength()
        checkStreaming()
        checkAdapters()
        fillDefaults()
        checkWorkers()
        checkExports()
        guard issues.isEmpty else { return .failure(SpecIssues(issues: inOrder(issues))) }
        return .success(JobSpec(values: values))
    }

    /// Issues of the file by place, then those of overrides as they stand; equal places keep their order.
    private func inOrder(_ issues: [SpecIssue]) -> [SpecIssue] {
        let last = SpecPosition(line: .max, column: .max)
        return issues.enumerated().sorted { left, right in
            let places = (left.element.position ?? last, right.element.position ?? last)
            return places.0 == places.1 ? left.offset < right.offset : places.0 < places.1
        }.map(\.element)
    }

    private func isGiven(_ key: JobKey) -> Bool { self[key] != .null }
    private func isUsable(_ key: JobKey) -> Bool { written[key.rawValue]?.isValid ?? true }
    private func origin(_ key: JobKey) -> SpecOrigin? { written[key.rawValue]?.origin }
    private func spelled(_ key: JobKey) -> String { written[key.rawValue]?.name ?? key.name }

    private mutating func requirePresence() {
        if written[JobKey.modelNameOrPath.rawValue] == nil {
            report("model_name_or_path is missing: the model's directory", at: nil, key: "model_name_or_path")
        }
        if written[JobKey.dataset.rawValue] == nil {
            report("dataset is missing: the data files, such as [{path: data.jsonl}]", at: nil, key: "dataset")
        }
    }

    private mutating func checkLength() {
        let given = JobKey.lengthKeys.filter(isGiven)
        guard let first = given.first else {
            if JobKey.lengthKeys.allSatisfy(isUsable) { self[.numTrainEpochs] = .number(3) }
            return
        }
        for other in given.dropFirst() {
            let advice = "\(first.name)=null on the command line takes the file's away"
            report(
                "\(spelled(first)) and \(spelled(other)) contradict each other: a job has one length (\(advice))",
                at: origin(other), key: spelled(other))
        }
    }

    private mutating func checkStreaming() {
        guard self[.streaming] == .text(AutoSwitch.on.rawValue), !isGiven(.maxSteps), !isGiven(.maxTokens),
            JobKey.lengthKeys.allSatisfy(isUsable)
        else { return }
        report(
            "streaming true needs max_steps or max_tokens, which tell how much of the data the job will see; give one, "
                + "or set streaming to auto", at: origin(.streaming), key: spelled(.streaming))
    }

    private mutating func checkAdapters() {
        guard isUsable(.finetuningType) else { return }
        if self[.finetuningType] == .text(FinetuningType.full.rawValue) {
            for key in JobKey.loraKeys + [.adapterNameOrPath] where isGiven(key) {
                report(
                    "\(spelled(key)) contradicts finetuning_type full: it is for lora", at: origin(key),
                    key: spelled(key))
            }
        } else if !isGiven(.adapterNameOrPath) {
            // With an adapter to start from, its own config fills what is not given.
            for key in JobKey.loraKeys where !isGiven(key) { self[key] = JobKeyTable.defaults[key.rawValue] }
        }
    }

    private mutating func fillDefaults() {
        if !isGiven(.name) { self[.name] = .text(Self.stem(of: file)) }
        if !isGiven(.outputDir), case .text(let name) = self[.name] { self[.outputDir] = .text("runs/" + name) }
        if !isGiven(.workersMax) { self[.workersMax] = defaultWorkersMax() }
        for key in JobKey.allCases where !isGiven(key) && !JobKey.loraKeys.contains(key) {
            self[key] = JobKeyTable.defaults[key.rawValue]
        }
        if !isGiven(.export) {
            let isFull = self[.finetuningType] == .text(FinetuningType.full.rawValue)
            self[.export] = .names([(isFull ? ExportFormat.hf : .peft).rawValue])
        }
    }

    /// 8, not fewer than the minimum, not more than the shards there are to run.
    private func defaultWorkersMax() -> JobValue {
        guard case .integer(var count) = JobKeyTable.defaults[JobKey.workersMax.rawValue] else { return .null }
        if case .integer(let minimum) = self[.workersMin] { count = max(count, minimum) }
        if case .integer(let shards) = self[.virtualShards] { count = min(count, shards) }
        return .integer(count)
    }

    /// The file's name without folder and ending; `job` when nothing fit for a folder's name is left.
    private static func stem(of file: String) -> String {
        let last = file.split(separator: "/").last ?? ""
        let stem = last.lastIndex(of: ".").map { last[..<$0] } ?? last
        let isFit = !stem.isEmpty && !stem.hasPrefix(".") && stem.utf8.count <= 128
        return isFit ? String(stem) : "job"
    }

    private mutating func checkWorkers() {
        guard case .integer(let least) = self[.workersMin], case .integer(let most) = self[.workersMax],
            isUsable(.workersMin), isUsable(.workersMax)
        else { return }
        if case .integer(let shards) = self[.virtualShards], most > shards {
            let place = origin(.workersMax) ?? origin(.virtualShards)
            report(
                "workers.max \(most) is more than virtual_shards \(shards): a worker runs whole shards, so the rest "
                    + "would stand idle", at: place, key: "workers.max")
        }
        if least > most {
            let place = origin(.workersMin) ?? origin(.workersMax)
            report("workers.min \(least) is more than workers.max \(most)", at: place, key: "workers.min")
        }
    }

    private mutating func checkExports() {
        guard self[.finetuningType] == .text(FinetuningType.full.rawValue), case .names(let formats) = self[.export]
        else { return }
        for format in formats where format != ExportFormat.hf.rawValue {
            report(
                "export \(format) contradicts finetuning_type full: there is no adapter; write hf",
                at: origin(.export), key: "export")
        }
    }
}
