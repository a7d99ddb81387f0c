import Budgeting
import Coordination
import Hashing
import Recipes
import Terms

// MARK: A job's ledger
extension SimulatedCluster {
    /// Invariants of a job's ledger (its mirror has taken the entry, and with it the chain, already); `bounds` = the
    /// limits of its project.
    func check(
        _ entry: LedgerEntry, _ run: JobRun, in bounds: Budget, _ record: inout SimulatedCoordinator.JobRecord
    ) {
        guard let ledger = run.ledger else { return fail(.b8, "job \(run.id): its ledger is not replayed") }
        func wrong(_ invariant: Invariant, _ what: String) {
            fail(invariant, "job \(run.id), ledger entry \(entry.sequence): \(what)")
        }
        if let fault = ledger.conservationFault { wrong(.b1, fault) }
        if let fault = record.accounts.take(entry) { wrong(.b8, fault) }
        for posting in entry.postings {
            for account in [posting.from, posting.to]
            where record.accounts.balance(account, posting.unit) != ledger.balance(account)[posting.unit] {
                wrong(.b8, "\(account) of \(posting.unit.key) is not what the lines add up to")
            }
        }
        if entry.postings.contains(where: { $0.from == .ending }), !record.accounts.isOfEnding(entry.event) {
            wrong(.b6, "what is set aside for the ending pays for something else")
        }
        let spent = ledger.spent
        if let what = limitFault(entry, ledger, spent, &record.excess) { wrong(what.invariant, what.text) }
        if let what = spentFault(spent, entry, record.spent) { wrong(.b9, what) }
        record.spent = spent
        if let what = rateFault(spent, entry.sequence) { wrong(.b7, what) }
        if let what = leaseFault(entry, run, ledger, bounds) { wrong(.b3, what) }
        if let what = endingFault(entry, run, aside: record.accounts.balance(.ending, .steps)) { wrong(.b6, what) }
        if case .covered(let step) = entry.event {
            let reference = references[record.reference]
            let isCovered = record.checkpoints.contains { $0.step >= step && $0.digest == reference.digest($0.step) }
            if !isCovered { wrong(.b4, "covers step \(step) without a checkpoint of its line") }
        }
    }

    /// B2 and B7: no exact limit is passed, and what is spent beyond a measured one is posted as such. A limit may be
    /// lowered below what is spent; then nothing more is.
    private func limitFault(
        _ entry: LedgerEntry, _ ledger: Ledger, _ spent: Costs, _ excess: inout Costs
    ) -> (invariant: Invariant, text: String)? {
        let isLimit = if case .limited = entry.event { true } else { false }
        for unit in BudgetUnit.allCases {
            let beyond = ledger.budget[unit].map { spent[unit] - $0 - ledger.balance(.overrun)[unit] } ?? 0
            if !isLimit, beyond > excess[unit] {
                return unit.isExact
                    ? (.b2, "more \(unit.key) are spent than allowed")
                    : (.b7, "\(beyond) of \(unit.key) are spent beyond the limit, which no posting says")
            }
            excess[unit] = max(0, beyond)
        }
        return nil
    }

    /// B9: what was spent stays spent; of exact units only work beyond a checkpoint counts again.
    private func spentFault(_ spent: Costs, _ entry: LedgerEntry, _ before: Costs) -> String? {
        let isRewound = if case .rewound = entry.event { true } else { false }
        for unit in BudgetUnit.allCases where spent[unit] < before[unit] && !(unit.isExact && isRewound) {
            return "\(unit.key) that was spent is forgotten"
        }
        return nil
    }

    /// B7: energy follows from core time by declared or measured power, money from both by prices, all within what any
    /// card or meter of this cluster ever said.
    private func rateFault(_ spent: Costs, _ lines: UInt64) -> String? {
        let (low, high) = (rateRange.low, rateRange.high)
        let slack = Int64(rateRange.lives + 2) * (high.milliwattsPerCore / 1000 + 2)
        // Where only some machines measure, the others go by the mean so far, which is rough in the first second.
        let start = low.milliwattsPerCore == 0 ? high.milliwattsPerCore : 0
        if spent.energy < low.energy(coreTime: spent.coreTime) - slack {
            return "\(spent.energy) mJ are too little for \(spent.coreTime) ms of cores"
        }
        if spent.energy > high.energy(coreTime: spent.coreTime) + slack + start {
            return "\(spent.energy) mJ are too much for \(spent.coreTime) ms of cores"
        }
        let least = low.costs(coreTime: spent.coreTime, wallClock: 0, energy: spent.energy).money
        let most = high.costs(coreTime: spent.coreTime, wallClock: 0, energy: spent.energy).money
        // Every posting rounds both of its parts up.
        guard (least - 2...most + 2 * Int64(lines)).contains(spent.money) else {
            return "\(spent.money) millionths are spent, \(least) to \(most) are due"
        }
        return nil
    }

    /// B3: a lease reserves its own steps' exact cost, and no more than may be in flight.
    private func leaseFault(_ entry: LedgerEntry, _ run: JobRun, _ ledger: Ledger, _ bounds: Budget) -> String? {
        guard case .reserved(let number, let steps, let cost, _) = entry.event else { return nil }
        if steps.lowerBound <= ledger.position { return "steps are reserved that count already" }
        if ledger.leases.contains(where: { $0.number != number && $0.steps.overlaps(steps) }) {
            return "steps \(steps) are reserved twice"
        }
        let ahead = ledger.leases.reduce(0) { $0 + $1.remaining.steps }
        let isLimited = !run.limits.isUnlimited || !bounds.isUnlimited
        let most = isLimited ? JobRun.leaseAhead : JobRun.leaseMost
        if steps.upperBound > run.committed + most || ahead > JobRun.leaseMost + 4 {
            return "\(ahead) steps are reserved, up to \(steps.upperBound), when \(run.committed) count"
        }
        guard let reference = run.description.training["sim"]?.int.map({ references[$0] }) else { return nil }
        let tokens = steps.reduce(0) { $0 + reference.line($1).recipe.inputTokens }
        return cost.tokens == Int64(tokens) ? nil : "\(cost.tokens) tokens are reserved for \(tokens)"
    }

    /// B6: the ending's reserve is for what lies behind the trunk, and as large as its steps.
    private func endingFault(_ entry: LedgerEntry, _ run: JobRun, aside: Int64) -> String? {
        let plan = run.plan.last
        func isEnding(_ step: Step) -> Bool { plan.map { $0.limit != nil && step > $0.trunk } ?? false }
        switch entry.event {
        case .reserved(_, let steps, _, true) where !isEnding(steps.lowerBound):
            return "step \(steps.lowerBound), before the trunk, may draw on the ending's reserve"
        case .spent(_, true) where !isEnding(run.committed + 1):
            return "what step \(run.committed) takes may draw on the ending's reserve"
        case .charged(_, let step, _, _):
            guard let plan, plan.limit != nil, step <= plan.trunk, step >= plan.after, let limit = run.limits[.steps],
                plan.end <= limit
            else { return nil }
            return aside == plan.end - plan.trunk
                ? nil : "\(aside) steps are set aside for an ending from \(plan.trunk) to \(plan.end)"
        default: return nil
        }
    }
}

// MARK: A project's limits
extension SimulatedCluster {
    /// Invariants of all jobs of a project together, on an entry that its mirror has taken.
    func checkProject(_ entry: JournalEntry, of run: JobRun, _ limits: Budget) {
        switch entry {
        case .committed:
            let spent = head.mirror.projectSpent(run.description.project)
            for unit in BudgetUnit.allCases where unit.isExact && spent[unit] > limits[unit] ?? .max {
                fail(.b2, "job \(run.id): its project spends more \(unit.key) than allowed")
            }
        case .ledger(_, let line, _): if case .reserved = line.event { checkReservation(of: run, limits) }
        default: break
        }
    }

    /// B3: what a job's leases reserve fits beside all that the others of its project have spent and reserved.
    private func checkReservation(of run: JobRun, _ limits: Budget) {
        for unit in BudgetUnit.allCases where unit.isExact {
            guard let limit = limits[unit] else { continue }
            var sum = run.ownSpent[unit] + (run.ledger?.leases.reduce(0) { $0 + $1.remaining[unit] } ?? 0)
            for other in head.mirror.jobs
            where other.id != run.id && other.description.project == run.description.project {
                sum += other.ownSpent[unit] + (other.ledger?.reserved[unit] ?? 0)
            }
            if sum > limit {
                fail(.b3, "job \(run.id): its project has \(sum) \(unit.key) spent or reserved, \(limit) are allowed")
            }
        }
    }

    /// B7: what is spent beyond a measured limit is what was under way: no further step is begun.
    func checkBegun(_ step: Step, of run: JobRun, _ limits: Budget) {
        let shared = limits.isUnlimited ? .zero : head.mirror.projectSpent(run.description.project)
        for unit in BudgetUnit.allCases where !unit.isExact {
            if let limit = run.limits[unit], let spent = run.ledger?.spent[unit], spent >= limit {
                fail(.b7, "job \(run.id): step \(step) begins when \(spent) of \(limit) \(unit.key) are spent")
            }
            if let limit = limits[unit], shared[unit] >= limit {
                fail(.b7, "job \(run.id): step \(step) begins when its project's \(unit.key) are used up")
            }
        }
    }

    // MARK: The end

    /// B8: every job's ledger, made anew from its lines in the journal, has the digests that stand there and comes to
    /// what the core knows.
    func checkChains() {
        for job in head.core?.jobs ?? [] {
            var ledger: Ledger?
            for case .ledger(job.id, let entry, let digest) in head.journal {
                do { try Ledger.extend(&ledger, by: entry) } catch {
                    return fail(.b8, "job \(job.id): \(error)")
                }
                guard let sealed = ledger?.seal({ Digest.sha256(of: $0) }), sealed.last?.digest == digest else {
                    return fail(.b8, "job \(job.id): the chain breaks at entry \(entry.sequence)")
                }
                ledger?.forget()
            }
            if ledger != job.ledger { fail(.b8, "job \(job.id): its ledger is not what its lines say") }
        }
    }
}
