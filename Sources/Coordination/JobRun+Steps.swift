import Budgeting
import Hashing
import Recipes
import Terms
import Wire

extension JobRun {
    /// Steps that may be leased beyond the newest applied one at least, so that members never wait for a round trip.
    package static let leaseAhead = 4
    /// And at most.
    package static let leaseMost = 64
    /// Members can go on so long without a coordinator: while it is started again, for instance.
    static let leaseMilliseconds = 2000.0

    /// Steps that may be leased beyond the newest applied one: as many as fill a lease's time by the measured pace. A
    /// budget counts what was leased as good as spent: a job that has one goes in small leases.
    private var leaseWindow: Int {
        let isLimited = !limits.isUnlimited || !(share?.limits.isUnlimited ?? true)
        guard pace.isKnown, !isLimited || bug == .windowWithoutLimit,
            let pace = pace.mean(.wallClock), pace > 0
        else {
            return Self.leaseAhead
        }
        return min(max(Self.leaseAhead, Int(Self.leaseMilliseconds / pace)), Self.leaseMost)
    }

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
        members[rank].reportedAt = now
        noteRepeated(report, threads: members[rank].threads)
        noteStalled(report, now)
        accept(report, &output)
    }

    /// Counts a report: commits a new step, or holds a known one against the digest on record.
    mutating func accept(_ report: StepReport, _ output: inout CoordinatorOutput) {
        let step = Step(clamping: report.position.step)
        // Of a line that was left a worker may still know steps whose recipes were not issued again.
        guard step <= issued, let line = line(step), line.tag == report.recipeTag else { return }
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
        }
        if step == committed + 1 { guard charge(recipe, &output) else { return } } else { postOverhead(&output) }
        if step == digests.count { digests.append(report.position.digest) }
        applied = max(applied, step)
        guard step == committed + 1 || (bug == .stepCountsTwice && step == committed) else { return }
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
        warn(&output)
    }

    /// Says once which limits have reached their warning level.
    mutating func warn(_ output: inout CoordinatorOutput) {
        guard let ledger, case let units = ledger.newWarnings, !units.isEmpty else { return }
        post(.warned(units), &output)
        for unit in units {
            output.notices.append(.warned(id, unit, spent: ledger.spent[unit], limit: ledger.budget[unit] ?? 0))
            if !unit.isExact { isWarned = true }
        }
    }

    /// Leases what may run: up to `leaseAhead` steps beyond the applied one, never past a barrier or a limit.
    mutating func lease(_ now: Instant, _ output: inout CoordinatorOutput) {
        // As long as nobody knows what a step costs, a measured limit is looked at before each one.
        let window = isMeasured && !pace.isKnown ? 1 : leaseWindow
        func limit() -> Step {
            min(applied + window, bug == .leasePastItsEnd ? endStep : nextBarrier(after: applied))
        }
        // The anneal begins when its trunk is safe.
        if awaitsTrunk { return }
        // Half a window at a time: fewer messages and fewer journal transactions.
        guard leased < limit(), leased - applied <= window / 2 else { return }
        var recipes: [[UInt8]] = []
        while leased < limit() {
            let step = leased + 1
            if step > issued {
                replan(now, &output)
                guard step <= limit(), !awaitsTrunk else { break }
            }
            guard let line = line(step), isPaid(line.recipe, now, &output) else { break }
            if step > committed, bug != .recipeNotJournalled {
                output.journal.append(.recipe(id, step, bytes: line.bytes))
            }
            issued = max(issued, step)
            recipes.append(line.bytes)
            leased = step
        }
        guard !recipes.isEmpty else { return }
        let lease = Lease(job: id, generation: generation, recipes: recipes)
        for member in members { output.sends.append((member.session, .lease(lease))) }
    }

    /// True when the next step is the anneal's first and the trunk before it is not in the store yet.
    private var awaitsTrunk: Bool {
        trunkStep != nil && leased == trunkStep && trunk != trunkStep && committed <= leased
    }

    /// Reserves what a step may cost; when a limit forbids it after all, the job ends before it.
    private mutating func isPaid(_ recipe: Recipe, _ now: Instant, _ output: inout CoordinatorOutput) -> Bool {
        guard recipe.step > committed else { return true }
        if reserve(recipe.step...recipe.step, tokens: recipe.inputTokens, &output) { return true }
        stop(after: recipe.step - 1, now, &output)
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
