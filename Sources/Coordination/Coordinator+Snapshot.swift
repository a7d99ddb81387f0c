import Budgeting
import Recipes
package import Terms
import Wire

/// All that the journal says, as one value: what a replay from its first entry gives, so that a start need not make it.
///
/// It holds nothing that the entries do not give, and everything that they do: two cores whose journals are the same
/// have the same bytes, whatever else they know. 16 bytes a step (its digest, its tokens) are all that grows with them.
extension Coordinator {
    /// With a word on limits that changed since the plan was made, where there are such: most have none, and older
    /// releases know no other format.
    private static let (plainFormat, format) = ("drover-core 2", "drover-core 3")

    /// What the journal so far adds up to.
    ///
    /// - Parameter isPlain: as a release before this one wrote it, without a word on changed limits.
    package func snapshot(isPlain: Bool = false) -> [UInt8] {
        var writer = ByteWriter(capacity: 4096 + jobs.reduce(0) { $0 + 16 * $1.digests.count + 4096 })
        let isPlain = isPlain || !jobs.contains(where: \.hasOtherLimits)
        writer.string(isPlain ? Self.plainFormat : Self.format)
        writer.list(jobs) { writer, run in
            run.writeDurable(into: &writer)
            if !isPlain { writer.bool(run.hasOtherLimits) }
        }
        writer.list(projects) { writer, project in
            writer.string(project.name)
            writer.blob(LedgerEntry(sequence: 1, at: 0, event: .limited(project.limits), postings: []).bytes)
        }
        writer.list(answers) { writer, answer in
            writer.integer(answer.job.number)
            writer.integer(answer.key.high)
            writer.integer(answer.key.low)
            writer.string(answer.state.rawValue)
        }
        return writer.bytes
    }

    /// Takes a snapshot in, instead of the entries before it; the core must be new. Any bytes are safe.
    package mutating func restore(snapshot bytes: [UInt8], at now: Instant) throws(ByteError) {
        precondition(jobs.isEmpty && projects.isEmpty && answers.isEmpty, "a snapshot is what a core begins with")
        var reader = ByteReader(bytes)
        let format = try reader.string(limit: 64)
        guard [Self.plainFormat, Self.format].contains(format) else { throw .invalid("format") }
        let (rates, clockOffset, bug) = (rates, clockOffset, bug)
        jobs = try reader.list(limit: Int(UInt32.max)) { reader throws(ByteError) in
            var run = try JobRun(readingDurable: &reader, rates: rates, clockOffset: clockOffset, at: now)
            run.bug = bug
            run.hasOtherLimits = format == Self.plainFormat ? false : try reader.bool()
            return run
        }
        for (index, run) in jobs.enumerated() where run.id != JobID(UInt32(index + 1)) { throw .invalid("job") }
        for index in 0..<(try reader.count(limit: 1 << 20)) {
            let name = try reader.string(limit: 1024)
            let entry = try LedgerEntry(reading: try reader.blob(limit: 4096))
            guard case .limited(let budget) = entry.event, index == projects.count else { throw .invalid("project") }
            limit(project: name, to: budget, warned: nil)
        }
        answers = try reader.list(limit: RequestAnswer.limit) { reader throws(ByteError) in
            let job = JobID(try reader.integer())
            let key = RequestKey(high: try reader.integer(), low: try reader.integer())
            return RequestAnswer(key: key, job: job, state: try JobState(reading: &reader))
        }
        try reader.finish()
        for index in jobs.indices {
            stir(index)
            enlist(index)
        }
    }
}

extension JobState {
    fileprivate init(reading reader: inout ByteReader) throws(ByteError) {
        guard let state = JobState(rawValue: try reader.string(limit: 64)) else { throw .invalid("job state") }
        self = state
    }
}

extension ByteReader {
    /// A count (u32, at most `limit`).
    fileprivate mutating func count(limit: Int) throws(ByteError) -> Int {
        let count = Int(try integer(UInt32.self))
        guard count <= limit else { throw .tooLong }
        return count
    }

    /// A flag, then a u64 where it is set.
    fileprivate mutating func optionalCount() throws(ByteError) -> Int? { try bool() ? try count() : nil }
}

extension ByteWriter {
    fileprivate mutating func count(_ value: Int) { integer(UInt64(value)) }

    fileprivate mutating func optionalCount(_ value: Int?) {
        bool(value != nil)
        if let value { count(value) }
    }
}

extension JobRun {
    /// What entries about the job add up to. Derived things are left out: tokens and place from the history, the meter
    /// from the ledger.
    fileprivate func writeDurable(into writer: inout ByteWriter) {
        writer.integer(id.number)
        writer.blob(description.encoded())
        writer.string(state.rawValue)
        writer.string(reason)
        writer.integer(generation.number)
        writer.bool(profile != nil)
        writer.integer(profile ?? 0)
        writer.count(issued)
        writer.count(saved)
        writer.optionalCount(evaluatedAt)
        writer.optionalCount(bug == .trunkNotInSnapshot ? nil : trunk)
        writer.bool(newest != nil)
        newest?.write(into: &writer)
        writer.list(plan) { $0.string($1.json.canonicalText) }
        writer.integer(nextLease)
        writer.bool(ledger != nil)
        ledger?.write(into: &writer)
        writer.list(digests) { $0.integer($1) }
        writer.list(history) { $0.count($1) }
    }

    fileprivate init(
        readingDurable reader: inout ByteReader, rates: RateCard, clockOffset: Int64, at now: Instant
    ) throws(ByteError) {
        let id = JobID(try reader.integer())
        let bytes = try reader.blob(limit: WireLimits.controlBytes)
        guard let description = try? JobDescription(decoding: bytes) else { throw .invalid("job description") }
        self.init(id: id, description: description, rates: rates, clockOffset: clockOffset, at: now)
        state = try JobState(reading: &reader)
        reason = try reader.string(limit: 1 << 16)
        generation = Generation(try reader.integer())
        returns = generation != Generation(0)
        let hasProfile = try reader.bool()
        let profile: UInt64 = try reader.integer()
        self.profile = hasProfile ? profile : nil
        issued = try reader.count()
        saved = try reader.count()
        evaluatedAt = try reader.optionalCount()
        trunk = try reader.optionalCount()
        newest = try reader.bool() ? try CommittedStep(from: &reader) : nil
        plan = try reader.list(limit: 1 << 20) { reader throws(ByteError) in
            let text = try reader.string(limit: 4096)
            guard let json = try? JSONValue.parse(Array(text.utf8)), let event = PlanEvent(json) else {
                throw .invalid("plan event")
            }
            return event
        }
        nextLease = try reader.integer()
        ledger = try reader.bool() ? try Ledger(reading: &reader) : nil
        meter = Meter(spent: ledger?.spent ?? .zero)
        digests = try reader.list(limit: Int(UInt32.max)) { reader throws(ByteError) in try reader.integer() }
        history = try reader.list(limit: Int(UInt32.max)) { reader throws(ByteError) in try reader.count() }
        committed = history.count
        tokens = history.last ?? 0
        guard digests.count > committed, saved <= committed else { throw .invalid("steps") }
    }
}
