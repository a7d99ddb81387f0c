package import Budgeting
package import Recipes
package import Terms
import Wire

/// What must not be forgotten, in the order it became true. Replaying a journal gives the coordinator's state back.
package enum JournalEntry: Sendable, Equatable {
    /// A job exists; the bytes are its `JobDescription`.
    case submitted(JobID, description: [UInt8])
    /// A job's run keys were changed on resume; the bytes are its whole new `JobDescription`.
    case amended(JobID, description: [UInt8])
    /// A job is in another state; the text says why.
    case state(JobID, JobState, reason: String)
    case generation(JobID, Generation)
    /// A recipe was issued; it is never issued again with other contents.
    case recipe(JobID, Step, bytes: [UInt8])
    /// A step counts.
    case committed(JobID, CommittedStep)
    /// The held-out loss after `step` steps.
    case evaluated(JobID, step: Step, lossSum: Double, tokens: Int)
    /// A checkpoint exists.
    case published(JobID, step: Step)
    /// The job goes on from an older step: nobody holds a newer state.
    case rewound(JobID, to: Step)
    /// The numerics profile of the workers that a job's bits come from.
    case profile(JobID, UInt64)
    /// Where the job ends, and its learning rate's way there, from a step on that was never leased.
    case planned(JobID, PlanEvent)
    /// A line of the job's ledger, with the digest that chains it to the lines before.
    case ledger(JobID, LedgerEntry, Digest)
    /// The job goes on from this step to another end: what came after it belongs to a line that is left.
    case branched(JobID, to: Step)
    /// The checkpoint of this step is the trunk.
    case trunk(JobID, Step)
    /// What the jobs of a project may spend together, about no single job.
    case projectLimited(String, Budget)
    /// The store was found to hold this checkpoint as the newest, after a start: later ones are lost, or were not
    /// noted.
    case found(JobID, step: Step)
    /// A client's request was carried out; asked again, it gets this answer again.
    case answered(JobID, key: RequestKey, state: JobState)
    /// The SHA-256 of what all entries before add up to, which was kept beside the journal; about no job.
    case snapshot(Digest)

    package var job: JobID {
        switch self {
        case .submitted(let job, _), .amended(let job, _), .state(let job, _, _), .generation(let job, _),
            .recipe(let job, _, _),
            .committed(let job, _), .evaluated(let job, _, _, _), .published(let job, _), .rewound(let job, _),
            .planned(let job, _), .ledger(let job, _, _), .branched(let job, _), .trunk(let job, _),
            .profile(let job, _),
            .answered(let job, _, _), .found(let job, _):
            job
        case .projectLimited, .snapshot: JobID(0)
        }
    }
}

/// One optimizer step that counts.
package struct CommittedStep: Sendable, Equatable {
    package var step: Step
    /// Digest of the state after it.
    package var digest: UInt64
    /// Sum of −log p over the trained tokens, before the update.
    package var lossSum: Double
    package var trainedTokens: Int
    package var inputTokens: Int
    /// Norm of the mean gradient before clipping.
    package var gradientNorm: Double
    package var learningRate: Double
    package var workers: Int
    package var generation: Generation

    package init(
        step: Step, digest: UInt64, lossSum: Double, trainedTokens: Int, inputTokens: Int, gradientNorm: Double,
        learningRate: Double, workers: Int, generation: Generation
    ) {
        self.step = step
        self.digest = digest
        self.lossSum = lossSum
        self.trainedTokens = trainedTokens
        self.inputTokens = inputTokens
        self.gradientNorm = gradientNorm
        self.learningRate = learningRate
        self.workers = workers
        self.generation = generation
    }

    /// Mean loss over the trained tokens; 0 when none were trained.
    package var loss: Double { trainedTokens > 0 ? lossSum / Double(trainedTokens) : 0 }
}

extension JournalEntry {
    /// The number of its kind in the journal's table; never re-used.
    package var kind: Int {
        switch self {
        case .submitted: 1
        case .state: 2
        case .generation: 3
        case .recipe: 4
        case .committed: 5
        case .evaluated: 6
        case .published: 7
        case .rewound: 8
        case .amended: 9
        // 10 was the time spent, before there was a ledger.
        case .planned: 11
        case .ledger: 12
        case .branched: 13
        case .trunk: 14
        case .projectLimited: 15
        case .profile: 20
        case .answered: 22
        case .found: 21
        case .snapshot: 23
        }
    }

    /// The bytes of its payload, without job and kind.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .submitted(_, let description), .amended(_, let description): writer.blob(description)
        case .state(_, let state, let reason):
            writer.string(state.rawValue)
            writer.string(reason)
        case .generation(_, let generation): writer.integer(generation.number)
        case .recipe(_, let step, let bytes):
            writer.integer(UInt64(step))
            writer.blob(bytes)
        case .committed(_, let value): value.write(into: &writer)
        case .evaluated(_, let step, let lossSum, let tokens):
            writer.integer(UInt64(step))
            writer.double(lossSum)
            writer.integer(UInt64(tokens))
        case .published(_, let step), .rewound(_, let step), .branched(_, let step), .trunk(_, let step),
            .found(_, let step):
            writer.integer(UInt64(step))
        case .projectLimited(let name, let budget):
            writer.string(name)
            writer.blob(LedgerEntry(sequence: 1, at: 0, event: .limited(budget), postings: []).bytes)
        case .planned(_, let event): writer.string(event.json.canonicalText)
        case .ledger(_, let entry, let digest):
            writer.blob(entry.bytes)
            writer.raw(digest.bytes)
        case .profile(_, let profile): writer.integer(profile)
        case .snapshot(let digest): writer.raw(digest.bytes)
        case .answered(_, let key, let state):
            writer.integer(key.high)
            writer.integer(key.low)
            writer.string(state.rawValue)
        }
        return writer.bytes
    }

    /// Reads an entry back; total over any bytes.
    package init(job: JobID, kind: Int, payload: [UInt8]) throws(ByteError) {
        var reader = ByteReader(payload)
        switch kind {
        case 1: self = .submitted(job, description: try reader.blob(limit: WireLimits.controlBytes))
        case 2:
            guard let state = JobState(rawValue: try reader.string(limit: 64)) else { throw .invalid("job state") }
            self = .state(job, state, reason: try reader.string(limit: 1 << 16))
        case 3: self = .generation(job, Generation(try reader.integer()))
        case 4: self = .recipe(job, try reader.count(), bytes: try reader.blob(limit: WireLimits.controlBytes))
        case 5: self = .committed(job, try CommittedStep(from: &reader))
        case 6:
            self = .evaluated(job, step: try reader.count(), lossSum: try reader.double(), tokens: try reader.count())
        case 7: self = .published(job, step: try reader.count())
        case 8: self = .rewound(job, to: try reader.count())
        case 9: self = .amended(job, description: try reader.blob(limit: WireLimits.controlBytes))
        case 11:
            let text = try reader.string(limit: 4096)
            guard let json = try? JSONValue.parse(Array(text.utf8)), let event = PlanEvent(json),
                event.json.canonicalText == text
            else { throw .invalid("plan event") }
            self = .planned(job, event)
        case 12:
            let entry = try LedgerEntry(reading: try reader.blob(limit: 1 << 16))
            guard let digest = Digest(bytes: try reader.raw(32)) else { throw .invalid("digest") }
            self = .ledger(job, entry, digest)
        case 13: self = .branched(job, to: try reader.count())
        case 14: self = .trunk(job, try reader.count())
        case 15:
            let name = try reader.string(limit: 1024)
            let entry = try LedgerEntry(reading: try reader.blob(limit: 4096))
            guard case .limited(let budget) = entry.event, entry.sequence == 1, entry.at == 0, entry.postings.isEmpty,
                job.number == 0
            else { throw .invalid("limits of a project") }
            self = .projectLimited(name, budget)
        case 20: self = .profile(job, try reader.integer())
        case 22:
            let key = RequestKey(high: try reader.integer(), low: try reader.integer())
            guard let state = JobState(rawValue: try reader.string(limit: 64)) else { throw .invalid("job state") }
            self = .answered(job, key: key, state: state)
        case 21: self = .found(job, step: try reader.count())
        case 23:
            guard let digest = Digest(bytes: try reader.raw(32)), job.number == 0 else { throw .invalid("snapshot") }
            self = .snapshot(digest)
        default: throw .invalid("journal entry kind \(kind)")
        }
        try reader.finish()
    }
}

extension CommittedStep {
    func write(into writer: inout ByteWriter) {
        writer.integer(UInt64(step))
        writer.integer(digest)
        writer.double(lossSum)
        writer.integer(UInt64(trainedTokens))
        writer.integer(UInt64(inputTokens))
        writer.double(gradientNorm)
        writer.double(learningRate)
        writer.integer(UInt32(workers))
        writer.integer(generation.number)
    }

    init(from reader: inout ByteReader) throws(ByteError) {
        step = try reader.count()
        digest = try reader.integer()
        lossSum = try reader.double()
        trainedTokens = try reader.count()
        inputTokens = try reader.count()
        gradientNorm = try reader.double()
        learningRate = try reader.double()
        workers = Int(try reader.integer(UInt32.self))
        generation = Generation(try reader.integer())
    }
}

extension ByteReader {
    /// A u64 that fits an Int.
    mutating func count() throws(ByteError) -> Int {
        guard let value = Int(exactly: try integer(UInt64.self)) else { throw .invalid("count") }
        return value
    }
}
