import Budgeting
import Coordination
import Datasets
import Foundation
import ModelFiles
import Models
import Terms
import WorkerShell

/// What a person sees of a running job, or with `--json` one object a line.
final class LiveView: @unchecked Sendable {
    private let name: String
    private let isJSON: Bool
    private var losses: [Double] = []
    private var heldOut: [(step: Int, loss: Double)] = []
    private var workers = 0
    private var hasOpenLine = false
    private var lastTokenising = Date.distantPast

    init(name: String, isJSON: Bool) {
        self.name = name
        self.isJSON = isJSON
    }

    // MARK: Before the first step

    /// A bar with rate and time to go; into a file or a pipe a line now and then.
    func preparing(_ progress: DataProgress) {
        let pause = Output.isTerminal ? 0.2 : 10
        guard !isJSON, Date().timeIntervalSince(lastTokenising) > pause else { return }
        let isFirst = lastTokenising == .distantPast
        lastTokenising = Date()
        let text = Self.text(progress)
        if Output.isTerminal { status(text) } else if !isFirst { Output.note(text) }
    }

    static func text(_ progress: DataProgress) -> String {
        switch progress {
        case .reading(let reading): text(reading)
        case .tokenising(let build): text(build)
        }
    }

    private static func text(_ reading: DataDigests.Progress) -> String {
        "reading the data \(Output.bytes(reading.done)) of \(Output.bytes(reading.total))  "
            + "\(Output.bytes(Int(reading.rate)))/s  ETA \(time(reading.secondsLeft))"
    }

    private static func text(_ progress: BuildProgress) -> String {
        let share = progress.bytesTotal > 0 ? min(1, Double(progress.bytesRead) / Double(progress.bytesTotal)) : 1
        let bar = String(repeating: "█", count: Int(share * 20)) + String(repeating: "░", count: 20 - Int(share * 20))
        let left = progress.secondsLeft.map { "  ETA \(time($0))" } ?? ""
        let resumed = progress.bytesBefore > 0 ? "  (gone on with)" : ""
        return "tokenising \(bar) \(Int(share * 100)) %  \(progress.rows) rows  "
            + "\(count(progress.rate)) tok/s\(left)\(resumed)"
    }

    /// Files on their way to or from a coordinator.
    func moving(_ verb: String, _ name: String, _ done: Int, _ total: Int) {
        guard !isJSON, Output.isTerminal, Date().timeIntervalSince(lastTokenising) > 0.2 || done == total else {
            return
        }
        lastTokenising = Date()
        status("\(verb) \(name)  \(Output.bytes(done)) of \(Output.bytes(total))")
    }

    func prepared(_ description: JobDescription, _ submission: Submission) {
        if isJSON, let data = submission.data?.json.object {
            Output.json(
                .object(
                    JSONObject(
                        [("event", .string("data")), ("precision", .string(submission.settings.precision))]
                            + data.members)))
        }
        guard !isJSON else { return }
        closeLine()
        for sentence in submission.data?.sentences ?? [] { Output.line(Output.styled(sentence, .dim)) }
        let steps = description.plannedSteps
        let method = submission.settings.adapter.map { "LoRA r=\($0.rank)" } ?? "full"
        Output.line(
            "\(Output.styled(name, .bold))  \(submission.model.configuration.family.modelType)  \(method)  "
                + "\(Self.count(Double(description.parameters))) trained parameters")
        let heldOut = submission.data?.heldOut ?? description.evaluationSequences
        let evaluated =
            heldOut > description.evaluationSequences ? " (\(description.evaluationSequences) evaluated)" : ""
        Output.line(
            "\(description.sequences) sequences, \(heldOut) held out\(evaluated) · \(steps) steps of "
                + "\(description.globalBatch) · \(description.virtualShards) virtual shards · \(submission.settings.precision)"
        )
    }

    func resuming(from step: Step, rejected: [String]) {
        for reason in rejected { say("passed over a checkpoint: \(reason)") }
        if isJSON {
            Output.json(
                .members([
                    "event": .string("resume"), "from_step": .int(step),
                    "rejected": .array(rejected.map(JSONValue.string)),
                ]))
        } else {
            Output.line("resuming from step \(step)")
        }
    }

    func say(_ text: String) {
        closeLine()
        Output.note(text)
    }

    // MARK: Events

    func show(_ event: JSONValue) {
        if isJSON { return Output.json(event) }
        switch event["event"]?.string {
        case "step": step(event)
        case "eval":
            let loss = event["loss"]?.double ?? 0
            heldOut.append((event["step"]?.int ?? 0, loss))
            line("held-out loss \(Self.decimals(loss, 4)) after step \(event["step"]?.int ?? 0)")
        case "worker_joined": workers += 1
        case "worker_left":
            workers -= 1
            line(Output.styled("worker \(event["name"]?.string ?? "") left: \(event["reason"]?.string ?? "")", .yellow))
        case "generation":
            let world = event["workers"]?.array?.count ?? 0
            line(
                "generation \(event["generation"]?.int ?? 0): \(world) worker\(world == 1 ? "" : "s"), from step \(event["from_step"]?.int ?? 0)"
            )
        case "checkpoint": line("checkpoint at step \(event["step"]?.int ?? 0) (\(event["kind"]?.string ?? ""))")
        case "checkpoint_failed": line(Output.styled("checkpoint failed: \(event["problem"]?.string ?? "")", .red))
        case "trouble": line(Output.styled(event["text"]?.string ?? "", .yellow))
        case "budget_warning":
            let (spent, total) = (event["spent"]?.double ?? 0, event["total"]?.double ?? 1)
            let project = event["project"]?.string.map { " of project \($0)" } ?? ""
            line(
                Output.styled(
                    "\(Int(100 * spent / max(total, 1e-12))) % of \(event["limit"]?.string ?? "")\(project) are spent",
                    .yellow))
        case "plan":
            if let limit = event["limit"]?.string, let end = event["end"]?.int, let trunk = event["trunk"]?.int {
                line("plan: \(limit) is enough for \(end) steps; trunk after step \(trunk), then the ending")
            }
        case "rewound": line("going back to step \(event["step"]?.int ?? 0)")
        default: break
        }
    }

    private func step(_ event: JSONValue) {
        let loss = event["loss"]?.double ?? 0
        losses.append(loss)
        let (current, total) = (event["current_steps"]?.int ?? 0, event["total_steps"]?.int ?? 0)
        var text =
            "step \(Self.padded(current, total))/\(total)  loss \(Self.decimals(loss, 4)) "
            + Output.styled(Self.sparkline(losses), .cyan)
        text += "  \(Self.count(event["throughput"]?.double ?? 0)) tok/s"
        text += "  ETA \(Self.time(event["remaining_time"]?.double ?? 0))"
        let count = event["workers"]?.int ?? 0
        text += "  \(count) worker\(count == 1 ? "" : "s")"
        if let budget = event["budget"], let name = budget["limit"]?.string, let spent = budget["spent"]?.double,
            let limit = budget["total"]?.double, limit > 0
        {
            text += "  budget \(Int(min(100 * spent / limit, 1e6))) % of \(name)"
            if let project = budget["project"]?.string { text += " of project \(project)" }
        } else {
            text += "  no budget"
        }
        if Output.isTerminal { status(text) } else { Output.line(text) }
    }

    // MARK: The end

    /// What was written, and how it compares after it was loaded again.
    func exported(_ report: RunExport.Report) {
        guard isJSON else { return line("written: \(report.sentence)") }
        let members = report.json.object?.members ?? []
        Output.json(.object(JSONObject([(key: "event", value: .string("export"))] + members)))
    }

    func end(_ event: JSONValue, run: String) {
        if isJSON { return Output.json(event) }
        closeLine()
        let state = event["state"]?.string ?? ""
        Output.line(
            "\(Output.styled(state, state == "DONE" ? .green : .yellow)) after \(event["steps"]?.int ?? 0) steps: \(event["reason"]?.string ?? "")"
        )
        if let before = heldOut.first, let after = heldOut.last, after.step > before.step {
            let change = 100 * (after.loss - before.loss) / before.loss
            let since = before.step > 0 ? " since step \(before.step)" : ""
            Output.line(
                "held-out loss \(Self.decimals(before.loss, 4)) → \(Self.decimals(after.loss, 4)) (\(Self.decimals(change, 1)) %\(since))"
            )
        }
        if let spent = event["core_hours"]?.double { Output.line("spent \(Amount.text(spent, of: .coreTime))") }
        if let digest = event["model_sha256"]?.string { Output.line("model_sha256 \(digest)") }
        if let advice = Self.advice(state, run: run, project: event["limiting_project"]?.string) { Output.line(advice) }
    }

    /// What can be done about a job that rests in a state: text of a line or two; nil when nothing can, or need.
    ///
    /// - Parameters:
    ///   - run: a run's folder, or a job's number with its `--coordinator`.
    ///   - project: whose limit has ended the job; nil = its own did.
    static func advice(_ state: String, run: String, project: String? = nil) -> String? {
        let owner = project.map { "\($0)\(run.drop { $0 != " " })" } ?? run
        return switch state {
        case "DONE", "CANCELLED": nil
        case "BUDGET_EXHAUSTED":
            "grant more with: drover budget add \(owner) AMOUNT\ngo on with: drover resume \(run)"
        // The same steps give the same bits: going on would end at the same step.
        case "DIVERGED" where run.contains(" --coordinator "):
            "it would diverge again: submit it anew with a smaller learning_rate"
        case "DIVERGED":
            "it would diverge again: begin a new run from a checkpoint before (drover checkpoint ls \(run)) with\n"
                + "drover resume \(run) --from STEP --as NAME learning_rate=…"
        default: "go on with: drover resume \(run)"
        }
    }

    /// Held-out questions with the answers before and after.
    func answers(_ pairs: [SampleAnswers.Pair]) {
        for pair in pairs {
            line("")
            line("\(Output.styled("held-out question", .bold))  \(pair.question)")
            line("  before  \(Output.styled(pair.before, .dim))")
            line("  after   \(Output.styled(pair.after, .green))")
        }
    }

    // MARK: Lines and figures

    private func status(_ text: String) {
        Output.text("\r\u{1B}[K\(text)")
        hasOpenLine = true
    }

    private func line(_ text: String) {
        closeLine()
        Output.line(text)
    }

    private func closeLine() {
        guard hasOpenLine else { return }
        hasOpenLine = false
        Output.line()
    }

    /// The course of the loss in at most 16 characters, lowest to highest of what is shown.
    static func sparkline(_ values: [Double]) -> String {
        let bars = Array("▁▂▃▄▅▆▇█")
        let width = 16
        let shown: [Double] =
            values.count <= width
            ? values
            : (0..<width).map { place in
                let part = values[values.count * place / width..<values.count * (place + 1) / width]
                return part.reduce(0, +) / Double(part.count)
            }
        guard let low = shown.min(), let high = shown.max(), high > low else {
            return String(repeating: "▁", count: shown.count)
        }
        return String(shown.map { bars[min(7, Int(8 * ($0 - low) / (high - low)))] })
    }

    static func decimals(_ value: Double, _ places: Int) -> String { String(format: "%.\(places)f", value) }

    static func padded(_ value: Int, _ total: Int) -> String {
        let text = String(value)
        return String(repeating: " ", count: max(0, String(total).count - text.count)) + text
    }

    /// 1234 → 1,234; 1234567 → 1.23M.
    static func count(_ value: Double) -> String {
        switch value {
        case 1e9...: decimals(value / 1e9, 2) + "B"
        case 1e6...: decimals(value / 1e6, 2) + "M"
        case 1e4...: decimals(value / 1e3, 1) + "k"
        default: String(Int(value))
        }
    }

    static func time(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded())
        if whole >= 3600 { return "\(whole / 3600)h\(String(format: "%02d", whole % 3600 / 60))m" }
        if whole >= 60 { return "\(whole / 60)m\(String(format: "%02d", whole % 60))s" }
        return "\(whole)s"
    }
}
