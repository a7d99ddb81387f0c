package import Budgeting
package import Recipes
package import Terms

/// A file that a job needs, named by what is in it.
package struct JobFile: Sendable, Equatable {
    /// `blocks`: the digests of the blocks of the data, which then need not travel whole.
    package enum Kind: String, Sendable { case model, adapter, data, blocks }
    package var kind: Kind
    /// Path inside its folder, for instance `model.safetensors`; never absolute, never with `..`.
    package var name: String
    package var digest: Digest
    /// Bytes.
    package var size: Int
    /// Where the submitter has it; a worker on the same machine reads it there after checking the digest.
    package var path: String
    /// What the submitter's file system said about the file before its digest was taken; empty = unknown.
    package var state: String

    package init(kind: Kind, name: String, digest: Digest, size: Int, path: String, state: String = "") {
        self.kind = kind
        self.name = name
        self.digest = digest
        self.size = size
        self.path = path
        self.state = state
    }
}

/// One trained tensor, by its PEFT or HF name.
package struct TrainedTensor: Sendable, Equatable {
    package var name: String
    package var shape: [Int]

    package init(name: String, shape: [Int]) {
        self.name = name
        self.shape = shape
    }
}

/// All that decides a job, resolved: no `auto` is left in it. The same bytes reach the journal and every worker.
package struct JobDescription: Sendable, Equatable {
    package var name: String
    package var project = "default"
    /// Who submitted it, for usage reports.
    package var user = ""
    /// Higher runs first.
    package var priority = 50
    package var workersMin = 1
    package var workersMax = 1
    /// True when only workers whose arithmetic gives the same bits may take part (design §4.1, rule 9).
    package var isExact = true
    /// P: trained parameters.
    package var parameters: Int
    package var sequences: Int
    /// Sequences that all of the dataset would have, about, when `sequences` is an excerpt of it; nil = they are all.
    package var wholeSequences: Int?
    package var globalBatch: Int
    package var microBatch: Int
    package var virtualShards: Int
    package var shuffleSeed: UInt64?
    package var totalSequences: Int
    package var beta1: Double
    package var beta2: Double
    package var schedule: LearningRateSchedule.Kind
    package var peakRate: Double
    package var warmupRatio: Double
    /// Steps at which a checkpoint is made: every so many; 0 = only at the end.
    package var saveSteps: Int
    /// Milliseconds between two checkpoints, 0 = no such rule.
    package var saveMilliseconds: Int
    /// The held-out loss is measured every so many steps; 0 = only after the last one.
    package var evaluationSteps: Int
    /// It is measured before step 1 too.
    package var evaluatesFirst = true
    /// Held-out sequences; 0 = none.
    package var evaluationSequences: Int
    /// How the held-out sequences are cut, fixed for the job's life.
    package var evaluationShards: Int
    /// Checkpoints by time are made as often as their measured cost and the failures so far make it worth while.
    package var savesByCost = false
    /// Bytes of memory that a worker is estimated to need for it; 0 = not known.
    package var memoryBytes = 0
    /// What the job may spend when it is submitted, or resumed with other limits; its ledger rules after that.
    package var budget = Budget()
    /// A plan log to be followed instead of planning from measured cost.
    package var script: [PlanEvent] = []
    /// Another run's state that this job goes on from; its checkpoint store holds it from the beginning.
    package var branch: Branch?

    /// A state that another run arrived at.
    package struct Branch: Sendable, Equatable {
        package var step: Step
        /// Input tokens of its steps.
        package var tokens: Int
        /// Digest of the state, as workers compute it.
        package var digest: UInt64

        package init(step: Step, tokens: Int, digest: UInt64) {
            self.step = step
            self.tokens = tokens
            self.digest = digest
        }
    }
    /// Checkpoints kept by age; pinned ones stay besides.
    package var saveTotalLimit = 3
    /// So many with the lowest held-out loss stay besides.
    package var keepBest = 0
    /// Checkpoints of every multiple of so many steps stay besides; 0 = none do.
    package var keepEvery = 0
    /// Every so many steps get a line in the log.
    package var loggingSteps = 1
    /// The trained tensors in byte order of their names, back to back in the flat vector.
    package var tensors: [TrainedTensor] = []
    package var files: [JobFile]
    /// What only workers read: model, adapter, optimizer, precision.
    package var training: JSONValue
    /// Whether its matrix products multiply bf16, which fewer machines do alike than fp32.
    package var multipliesBF16: Bool { training["precision"]?.string == "bf16" }

    package init(
        name: String, parameters: Int, sequences: Int, globalBatch: Int, microBatch: Int, virtualShards: Int,
        shuffleSeed: UInt64?, totalSequences: Int, beta1: Double, beta2: Double, schedule: LearningRateSchedule.Kind,
        peakRate: Double, warmupRatio: Double, saveSteps: Int = 0, saveMilliseconds: Int = 0, evaluationSteps: Int = 0,
        evaluationSequences: Int = 0, evaluationShards: Int = 1, files: [JobFile] = [], training: JSONValue = .null
    ) {
        self.name = name
        self.parameters = parameters
        self.sequences = sequences
        self.globalBatch = globalBatch
        self.microBatch = microBatch
        self.virtualShards = virtualShards
        self.shuffleSeed = shuffleSeed
        self.totalSequences = totalSequences
        self.beta1 = beta1
        self.beta2 = beta2
        self.schedule = schedule
        self.peakRate = peakRate
        self.warmupRatio = warmupRatio
        self.saveSteps = saveSteps
        self.saveMilliseconds = saveMilliseconds
        self.evaluationSteps = evaluationSteps
        self.evaluationSequences = evaluationSequences
        self.evaluationShards = evaluationShards
        self.files = files
        self.training = training
    }

    package var stepLimit: Int? {
        get { budget[.steps].map(Int.init) }
        set { budget[.steps] = newValue.map(Int64.init) }
    }
    package var tokenLimit: Int? {
        get { budget[.tokens].map(Int.init) }
        set { budget[.tokens] = newValue.map(Int64.init) }
    }
    package var wallMillisecondsLimit: Int? {
        get { budget[.wallClock].map(Int.init) }
        set { budget[.wallClock] = newValue.map(Int64.init) }
    }
    package var coreMillisecondsLimit: Int? {
        get { budget[.coreTime].map(Int.init) }
        set { budget[.coreTime] = newValue.map(Int64.init) }
    }

    /// Most members of a generation: each of them has at least one shard.
    var memberLimit: Int { min(workersMax, virtualShards) }
    /// Fewest members of a generation.
    var memberMinimum: Int { min(workersMin, memberLimit) }

    /// Which sequences its steps train on.
    package var order: BatchOrder {
        BatchOrder(
            sequences: sequences, globalBatch: globalBatch, virtualShards: virtualShards, shuffleSeed: shuffleSeed,
            totalSequences: totalSequences)
    }

    /// The batches of the job over the sequences of `index`.
    package func plan(over index: SequenceIndex) -> BatchPlan {
        BatchPlan(
            index: index, globalBatch: globalBatch, microBatch: microBatch, virtualShards: virtualShards,
            shuffleSeed: shuffleSeed, totalSequences: totalSequences, beta1: beta1, beta2: beta2)
    }
}

/// A job with the lengths of its sequences: what the coordinator's core needs to make recipes.
package struct Job: Sendable {
    package var description: JobDescription
    package var plan: BatchPlan
    package var learningRate: LearningRateSchedule

    package init(description: JobDescription, index: SequenceIndex) {
        self.description = description
        plan = description.plan(over: index)
        learningRate = LearningRateSchedule(
            kind: description.schedule, peak: description.peakRate, warmupRatio: description.warmupRatio,
            plannedSteps: plan.plannedSteps)
    }
}
