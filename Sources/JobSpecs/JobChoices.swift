/// What is trained: `pt` = every token of plain text, `sft` = the answers of conversations.
package enum Stage: String, CaseIterable, Sendable {
    case pt, sft
}

/// Which parameters are trained: all of them, or low-rank adapters.
package enum FinetuningType: String, CaseIterable, Sendable {
    case full, lora
}

/// How the lines of a data file are to be read; `auto` = decided by its first lines.
package enum DatasetType: String, CaseIterable, Sendable {
    case auto, messages, sharegpt, alpaca, completion, text, tokens
}

/// What happens to a sample longer than `cutoff_len`.
package enum ExcessLength: String, CaseIterable, Sendable {
    case drop, truncate, error
}

/// The learning rate's course after warm-up.
package enum SchedulerType: String, CaseIterable, Sendable {
    case constant, linear, cosine, wsd
}

/// The arithmetic of matrix products; master weights and reductions are fp32 always.
package enum Precision: String, CaseIterable, Sendable {
    case auto, fp32, bf16
}

/// How gradient nodes travel between workers.
package enum GradientWire: String, CaseIterable, Sendable {
    case fp32, bf16, int8
}

/// Whether workers of another numerics profile may join: `exact` = no.
package enum Exactness: String, CaseIterable, Sendable {
    case exact, equivalent
}

/// What is written when a job is done: a PEFT adapter, a Hugging Face model directory, or one with the adapter
/// merged in.
package enum ExportFormat: String, CaseIterable, Sendable {
    case peft, hf, merged
}

/// Which linear layers get an adapter.
package enum LoRATarget: Sendable, Hashable {
    /// Every linear layer of the decoder blocks.
    case all
    /// Those whose module name ends in one of these.
    case modules([String])
}

/// Whether something is done: by a rule of shapes alone, or as the job says.
package enum AutoSwitch: String, CaseIterable, Sendable {
    case auto
    case on = "true"
    case off = "false"
}

/// Time between two checkpoints.
package enum SaveInterval: Sendable, Hashable {
    /// From measured cost and failures (Young 1974, CACM 17(9)).
    case auto
    /// Only `save_steps` counts.
    case never
    /// In milliseconds, above 0.
    case milliseconds(Int64)
}

/// Which checkpoint a job starts from.
package enum ResumeChoice: Sendable, Hashable {
    /// The newest one of its own, if any.
    case auto
    /// None: from step 0.
    case never
    /// The one in this folder.
    case path(String)
}

/// Where a job's steps end.
package enum JobLength: Sendable, Hashable {
    /// Passes over the data, above 0; parts of one are allowed.
    case epochs(Double)
    /// Optimizer steps, at least 1.
    case steps(Int64)
    /// Input tokens, at least 1.
    case tokens(Int64)
}

/// One data file of a job.
package struct JobDataset: Sendable, Hashable {
    /// Relative to the working directory, or absolute.
    package var path: String
    /// How its lines are read.
    package var type: DatasetType
    /// Its share against the other files', above 0.
    package var weight: Double

    /// A data file; `auto` and 1 are the job file's defaults.
    package init(path: String, type: DatasetType = .auto, weight: Double = 1) {
        self.path = path
        self.type = type
        self.weight = weight
    }
}
