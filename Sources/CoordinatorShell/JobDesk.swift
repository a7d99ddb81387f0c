import Coordination
import Recipes
import StorageShell
import Terms

/// One job's folder on the coordinator's machine: log and checkpoints, and what its event lines need.
final class JobDesk {
    let description: JobDescription
    let checkpoints: CheckpointDesk
    private(set) var log: TrainerLog
    private let logPath: String
    /// The held-out losses of the job, a line each; nil where nothing is held out.
    private var evaluations: TrainerLog?
    private let evaluationsPath: String
    var events: JobEvents
    /// The newest held-out loss, and the step that it is of.
    private var evaluation: (step: Step, loss: Double)?
    /// What the job's state was last said to be for.
    var lastReason: String?
    private let planPath: String

    /// Opens the folder; the log keeps what was logged up to `step`.
    init(folder: String, job: Job, checkpoints: CheckpointDesk, keepingThrough step: Step, at now: Instant) throws {
        description = job.description
        self.checkpoints = checkpoints
        logPath = "\(folder)/trainer_log.jsonl"
        planPath = "\(folder)/plan.jsonl"
        evaluationsPath = "\(folder)/eval_log.jsonl"
        log = try TrainerLog(logPath, through: step)
        evaluations = job.description.evaluationSequences > 0 ? try TrainerLog(evaluationsPath, through: step) : nil
        events = JobEvents(
            job.description, totalSteps: job.plan.plannedSteps, totalTokens: job.plan.totalTokens,
            earlierSeconds: log.lastElapsed, at: now)
    }

    /// Whether a step has a line in the log.
    func isLogged(_ step: Step, of run: JobRun) -> Bool { step % description.loggingSteps == 0 || step == run.endStep }

    /// Remembers a held-out loss for the checkpoint of its step; one over no tokens says nothing.
    func note(loss: Double, of step: Step, tokens: Int) {
        if tokens > 0 { evaluation = (step, loss) }
    }

    /// Keeps the line of an evaluation; durable on return, because nothing else has what it cost to come that far.
    func keep(evaluation line: JSONValue) throws {
        try evaluations?.append(line)
        try evaluations?.sync()
    }

    /// The held-out loss at `step`, nil when none was measured there: a checkpoint of another step is not as good.
    func evaluationLoss(of step: Step) -> Double? { evaluation?.step == step ? evaluation?.loss : nil }

    /// Writes the job's plan log, one event a line.
    func write(_ plan: [PlanEvent]) throws {
        try AtomicFile.write(planPath, Array(plan.map { $0.json.text + "\n" }.joined().utf8))
    }

    /// Cuts the logs back: the job goes on from `step`.
    func rewind(to step: Step, at now: Instant) throws {
        log = try TrainerLog(logPath, through: step)
        if evaluations != nil { evaluations = try TrainerLog(evaluationsPath, through: step) }
        events.continueFrom(seconds: log.lastElapsed, at: now)
        // Steps beyond are made anew, perhaps by another plan.
        if let measured = evaluation?.step, measured > step { evaluation = nil }
    }
}
