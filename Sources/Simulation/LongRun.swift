package import Coordination
import Recipes
import Terms
import Wire

/// One job of very many steps and one worker that answers at once and computes nothing: what is left is the
/// coordinator's own work, and its journal.
package struct LongRun {
    package private(set) var core = Coordinator(epoch: 1, dataEndpoint: "head:data")
    private var now = Instant(nanoseconds: 1)
    private var events: [CoordinatorEvent] = []
    private var description: JobDescription
    private static let worker = SessionID(1)
    private static let index = SequenceIndex(
        tokens: Array(repeating: 10, count: 64), trained: Array(repeating: 9, count: 64))

    /// A run of so many steps with a checkpoint after every `saveSteps`.
    package init(steps: Int, saveSteps: Int = 500) {
        description = JobDescription(
            name: "long run", parameters: 10_000, sequences: 64, globalBatch: 1, microBatch: 1, virtualShards: 1,
            shuffleSeed: 1, totalSequences: steps, beta1: 0.9, beta2: 0.999, schedule: .cosine, peakRate: 1e-3,
            warmupRatio: 0.1)
        description.saveSteps = saveSteps
    }

    /// Runs it to its end; `note` gets what is to be journalled, and the core that it led to.
    package mutating func run(_ note: ([JournalEntry], Coordinator) throws -> Void) rethrows {
        let hello = Hello(
            role: .worker, node: NodeID(high: 1, low: 1), boot: 1, name: "w", threads: 8, dataEndpoint: "w:data",
            profile: 1, lastEpoch: 0)
        events = [
            .submitted(Job(description: description, index: Self.index)), .received(.hello(hello), from: Self.worker),
        ]
        while core.jobs.first?.state != .done {
            // What it waits for otherwise is time.
            let event = events.isEmpty ? .deadline : events.removeFirst()
            now = now + .milliseconds(events.isEmpty ? 20 : 1)
            let output = core.handle(event, at: now)
            if !output.journal.isEmpty { try note(output.journal, core) }
            for (_, message) in output.sends { answer(message) }
            for case .collect(let job, let step, let attempt, _, _, _) in output.commands {
                events.append(.published(job, step: step, attempt: attempt))
            }
        }
    }

    private mutating func answer(_ message: Message) {
        func say(_ message: Message) { events.append(.received(message, from: Self.worker)) }
        switch message {
        case .assign(let assignment):
            say(.assigned(AssignmentResult(job: assignment.job, parameters: 10_000, problem: "")))
        case .prepare(let job, let generation):
            say(
                .prepared(
                    Standing(
                        job: job, generation: generation, hasState: false, step: 0, digest: 0, reports: [], held: [],
                        heldTag: 0)))
        case .begin(let roster):
            say(
                .ready(
                    Position(
                        job: roster.job, generation: roster.generation, step: roster.target, digest: roster.digest)))
        case .lease(let lease): for bytes in lease.recipes { report(bytes, lease) }
        case .save(let order): say(.snapshotTaken(order))
        default: break
        }
    }

    private mutating func report(_ bytes: [UInt8], _ lease: Lease) {
        guard let recipe = try? Recipe(decoding: bytes) else { return }
        let position = Position(
            job: lease.job, generation: lease.generation, step: UInt64(recipe.step),
            digest: Philox.mix(UInt64(recipe.step)))
        let report = StepReport(
            position: position, recipeTag: recipe.tag, lossSum: 9 / Double(recipe.step), gradientNorm: 1,
            computeMicroseconds: 900, shardsComputed: 1)
        events.append(.received(.report(report), from: Self.worker))
    }
}
