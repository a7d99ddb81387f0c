import Budgeting
import Recipes
import Terms

/// Where the job ends: its plan events, made at recorded occasions only, and what they are computed from.
extension JobRun {
    /// The step whose checkpoint is kept to go on from: before the plan's ending, or, where a limit leaves no step for
    /// one, the last state itself; nil = there is none, or it is the initial state.
    var trunkStep: Step? {
        guard let event = plan.last, event.trunk > 0, event.trunk < event.end || event.limit != nil else { return nil }
        return event.trunk
    }

    /// The end brought forward to `end`, or what is left of an ending that has begun: its trunk stays, and the rate
    /// goes to 0 from where it is. `annealing` = steps of an ending that begins only now, nil = as many as the plan
    /// wants.
    private func cut(to end: Step, after: Step, limit: String?, annealing: Int? = nil) -> PlanEvent? {
        guard let current = plan.last, let schedule = job?.learningRate else { return nil }
        let isInside = after >= current.trunk && current.trunk < current.end
        var event = schedule.event(
            after: after, cause: .limit, end: end, limit: limit, annealing: isInside ? max(0, end - after) : annealing)
        if isInside { event.trunk = min(current.trunk, event.end) }
        return event
    }

    /// Ends the job after `step`: an exact limit forbids what comes next.
    mutating func stop(after step: Step, _ now: Instant, _ output: inout CoordinatorOutput) {
        let unit = BudgetUnit.allCases.first { $0.isExact && bound($0) != nil }
        if let event = cut(to: step, after: step, limit: unit?.key) { adopt(event, now, &output) }
    }

    /// Plans to limits that have changed while the job runs.
    mutating func replanChanged(_ now: Instant, _ output: inout CoordinatorOutput) {
        guard let current = plan.last else { return }
        let after = max(issued, leased, committed)
        var event = planned(after: after, .topup, now)
        if event.end < current.end { event.cause = .operatorOrder }
        guard after >= current.trunk, current.trunk < current.end else { return adopt(event, now, &output) }
        // An anneal that has begun is only ever shortened; after it the job can go on from the trunk.
        guard event.end < current.end, let shorter = cut(to: event.end, after: after, limit: event.limit) else {
            return
        }
        adopt(shorter, now, &output)
    }

    /// Makes a decision rule; it is journalled before any lease that follows it.
    mutating func adopt(_ event: PlanEvent, _ now: Instant, _ output: inout CoordinatorOutput) {
        note(event)
        output.journal.append(.planned(id, event))
        output.notices.append(.planned(id, event))
        setAside(bug == .endingNotSetAside ? .zero : plannedEndingCosts, &output)
    }

    mutating func note(_ event: PlanEvent) {
        plan.append(event)
        hasOtherLimits = false
        giveUpIssued(beyond: event.after)
        job?.learningRate.events = plan
        book.forget(beyond: event.after)
    }

    /// A limit lowered while the job rested, or a project that others used up meanwhile, may forbid steps whose recipes
    /// were issued and that no report made count: the job ends before them, and when it goes on they are other ones.
    private mutating func giveUpIssued(beyond step: Step) {
        guard step < issued, step >= committed else { return }
        issued = step
        if digests.count > step + 1 { digests.removeSubrange((step + 1)...) }
    }

    /// Plans the start, once; a plan log is taken over whole.
    mutating func planStart(_ now: Instant, _ output: inout CoordinatorOutput) {
        guard job != nil else { return }
        openLedger(&output)
        guard plan.isEmpty else { return replanResumed(now, &output) }
        for event in description.script { adopt(event, now, &output) }
        guard plan.isEmpty else { return }
        adopt(planned(after: max(issued, committed), .start, now), now, &output)
    }

    /// Holds the plan of a job that was set going again against the limits that are counted, which may be others now.
    private mutating func replanResumed(_ now: Instant, _ output: inout CoordinatorOutput) {
        guard wasResumed else { return }
        wasResumed = false
        if description.script.isEmpty, hasOtherLimits || isOutdated(now) { replanChanged(now, &output) }
        // It was given back when the job came to rest.
        if let event = plan.last, event.limit != nil, committed < event.end, ledger?.balance(.ending) == .zero {
            setAside(plannedEndingCosts, &output)
        }
    }

    /// True when what is counted ends the job sooner than its plan, or no longer where it ended it.
    private func isOutdated(_ now: Instant) -> Bool {
        guard let current = plan.last else { return false }
        let exact = BudgetUnit.allCases.filter(\.isExact)
        let ends = exact.compactMap { lastStep(within: $0, after: committed, now) }
        let end = min(plannedSteps, ends.min() ?? .max)
        return end < current.end || (end > current.end && exact.contains { $0.key == current.limit })
    }

    /// The plan to as far as every limit allows, beyond `after`.
    func planned(after: Step, _ cause: PlanEvent.Cause, _ now: Instant) -> PlanEvent {
        let (end, unit) = budgetEnd(after: after, now)
        let schedule = job?.learningRate
        return schedule?.event(after: after, cause: cause, end: end, limit: unit?.key)
            ?? PlanEvent(after: after, cause: cause, end: max(after, end), limit: unit?.key)
    }

    /// The last step that every limit allows, and the limit that allows no more; nil = the job's own length rules.
    private func budgetEnd(after: Step, _ now: Instant) -> (end: Step, unit: BudgetUnit?) {
        var end = plannedSteps
        var unit: BudgetUnit?
        for candidate in BudgetUnit.allCases {
            guard let last = lastStep(within: candidate, after: after, now), last < end else { continue }
            (end, unit) = (last, candidate)
        }
        return (end, unit)
    }

    private func lastStep(within unit: BudgetUnit, after: Step, _ now: Instant) -> Step? {
        guard let limit = bound(unit) else { return nil }
        switch unit {
        case .steps: return Step(clamping: limit)
        case .tokens: return lastStep(tokens: Int(clamping: limit))
        case .coreTime, .wallClock, .energy, .money:
            guard let cost = stepCost(unit, withPauses: true), cost > 0 else {
                return remaining(unit) > 0 ? nil : after
            }
            let inFlight = Double(max(0, after - committed)) * cost
            let left = Double(remaining(unit)) - inFlight - closingCost(unit, saves: 2)
            // A little is kept back, for steps that turn out dearer.
            return after + max(0, Int(min(left / (cost * 1.03), 1e12)))
        }
    }

    /// The last step whose tokens, with all before it, are within `limit`; nil = all are.
    private func lastStep(tokens limit: Int) -> Step? {
        guard let plan = job?.plan, plan.totalTokens > limit else { return nil }
        var step = history.lastIndex { $0 <= limit }.map { $0 + 1 } ?? 0
        guard step == history.count else { return step }
        var sum = history.last ?? 0
        while step < plan.plannedSteps {
            sum += plan.inputTokens(of: step + 1)
            if sum > limit { break }
            step += 1
        }
        return step
    }

    // MARK: Measured estimates

    /// What is left of a measured unit, what was used but not posted counted as spent; may be below 0.
    func remaining(_ unit: BudgetUnit) -> Int64 {
        guard let limit = bound(unit), let ledger else { return .max }
        let (left, overflow) = limit.subtractingReportingOverflow(ledger.spent[unit])
        return overflow ? .min : left - min(unposted[unit], .max / 4)
    }

    /// What a step costs in a measured unit, with its part of evaluations and saves if wanted; nil = nothing measured.
    func stepCost(_ unit: BudgetUnit, withPauses: Bool) -> Double? {
        guard pace.isKnown else { return meanOfLineage(unit) }
        return withPauses ? pace.meanWithPauses(unit) : pace.mean(unit)
    }

    /// From the ledger: what the steps of the lineage have cost on average, when this life has measured none.
    private func meanOfLineage(_ unit: BudgetUnit) -> Double? {
        // What a branch brought along cost nothing here.
        let own = (ledger?.position ?? 0) - (description.branch?.step ?? 0)
        guard let ledger, own > 0 else { return pace.mean(unit) }
        let sum = Double(ledger.balance(.covered)[unit]) + Double(ledger.balance(.atRisk)[unit])
        return sum > 0 ? sum / Double(own) : nil
    }

    /// What the whole generation costs in so much time.
    private func costOf(milliseconds: Double, _ unit: BudgetUnit) -> Double {
        if unit == .wallClock { return milliseconds }
        let threads = Int64(max(1, members.reduce(0) { $0 + $1.threads }))
        // In an hour; milliwatts times seconds are millijoules.
        let scale = rates.costs(
            coreTime: 3_600_000 * threads, wallClock: 0, energy: members.isEmpty ? nil : draw * 3600)
        return milliseconds * Double(scale[unit]) / 3.6e6
    }

    /// What is still due besides steps before the job can rest: checkpoints with their verification, an evaluation.
    func closingCost(_ unit: BudgetUnit, saves: Int) -> Double {
        let count = Double(saves) + (saving == nil ? 0.5 : 1)
        return costOf(milliseconds: 1.5 * (saveEstimate * count + evaluationEstimate) + 20, unit)
    }

    /// True while the large checkpoints of a job were never measured and the guess of what one takes is more than a
    /// fiftieth of what is left: the job would be planned to the guess. One is made first then, where every measured
    /// limit has room for it beside what is under way, one more step and an end.
    func measuresSave(_ now: Instant) -> Bool {
        guard isMeasured, pace.saveMilliseconds == nil, saveEstimate >= 1000, failedSaves == 0, committed > 0 else {
            return false
        }
        // One that goes on for longer than was guessed was guessed wrong.
        let elapsed = saving == nil ? 0 : Double((now - lastSaveAt).nanoseconds) / 1e6
        let guess = max(saveEstimate, elapsed)
        var matters = false
        for unit in BudgetUnit.allCases where !unit.isExact && bound(unit) != nil {
            let left = Double(max(0, remaining(unit)))
            let steps = Double(max(0, max(issued, leased) - committed)) + 1.25
            let rest = costOf(milliseconds: 2 * guess + 1.5 * evaluationEstimate, unit)
            guard steps * (stepCost(unit, withPauses: false) ?? 0) + rest <= left else { return false }
            if costOf(milliseconds: guess, unit) > 0.02 * left { matters = true }
        }
        return matters
    }

    /// Milliseconds of an evaluation; before the first, half of what it would take to train on its sequences: an
    /// optimizer step goes at least as far backwards as forwards.
    private var evaluationEstimate: Double {
        guard description.evaluationSequences > 0 else { return 0 }
        if pace.evaluationMilliseconds > 0 { return Double(pace.evaluationMilliseconds) }
        let steps = Double(description.evaluationSequences) / Double(description.globalBatch)
        return 0.5 * steps * (stepCost(.wallClock, withPauses: false) ?? 0)
    }

    /// Milliseconds from the order of a checkpoint to its publication; before the first, what a slow disk would take.
    var saveEstimate: Double {
        Double(pace.saveMilliseconds ?? 50 + Int64(description.parameters) * 12 / 100_000)
    }

    /// True when a job with a measured limit would rather pay for its last steps than for another checkpoint.
    func endIsNear(after step: Step) -> Bool {
        guard isMeasured, isEnding(step + 1), let cost = stepCost(.wallClock, withPauses: false) else { return false }
        return Double(endStep - step) * cost < 10 * saveEstimate
    }

    /// The worst that so many steps are taken to cost in measured units.
    func worstCosts(steps: Int64) -> Costs {
        var costs = Costs.zero
        for unit in BudgetUnit.allCases where !unit.isExact {
            let worst = max(Double(pace.worst(unit)), stepCost(unit, withPauses: false) ?? 0)
            costs[unit] = Int64(min(worst * 1.25 * Double(steps), 1e17))
        }
        return costs
    }

    /// What the ending of the newest plan takes: its steps, their tokens, checkpoints and verification; zero where
    /// nothing but the job's own length ends it.
    private var plannedEndingCosts: Costs {
        guard let event = plan.last, event.limit != nil else { return .zero }
        let first = min(max(event.trunk, event.after, committed), event.end)
        var costs = endingCosts(steps: event.end - first)
        for step in stride(from: first + 1, through: event.end, by: 1) {
            costs.tokens += Int64(job?.plan.inputTokens(of: step) ?? 0)
        }
        return costs
    }

    /// What an ending of so many steps takes, but for their tokens.
    private func endingCosts(steps count: Int) -> Costs {
        var costs = Costs(steps: Int64(count))
        for unit in BudgetUnit.allCases where !unit.isExact {
            let steps = (stepCost(unit, withPauses: true) ?? 0) * Double(count)
            costs[unit] = Int64(min(steps + closingCost(unit, saves: 2), 1e17))
        }
        return costs
    }

    /// What nobody else of the project may have: what it takes to anneal and save what this job has made so far. Only
    /// of units that the project alone limits; of the job's own limits its ledger sets the ending aside.
    ///
    /// The ending that is planned may be longer: every job plans as if nobody else would take of what is left.
    var endingClaim: Costs {
        let made = committed - (description.branch?.step ?? 0)
        guard let event = plan.last, made > 0, !state.isAtRest || state == .paused else { return .zero }
        // What is leased of it is reserved, or spent.
        let leased = ledger?.leases.map(\.steps.upperBound).max() ?? 0
        let left = event.end - max(leased, committed)
        guard left > 0 else { return .zero }
        var claim = endingCosts(steps: min(left, LearningRateSchedule.annealLength(plannedSteps: made)))
        claim.tokens = Int64((Double(tokens) / Double(committed) * Double(claim.steps)).rounded(.up))
        for unit in BudgetUnit.allCases where limits[unit] != nil { claim[unit] = 0 }
        return claim
    }

    // MARK: Steps that take too long

    /// What is left of a measured unit for the step that runs, while everything that counts is saved; nil = it is not.
    /// What an end right now would take is not for the step.
    private func leftForStep(_ unit: BudgetUnit) -> Int64? {
        guard phase == .running, saving == nil, committed == saved, committed < endStep, !unit.isExact,
            bound(unit) != nil, let current = plan.last
        else { return nil }
        let hasTrunk = trunk == (current.trunk < current.end ? min(current.trunk, committed) : committed)
        let closing = committed == 0 || hasTrunk ? 0 : closingCost(unit, saves: 2)
        return remaining(unit) - Int64(min(closing, 1e17))
    }

    /// Gives a step up that would end beyond a measured limit: nobody knew what it costs. The job ends where it is saved.
    /// False = there is none.
    mutating func givesUpStep(_ now: Instant, _ output: inout CoordinatorOutput) -> Bool {
        guard let unit = BudgetUnit.allCases.first(where: { leftForStep($0).map { $0 <= 0 } ?? false }),
            let event = cut(to: committed, after: committed, limit: unit.key)
        else { return false }
        postOverhead(&output)
        closeLeases(&output)
        adopt(event, now, &output)
        interrupt(now, &output)
        return true
    }

    /// When `givesUpStep` will have something to do, as members use the budget now; nil = never.
    func giveUpInstant(_ now: Instant) -> Instant? {
        let waits = BudgetUnit.allCases.compactMap { unit -> Double? in
            guard let left = leftForStep(unit), case let rate = costOf(milliseconds: 1, unit), rate > 0 else {
                return nil
            }
            return Double(max(0, left)) / rate
        }
        guard let wait = waits.min(), wait < 1e12 else { return nil }
        return now + .milliseconds(Int64(wait.rounded(.up)))
    }

    // MARK: Occasions

    /// True when a limit is measured, so that only cost tells how many steps it allows.
    var isMeasured: Bool { BudgetUnit.allCases.contains { !$0.isExact && bound($0) != nil } }

    /// The limit of a unit: the job's own, or what its project leaves it, whichever is less.
    func bound(_ unit: BudgetUnit) -> Int64? {
        guard let share = share?[unit] else { return limits[unit] }
        return min(share, limits[unit] ?? share)
    }

    /// The project whose limit of a unit it is that binds the job; nil = the job's own does, or none.
    func projectBinding(_ unit: BudgetUnit) -> ProjectShare? {
        guard let share, let left = share[unit], left < limits[unit] ?? .max else { return nil }
        return share
    }

    /// Looks for an occasion to plan before a step is leased that never was.
    mutating func replan(_ now: Instant, _ output: inout CoordinatorOutput) {
        guard let current = plan.last else { return }
        let after = max(issued, leased)
        // What other jobs of the project took meanwhile can't be planned with.
        if share != nil, description.script.isEmpty,
            case (let end, let unit) = budgetEnd(after: after, now), let unit, unit.isExact, end < current.end
        {
            let left = LearningRateSchedule.annealLength(plannedSteps: end)
            if end - after <= left, let event = cut(to: end, after: after, limit: unit.key) {
                adopt(event, now, &output)
            }
        }
        guard isMeasured, !measuresSave(now) else { return }
        if description.script.isEmpty, after < current.trunk || current.trunk == current.end,
            let cause = occasion(current, after)
        {
            isWarned = false
            adopt(planned(after: after, cause, now), now, &output)
        }
        if let event = shortening(after, now) { adopt(event, now, &output) }
    }

    /// Why it is time to plan anew; nil = it is not.
    private func occasion(_ current: PlanEvent, _ after: Step) -> PlanEvent.Cause? {
        guard pace.isKnown else { return nil }
        if !plansFromCost { return .start }
        // A course that has a shape of its own is planned once.
        guard description.schedule == .wsd || description.schedule == .constant else { return nil }
        if isWarned { return .warning }
        let level = Double(limits.warnAt) / 1e6 * Double(current.end)
        let due = min(Int(level), current.trunk == current.end ? .max : current.trunk)
        return current.limit != nil && after >= due && current.after < due ? .warning : nil
    }

    /// When the rest of the plan is no longer paid for: an ending that is, beginning now.
    private func shortening(_ after: Step, _ now: Instant) -> PlanEvent? {
        guard let current = plan.last, current.end > after, bug != .usedUpLimitIgnored else { return nil }
        let rest = current.end - after
        let isInside = after >= current.trunk && current.trunk < current.end
        let saves = isInside && trunk == current.trunk ? 1 : 2
        var affordable = Double(rest)
        var unit: BudgetUnit?
        for candidate in BudgetUnit.allCases where !candidate.isExact && bound(candidate) != nil {
            let cost = stepCost(candidate, withPauses: true) ?? 0
            let inFlight = Double(max(0, after - committed)) * cost
            let left = Double(remaining(candidate)) - inFlight - closingCost(candidate, saves: saves)
            let steps = left <= 0 ? 0 : cost > 0 ? left / cost : .infinity
            if steps < affordable { (affordable, unit) = (steps, candidate) }
        }
        guard let unit else { return nil }
        let wanted = Double(LearningRateSchedule.annealLength(plannedSteps: after + Int(affordable)))
        // A plan that still holds begins its ending by itself, one that does not is left when an ending is due.
        let holds = current.limit != nil && Double(after) + affordable > 0.95 * Double(current.end)
        let least = holds ? 0.75 * Double(current.end - current.trunk) : wanted
        guard isInside || affordable < least + 1 else { return nil }
        let steps = Int(affordable / 1.1)
        guard steps < rest else { return nil }
        return cut(to: after + steps, after: after, limit: unit.key, annealing: steps)
    }
}
