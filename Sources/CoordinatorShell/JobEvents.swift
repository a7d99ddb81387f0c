import Budgeting
import Coordination
import Foundation
import Recipes
import Terms

/// What happens to a job as one JSON object a line: for `--json`, for the log file, for clients that follow.
///
/// Holds only what lines need beside the core's own state: times and the lengths of the plan.
struct JobEvents {
    private let description: JobDescription
    private let totalSteps: Int
    private let totalTokens: Int
    private var startedAt: Instant
    private var lastCommitAt: Instant
    /// Seconds a step, smoothed.
    private var pace: Double?
    /// Seconds of earlier runs of the job, from the last line of its log.
    private var earlierSeconds: Double

    init(_ description: JobDescription, totalSteps: Int, totalTokens: Int, earlierSeconds: Double, at now: Instant) {
        self.description = description
        self.totalSteps = totalSteps
        self.totalTokens = totalTokens
        self.earlierSeconds = earlierSeconds
        startedAt = now
        lastCommitAt = now
    }

    /// The job went back to a step until which it had spent `seconds`.
    mutating func continueFrom(seconds: Double, at now: Instant) {
        earlierSeconds = seconds
        startedAt = now
    }

    /// Steps begin to be timed here: what came before was starting up.
    mutating func startTiming(at now: Instant) { lastCommitAt = now }

    /// The keys of one line of `trainer_log.jsonl`.
    mutating func step(_ step: CommittedStep, tokens: Int, of run: JobRun, at now: Instant) -> JSONValue {
        let seconds = max(1e-9, (now - lastCommitAt).seconds)
        lastCommitAt = now
        pace = pace.map { $0 * 0.9 + seconds * 0.1 } ?? seconds
        return line(
            step, tokens: tokens, of: run, elapsed: earlierSeconds + (now - startedAt).seconds,
            throughput: .double(Double(step.inputTokens) / seconds),
            remaining: .double((pace ?? 0) * Double(max(0, min(totalSteps, run.endStep) - step.step))))
    }

    /// The line of a step that the journal has and the log has not: nobody timed it.
    func missed(_ step: CommittedStep, tokens: Int) -> JSONValue {
        line(step, tokens: tokens, of: nil, elapsed: earlierSeconds, throughput: .null, remaining: .null)
    }

    private func line(
        _ step: CommittedStep, tokens: Int, of run: JobRun?, elapsed: Double, throughput: JSONValue,
        remaining: JSONValue
    ) -> JSONValue {
        .members([
            "current_steps": .int(step.step), "total_steps": .int(totalSteps), "loss": .double(step.loss),
            "lr": .double(step.learningRate),
            "epoch": epoch(of: step.step), "grad_norm": .double(step.gradientNorm), "tokens": .int(tokens),
            "total_tokens": .int(totalTokens),
            "throughput": throughput, "elapsed_time": .double(elapsed), "remaining_time": remaining,
            "workers": .int(step.workers), "generation": .int(Int(step.generation.number)),
            "core_hours": Self.coreHours(run?.ledger),
            "budget": Self.budget(run),
        ])
    }

    /// The keys of one line of `eval_log.jsonl`: what a held-out loss is, and what it cost to come to it.
    ///
    /// - Parameters:
    ///   - targets: tokens that it was measured on.
    ///   - tokens: that had been trained on.
    func evaluation(
        _ step: Step, loss: Double, targets: Int, tokens: Int, ledger: Ledger?, at now: Instant
    ) -> JSONValue {
        .members([
            "current_steps": .int(step), "total_steps": .int(totalSteps), "eval_loss": .double(loss),
            "eval_perplexity": .double(exp(loss)), "eval_tokens": .int(targets), "epoch": epoch(of: step),
            "tokens": .int(tokens), "elapsed_time": .double(earlierSeconds + (now - startedAt).seconds),
            "core_hours": Self.coreHours(ledger),
        ])
    }

    private func epoch(of step: Step) -> JSONValue {
        let samples = min(step * description.globalBatch, description.totalSequences)
        return .double(Double(samples) / Double(max(1, description.wholeSequences ?? description.sequences)))
    }

    /// The limit that is nearest, with what is spent of it, and the project when it is that one's; null without a budget.
    private static func budget(_ run: JobRun?) -> JSONValue {
        guard let nearest = run?.nearestLimit else { return .null }
        var budget = JSONObject([
            (key: "limit", value: .string(nearest.unit.key)),
            (key: "spent", value: .double(Quantity.displayed(nearest.spent, of: nearest.unit))),
            (key: "total", value: .double(Quantity.displayed(nearest.limit, of: nearest.unit))),
        ])
        budget["project"] = nearest.project.map(JSONValue.string)
        return .object(budget)
    }

    /// Core hours that are spent; null without a ledger.
    static func coreHours(_ ledger: Ledger?) -> JSONValue {
        ledger.map { .double(Quantity.displayed($0.spent.coreTime, of: .coreTime)) } ?? .null
    }

    /// A notice that is no step, as an event line; nil when it is none for this stream.
    ///
    /// - Parameter ledger: the account of the job it is about.
    static func event(_ notice: Notice, ledger: Ledger?) -> JSONValue? {
        switch notice {
        case .joined(let node, let name, let threads):
            .members([
                "event": .string("worker_joined"), "worker": .string(node.description), "name": .string(name),
                "threads": .int(threads),
            ])
        case .left(let node, let name, let reason):
            .members([
                "event": .string("worker_left"), "worker": .string(node.description), "name": .string(name),
                "reason": .string(reason),
            ])
        case .refused(let name, let reason):
            .members(["event": .string("worker_refused"), "name": .string(name), "reason": .string(reason)])
        case .suspected(let node, let name, let silence):
            .members([
                "event": .string("worker_silent"), "worker": .string(node.description), "name": .string(name),
                "silent_s": .double(silence.seconds),
            ])
        case .generation(_, let generation, let workers, let step):
            .members([
                "event": .string("generation"), "generation": .int(Int(generation.number)),
                "workers": .array(workers.map { .string($0.description) }), "from_step": .int(step),
            ])
        case .ready(_, let generation, let time):
            .members([
                "event": .string("generation_ready"), "generation": .int(Int(generation.number)),
                "seconds": .double(time.seconds),
            ])
        case .committed: nil
        case .evaluated(_, let step, let loss, let tokens):
            .members([
                "event": .string("eval"), "step": .int(step), "loss": .double(loss), "tokens": .int(tokens),
                "perplexity": .double(exp(loss)), "core_hours": coreHours(ledger),
            ])
        case .saved(_, let step, let kind, let stall, let total):
            .members([
                "event": .string("checkpoint"), "step": .int(step), "kind": .string(kind.rawValue),
                "stall_s": stall.map { .double($0.seconds) } ?? .null,
                "total_s": total.map { .double($0.seconds) } ?? .null,
            ])
        case .saveFailed(_, let step, let problem):
            .members(["event": .string("checkpoint_failed"), "step": .int(step), "problem": .string(problem)])
        case .rewound(_, let step): .members(["event": .string("rewound"), "step": .int(step)])
        case .planned(_, let event):
            .object(JSONObject([(key: "event", value: .string("plan"))] + (event.json.object?.members ?? [])))
        case .warned(_, let unit, let spent, let limit):
            .members([
                "event": .string("budget_warning"), "limit": .string(unit.key),
                "spent": .double(Quantity.displayed(spent, of: unit)),
                "total": .double(Quantity.displayed(limit, of: unit)),
            ])
        case .projectWarned(_, let project, let unit, let spent, let limit):
            .members([
                "event": .string("budget_warning"), "project": .string(project), "limit": .string(unit.key),
                "spent": .double(Quantity.displayed(spent, of: unit)),
                "total": .double(Quantity.displayed(limit, of: unit)),
            ])
        case .trouble(_, let node, let text):
            .members([
                "event": .string("trouble"), "worker": node.map { .string($0.description) } ?? .null,
                "text": .string(text),
            ])
        case .state(_, let state, let reason):
            .members(["event": .string("state"), "state": .string(state.rawValue), "reason": .string(reason)])
        }
    }
}
