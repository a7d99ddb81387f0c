package import Coordination
import Recipes
package import Terms
import Wire

/// A coordinator's core with very many workers and jobs. The workers compute nothing: they load at once, stand still
/// when asked, and are ready at once, so that what is left is the coordinator's own work.
package struct ScaleStage {
    package private(set) var core = Coordinator(epoch: 1, dataEndpoint: "head:data")
    /// What is on the disk, as bytes.
    package private(set) var journal: [(job: JobID, kind: Int, payload: [UInt8])] = []
    /// Workers that were given a job.
    package private(set) var placements = 0
    package private(set) var events = 0
    private var now = Instant(nanoseconds: 1)
    private var running: [JobID] = []
    private var inbox: [(SessionID, Message)] = []

    package init() {}

    /// Jobs that run.
    package var runningCount: Int { core.jobs.count { $0.state == .running } }

    private static let index = SequenceIndex(
        tokens: Array(repeating: 10, count: 64), trained: Array(repeating: 9, count: 64))

    private mutating func feed(_ event: CoordinatorEvent) {
        now = now + Span(nanoseconds: 1000)
        take(core.handle(event, at: now))
        while let (session, message) = inbox.popLast() {
            now = now + Span(nanoseconds: 1000)
            take(core.handle(.received(message, from: session), at: now))
        }
    }

    private mutating func take(_ output: CoordinatorOutput) {
        events += 1
        for entry in output.journal { journal.append((entry.job, entry.kind, entry.encoded())) }
        for (session, message) in output.sends {
            switch message {
            case .assign(let assignment):
                placements += 1
                inbox.append(
                    (session, .assigned(AssignmentResult(job: assignment.job, parameters: 10_000, problem: ""))))
            case .prepare(let job, let generation):
                let standing = Standing(
                    job: job, generation: generation, hasState: false, step: 0, digest: 0, reports: [], held: [],
                    heldTag: 0)
                inbox.append((session, .prepared(standing)))
            case .begin(let roster):
                let position = Position(
                    job: roster.job, generation: roster.generation, step: roster.target, digest: roster.digest)
                inbox.append((session, .ready(position)))
            default: break
            }
        }
        for case .state(let job, .running, _) in output.notices { running.append(job) }
    }

    /// Submits jobs of some projects and priorities, each for one to four workers.
    package mutating func submit(jobs: Int) {
        for number in 0..<jobs {
            var description = JobDescription(
                name: "job \(number)", parameters: 10_000, sequences: 64, globalBatch: 8, microBatch: 1,
                virtualShards: 8,
                shuffleSeed: UInt64(number), totalSequences: 8 * 100, beta1: 0.9, beta2: 0.999, schedule: .cosine,
                peakRate: 1e-3, warmupRatio: 0.1)
            description.project = "project \(number % 20)"
            description.priority = 48 + number % 5
            description.workersMin = 1 + number % 2
            description.workersMax = 4
            feed(.submitted(Job(description: description, index: Self.index)))
        }
    }

    /// Workers come, one after another.
    package mutating func join(workers: Range<Int>) {
        for number in workers { join(number, session: UInt64(number + 1)) }
        // Whoever waited for others does not wait any longer.
        now = now + .seconds(3)
        feed(.deadline)
    }

    private mutating func join(_ number: Int, session: UInt64) {
        let hello = Hello(
            role: .worker, node: NodeID(high: UInt64(number), low: 1), boot: 1, name: "w\(number)", threads: 8,
            dataEndpoint: "w\(number):data", profile: 1, lastEpoch: 0)
        feed(.received(.hello(hello), from: SessionID(session)))
    }

    /// Running jobs end one after another, until `count` workers more were given to others.
    package mutating func turnOver(_ count: Int) {
        let end = placements + count
        while placements < end, !running.isEmpty { feed(.ordered(.cancel, running.removeFirst())) }
    }

    /// Heartbeats, which change nothing.
    package mutating func beat(_ count: Int, workers: Int) {
        for number in 0..<count {
            let session = UInt64(number % workers + 1)
            feed(.received(.heartbeat(Heartbeat(session: session, sentAt: 0)), from: SessionID(session)))
        }
    }

    /// A coordinator that begins anew from the journal's bytes, and takes in all the workers again.
    package func restarted(workers: Int) throws -> ScaleStage {
        var next = ScaleStage()
        next.core = Coordinator(epoch: 2, dataEndpoint: "head:data")
        next.now = now
        for (job, kind, payload) in journal {
            try next.core.restore(JournalEntry(job: job, kind: kind, payload: payload), at: now)
        }
        for job in next.core.jobs where !job.state.isAtRest { next.core.attach(Self.index, to: job.id) }
        next.feed(.deadline)
        next.join(workers: 0..<workers)
        return next
    }
}
