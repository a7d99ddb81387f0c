/// Every key of the job file; `entry` tells all there is to know about it.
///
/// The order is that of `JobKeyTable.entries`, of `resolved.yaml` and of the documentation.
package enum JobKey: Int, CaseIterable, Sendable, Comparable {
    case name, modelNameOrPath, stage, finetuningType, loraRank, loraAlpha, loraDropout, loraTarget, useRSLoRA,
        adapterNameOrPath, template, dataset, valSize, cutoffLen, excessLength, packing, trainOnPrompt, shuffle, seed,
        streaming, globalBatchSize, microBatchSize, virtualShards, numTrainEpochs, maxSteps, maxTokens, learningRate,
        lrSchedulerType, warmupRatio, weightDecay, adamBeta1, adamBeta2, adamEpsilon, maxGradNorm, precision,
        gradientWire, exactness, gradientCheckpointing, workersMin, workersMax, project, priority, budgetCoreHours,
        budgetWallClock, budgetTokens, budgetSteps, budgetEnergy, budgetMoney, budgetWarnAt, outputDir, saveSteps,
        saveInterval, resumeFromCheckpoint, saveTotalLimit, saveBest, saveEvery, evalSteps, evalOnStart, maxEvalSamples,
        loggingSteps, export

    /// The key's line in the table.
    package var entry: JobKeyEntry { JobKeyTable.entries[rawValue] }

    /// The key as written, dotted when nested: `learning_rate`, `workers.min`.
    package var name: String { entry.name }

    /// In the order of the table.
    package static func < (left: JobKey, right: JobKey) -> Bool { left.rawValue < right.rawValue }

    /// The keys that only adapters have.
    package static let loraKeys: [JobKey] = [.loraRank, .loraAlpha, .loraDropout, .loraTarget, .useRSLoRA]

    /// The keys of which a job has one: where its steps end.
    package static let lengthKeys: [JobKey] = [.numTrainEpochs, .maxSteps, .maxTokens]
}

/// Whether a key belongs to what the job computes or to how it is run (design §4.1, rule 15).
package enum KeyTag: String, Sendable {
    /// Changing it changes the trained weights: a resumed job needs a branch.
    case result
    /// May change freely when a job is resumed.
    case run
}

/// Another tool's spelling of a key.
package struct JobKeyAlias: Sendable, Hashable {
    /// The other name, in the same place as ours.
    package var name: String
    /// A true here stands for this value of ours, a false for not given (`lora_target_linear: true` = `all`).
    package var valueOfTrue: String?

    /// Another name with the same values.
    package init(_ name: String, valueOfTrue: String? = nil) {
        self.name = name
        self.valueOfTrue = valueOfTrue
    }
}

/// One line of the key table.
package struct JobKeyEntry: Sendable {
    /// The key itself.
    package var key: JobKey
    /// As written, dotted when nested.
    package var name: String
    /// The type of its values.
    package var kind: JobKind
    /// Words taken besides the kind's values: `auto`, `never`, `all`.
    package var words: [String] = []
    /// Whether a resumed job may change it.
    package var tag: KeyTag
    /// The default as it would be written; nil = none, the key is then null, required or derived (`doc` says which).
    package var defaultText: String?
    /// True where null may be written for "as if not given".
    package var isNullable = false
    /// Other tools' spellings.
    package var aliases: [JobKeyAlias] = []
    /// Other spellings of single values: from → to.
    package var valueAliases: [(from: String, to: String)] = []
    /// One sentence.
    package var doc: String

    /// What the key takes, words included, for messages and documentation.
    package var takes: String {
        if words.isEmpty { return kind.description }
        if case .choice = kind { return (words + [kind.description]).joined(separator: ", ") }
        return words.joined(separator: ", ") + " or " + kind.description
    }
}
