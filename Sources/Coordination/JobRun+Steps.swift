import Hashing
import Recipes
import Terms
import Wire

extension JobRun {
    /// Steps that may be leased beyond the newest applied one, so that members never wait for a round trip.
    static let leaseAhead = 4

    /// The recipe of `step`, nil outside the plan.
    mutating func line(_ step: Step) -> RecipeBook.Line? { job.flatMap { book.line(step, of: $0) } }

    mutating func reported(
        _ report: StepReport, from session: SessionID, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard phase == .running, report.position.generation == generation,
            let rank = members.firstIndex(where: { $0.session == session })
        else { return }
        let step = Step(clamping: report.position.step)
        guard step == members[rank].step + 1, step <= leased else { return }
        members[rank].step = step
        accept(report, &output)
    }

    /// Counts a report: commits a new step, or holds a known one against the digest on record.
    mutating func accept(_ report: StepReport, _ output: inout CoordinatorOutput) {
        let step = Step(clamping: report.position.step)
        guard let line = line(step), line.tag == report.recipeTag else { return }
        let recipe = line.recipe
        if step < digests.count {
            guard digests[step] == report.position.digest else {
                return rest(
                    .failed,
                    reason: "two workers disagree on the state after step \(step): one machine computes wrongly, "
                        + "or has another numerics profile", &output)
            }
        } else {
            // After a rewind a step beyond all that is on record can't count before the ones below it do.
            guard step == digests.count, step == committed + 1 else { return }
            digests.append(report.position.digest)
        }
        applied = max(applied, step)
        guard step == committed + 1 else { return }
        let value = CommittedStep(
            step: step, digest: report.position.digest, lossSum: report.lossSum, trainedTokens: recipe.trainedTokens,
            inputTokens: recipe.inputTokens, gradientNorm: report.gradientNorm, learningRate: recipe.learningRate,
            workers: members.count, generation: generation)
        committed = step
        fruitless = 0
        tokens += recipe.inputTokens
        history.append(tokens)
        newest = value
        output.journal.append(.committed(id, value))
        output.notices.append(.committed(id, value))
    }

    /// Leases what may run: up to `leaseAhead` steps beyond the applied one, never past a barrier or a limit.
    mutating func lease(_ now: Instant, _ output: inout CoordinatorOutput) {
        let limit = min(applied + Self.leaseAhead, nextBarrier(after: applied))
        // Half a window at a time: fewer messages and fewer journal transactions.
        guard leased < limit, leased - applied <= Self.leaseAhead / 2 else { return }
        var recipes: [[UInt8]] = []
        while leased < limit {
            guard let line = line(leased + 1), fitsBudget(line.recipe) else { break }
            if leased + 1 > committed { output.journal.append(.recipe(id, leased + 1, bytes: line.bytes)) }
            recipes.append(line.bytes)
            leased += 1
        }
        guard !recipes.isEmpty else { return }
        noteSpent(&output)
        let lease = Lease(job: id, generation: generation, recipes: recipes)
        for member in members { output.sends.append((member.session, .lease(lease))) }
    }

    /// Whether the step may run inside every limit; when not, the job ends before it.
    private mutating func fitsBudget(_ recipe: Recipe) -> Bool {
        guard recipe.step > committed else { return true }
        var limit: String?
        if let steps = description.stepLimit, recipe.step > steps { limit = "steps" }
        if let most = description.tokenLimit {
            var sum = tokens
            for step in committed + 1...recipe.step { sum += line(step)?.recipe.inputTokens ?? 0 }
            if sum > most { limit = "tokens" }
        }
        if let most = description.wallMillisecondsLimit, meter.wallMilliseconds >= most { limit = "wall_clock" }
        if let most = description.coreMillisecondsLimit, meter.coreMilliseconds >= most { limit = "core_hours" }
        guard let limit else { return true }
        exhausted = (recipe.step - 1, limit)
        return false
    }
}

extension Recipe {
    /// First eight bytes of the SHA-256 of its bytes, little-endian.
    package var tag: UInt64 { Self.tag(of: encoded()) }

    /// The tag of a recipe of these bytes.
    static func tag(of bytes: [UInt8]) -> UInt64 {
        Digest.sha256(of: bytes).bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
