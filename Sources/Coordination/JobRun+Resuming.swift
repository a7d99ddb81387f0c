package import Budgeting
import Recipes
package import Terms

/// What happens to a job when its budget is used up, too small, or changed.
extension JobRun {
    /// True when the budget leaves no room for another step: the job rests, with the numbers, and needs no workers.
    mutating func isHeld(_ crew: Crew, _ output: inout CoordinatorOutput) -> Bool {
        // Those that can tell what they draw do so before they are loaded.
        let staying = crew.filter { !$0.isWithdrawn }
        let isKnown = !staying.isEmpty && staying.allSatisfy { $0.load == .loaded }
        let isMeasured = isKnown ? staying.contains { $0.milliwatts != nil } : nil
        // Progress that is in no checkpoint yet is worth more than a limit that can't be counted.
        if committed == saved, let fault = priceFault(isMeasured: isMeasured) {
            rest(.budgetExhausted, reason: "held: \(fault)", &output)
            return true
        }
        // Every step would be refused by the account, and the job wait for ever.
        if let position = ledger?.position, position != committed {
            rest(.failed, reason: "its account stands at step \(position), and the job at \(committed)", &output)
            return true
        }
        // Progress that is in no checkpoint yet needs workers to save it, and an ended plan its trunk and its final
        // one.
        guard let event = plan.last, let limit = event.limit, event.end <= committed, committed == saved,
            committed < plannedSteps, trunkStep == nil || trunk == trunkStep
        else { return false }
        rest(.budgetExhausted, reason: "held: \(shortage(limit))", &output)
        return true
    }

    /// Why a limit in force, the job's own or its project's, can't be counted: the rate card lacks something for it.
    ///
    /// - Parameter isMeasured: whether workers measure what they draw; nil = there is none to ask.
    private func priceFault(isMeasured: Bool? = nil) -> String? {
        var (rates, bounds) = (rates, limits)
        rates.isEnergyMeasured = rates.isEnergyMeasured ?? isMeasured
        if ledger?.energyMethods.contains(.measured) == true { rates.isEnergyMeasured = true }
        // A project may leave nothing at all, which is no limit that a job could be given.
        for unit in BudgetUnit.allCases { bounds[unit] = bound(unit).map { max(1, $0) } }
        return rates.fault(with: bounds)
    }

    /// What a limit allows and what the next step takes, in words.
    func shortage(_ key: String) -> String {
        guard let unit = BudgetUnit.allCases.first(where: { $0.key == key }), let limit = bound(unit) else {
            return "the budget is used up after step \(committed)"
        }
        let smallest = unit.isExact ? "" : unit == .energy ? " mJ" : unit == .money ? " millionths" : " ms"
        if let project = projectBinding(unit), let total = project.limits[unit] {
            return "\(key) of project \(project.name) allows \(total)\(smallest), \(ownSpent[unit]) are spent here and "
                + "\(project.others[unit]) by its other jobs or kept for them" + demand(unit)
        }
        let spent = unit.isExact ? ledger?.spent[unit] ?? 0 : limit - remaining(unit)
        return "budget.\(key) allows \(limit)\(smallest), \(spent) are spent" + demand(unit)
    }

    /// What the next step takes, as the end of a sentence.
    private func demand(_ unit: BudgetUnit) -> String {
        if unit == .tokens, let tokens = job?.plan.inputTokens(of: committed + 1) {
            return ", the next step takes \(tokens)"
        }
        guard !unit.isExact else { return "" }
        let step = stepCost(unit, withPauses: true).map { "a step takes about \(Int64($0.rounded(.up)))" }
        let ending = Int64(closingCost(unit, saves: 2).rounded(.up))
        return ", \(step ?? "no step is measured yet"), the checkpoints of an ending about \(ending)"
    }

    /// The limit that is nearest to be reached, the job's own or its project's, with what is spent of it; nil = none.
    package var nearestLimit: (unit: BudgetUnit, spent: Int64, limit: Int64, project: String?)? {
        guard let spent = ledger?.spent else { return nil }
        let own = BudgetUnit.allCases.compactMap { unit in
            limits[unit].map { (unit: unit, spent: spent[unit], limit: $0, project: String?.none) }
        }
        let shared = BudgetUnit.allCases.compactMap { unit in
            share.flatMap { share in
                share.limits[unit].map { limit in
                    let (sum, overflow) = ownSpent[unit].addingReportingOverflow(share.others[unit])
                    return (unit: unit, spent: overflow ? .max : sum, limit: limit, project: share.name as String?)
                }
            }
        }
        return (own + shared).max { Double($0.spent) / Double($0.limit) < Double($1.spent) / Double($1.limit) }
    }

    /// The project whose limit ended the job, or ends it by its plan; nil = none did.
    package var endingProject: String? {
        guard let key = plan.last?.limit, let unit = BudgetUnit.allCases.first(where: { $0.key == key }) else {
            return nil
        }
        return projectBinding(unit)?.name
    }

    /// Whether the last steps of a job that is over may be computed again when their checkpoint is lost: steps and
    /// tokens of lost work count as unused, but no measured limit that is used up pays for it twice.
    package var mayRecompute: Bool {
        guard state == .budgetExhausted else { return state == .done }
        return !isMeasured && BudgetUnit.allCases.contains { $0.isExact && $0.key == plan.last?.limit }
    }

    /// Goes on after the budget ran out, if what was granted since allows anything useful.
    mutating func goOn(from point: ResumePoint, _ now: Instant, _ output: inout CoordinatorOutput) {
        guard job != nil else { return }
        planStart(now, &output)
        let target = point == .trunk ? branchPoint : committed
        // Held for want of a price it may have steps that were issued and do not count yet: they stay what they are.
        let event = planned(after: target < committed ? target : max(target, issued), .topup, now)
        let fault = priceFault()
        guard event.end > committed, fault == nil else {
            let why = fault ?? shortage(event.limit ?? "")
            return output.notices.append(.state(id, state, reason: "held: \(why)"))
        }
        if target < committed {
            rewindLedger(to: target, &output)
            branch(to: target)
            output.journal.append(.branched(id, to: target))
            output.notices.append(.rewound(id, to: target))
        }
        adopt(event, now, &output)
        requeue(now, &output)
    }

    /// The state to go on from by default: the trunk of the plan that ended, where there is one.
    package var branchPoint: Step {
        guard let event = plan.last, event.limit != nil, event.trunk < min(event.end, committed) else {
            return committed
        }
        return event.trunk == 0 || trunk == event.trunk ? event.trunk : committed
    }

    /// Whether going on from `point` would be of use with the limits in force.
    package func canGoOn(from point: ResumePoint, at now: Instant) -> Bool {
        guard priceFault() == nil else { return false }
        return planned(after: point == .trunk ? branchPoint : committed, .topup, now).end > committed
    }

    /// Takes other limits, and plans to them.
    mutating func limit(to budget: Budget, _ now: Instant, _ output: inout CoordinatorOutput) {
        openLedger(&output)
        guard budget != limits, post(.limited(budget), &output) == nil else { return }
        warn(&output)
        guard !state.isAtRest, job != nil, description.script.isEmpty else { return }
        replanChanged(now, &output)
    }
}
