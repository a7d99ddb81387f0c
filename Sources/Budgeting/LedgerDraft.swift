import Terms

/// A copy of a ledger's state that an event is tried on; it replaces the state when nothing was refused.
struct LedgerDraft {
    var state: LedgerState
    var postings: [Posting] = []

    init(state: LedgerState) { self.state = state }

    /// Changes the copy and gathers the postings; after a refusal the copy is of no use.
    mutating func take(_ event: LedgerEvent) -> LedgerRefusal? {
        do throws(LedgerRefusal) {
            switch event {
            case .limited(let budget): try limit(budget)
            case .inherited(let position, let costs): try inherit(position, costs)
            case .endingReserved(let wanted): try setAside(wanted)
            case .reserved(let lease, let steps, let cost, let isEnding): try reserve(lease, steps, cost, isEnding)
            case .charged(let lease, let step, let cost, let overhead): try charge(lease, step, cost, overhead)
            case .repeated(let lease, let cost): try repeated(lease, cost)
            case .spent(let overhead, let isEnding): try spend(overhead, isEnding)
            case .closed(let lease): try refund(try removeLease(lease).remaining, from: .reserved)
            case .expired(let lease): try expire(lease)
            case .reconciled(let lease, let used): try reconcile(lease, used)
            case .covered(let step): try cover(step)
            case .rewound(let step): try rewind(step)
            case .warned(let units):
                state.warned = BudgetUnit.allCases.filter { state.warned.contains($0) || units.contains($0) }
            case .metered(let method): state.note(method)
            }
            return nil
        } catch {
            return error
        }
    }

    // MARK: Movements

    /// Moves an amount; nothing is posted for 0.
    mutating func move(
        _ amount: Int64, _ unit: BudgetUnit, _ from: Account, _ to: Account
    ) throws(LedgerRefusal) {
        precondition(amount >= 0, "a posting moves forward")
        guard amount > 0 else { return }
        let (less, tooLow) = state.balance(from)[unit].subtractingReportingOverflow(amount)
        let (more, tooHigh) = state.balance(to)[unit].addingReportingOverflow(amount)
        // Kept off the least value, what is granted can be negated, and all other accounts add up within 64 bits.
        if tooLow || tooHigh || less == .min { throw .overflow }
        precondition(from == .grant || less >= 0, "no account but the source goes below 0")
        state.balances[Int(from.rawValue)][unit] = less
        state.balances[Int(to.rawValue)][unit] = more
        postings.append(Posting(from: from, to: to, unit: unit, amount: amount))
    }

    func isLimited(_ unit: BudgetUnit) -> Bool { state.budget[unit] != nil }

    /// Gives amounts back: to what is available, or to the source where there is no limit.
    mutating func refund(_ costs: Costs, from account: Account) throws(LedgerRefusal) {
        for unit in BudgetUnit.allCases {
            try move(costs[unit], unit, account, isLimited(unit) ? .available : .grant)
            try settle(unit)
        }
    }

    /// Brings what is granted to the limit, as far as nothing reserved or spent stands against it.
    mutating func settle(_ unit: BudgetUnit) throws(LedgerRefusal) {
        guard let limit = state.budget[unit] else {
            return try move(state.balance(.available)[unit], unit, .available, .grant)
        }
        let granted = -state.balance(.grant)[unit]
        if granted < limit {
            try move(limit - granted, unit, .grant, .available)
        } else {
            try move(min(granted - limit, state.balance(.available)[unit]), unit, .available, .grant)
        }
    }

    /// Takes `amount` from what is available (after the ending's part if `isEnding`), then from beyond the limit.
    ///
    /// - Returns: what came from beyond the limit and stands in `overrun` instead of `account`.
    mutating func draw(
        _ amount: Int64, _ unit: BudgetUnit, into account: Account, isEnding: Bool
    ) throws(LedgerRefusal) -> Int64 {
        var rest = amount
        for source in isEnding ? [Account.ending, .available] : [.available] {
            let part = min(rest, state.balance(source)[unit])
            try move(part, unit, source, account)
            rest -= part
        }
        guard isLimited(unit) else {
            try move(rest, unit, .grant, account)
            return 0
        }
        try move(rest, unit, .grant, .overrun)
        return rest
    }

    /// Refuses when a limited unit has not `costs` available.
    private func require(_ costs: Costs, isEnding: Bool) throws(LedgerRefusal) {
        let lacking = BudgetUnit.allCases.filter { unit in
            guard isLimited(unit) else { return false }
            let ending = isEnding ? state.balance(.ending)[unit] : 0
            // Both are parts of one limit, so their sum fits.
            return state.balance(.available)[unit] + ending < costs[unit]
        }
        if !lacking.isEmpty { throw .exceedsBudget(lacking) }
    }

    // MARK: Limits

    private mutating func limit(_ budget: Budget) throws(LedgerRefusal) {
        let currency = state.budget.currency
        let hadMoney = state.spent.money > 0 || state.reserved.money > 0
        if hadMoney, let currency, let other = budget.currency, other != currency { throw .otherCurrency }
        state.budget = budget
        state.budget.currency = budget.currency ?? currency
        for unit in BudgetUnit.allCases {
            if !isLimited(unit) { try move(state.balance(.ending)[unit], unit, .ending, .grant) }
            try settle(unit)
            guard let limit = state.budget[unit] else { continue }
            // What the ending holds beyond a lowered limit would be spent beyond it without an overrun.
            let beyond = -state.balance(.grant)[unit] - limit - state.balance(.overrun)[unit]
            try move(min(max(0, beyond), state.balance(.ending)[unit]), unit, .ending, .grant)
        }
        let still = state.unitsAtWarning
        state.warned = state.warned.filter { still.contains($0) }
    }

    private mutating func inherit(_ position: Step, _ costs: Costs) throws(LedgerRefusal) {
        guard state.position == 0, state.leases.isEmpty else { throw .hasPast }
        try require(costs, isEnding: false)
        for unit in BudgetUnit.allCases { _ = try draw(costs[unit], unit, into: .covered, isEnding: false) }
        state.covered = [LedgerState.Segment(first: 1, last: position, costs: costs)]
        state.position = position
    }

    private mutating func setAside(_ wanted: Costs) throws(LedgerRefusal) {
        for unit in BudgetUnit.allCases where isLimited(unit) {
            let held = state.balance(.ending)[unit]
            if wanted[unit] > held {
                try move(min(wanted[unit] - held, state.balance(.available)[unit]), unit, .available, .ending)
            } else {
                try move(held - wanted[unit], unit, .ending, .available)
                try settle(unit)
            }
        }
    }

    // MARK: Leases

    private mutating func reserve(
        _ lease: UInt64, _ steps: ClosedRange<Step>, _ cost: Costs, _ isEnding: Bool
    ) throws(LedgerRefusal) {
        let isOpen = state.leases.contains { $0.number == lease }
        if isOpen || state.presumptions.contains(where: { $0.lease == lease }) { throw .leaseExists(lease) }
        try require(cost, isEnding: isEnding)
        for unit in BudgetUnit.allCases { _ = try draw(cost[unit], unit, into: .reserved, isEnding: isEnding) }
        state.leases.append(Ledger.Lease(number: lease, steps: steps, remaining: cost, isEnding: isEnding))
    }

    private mutating func removeLease(_ lease: UInt64) throws(LedgerRefusal) -> Ledger.Lease {
        guard let index = state.leases.firstIndex(where: { $0.number == lease }) else { throw .unknownLease(lease) }
        return state.leases.remove(at: index)
    }

    private mutating func charge(
        _ number: UInt64, _ step: Step, _ cost: Costs, _ overhead: Costs
    ) throws(LedgerRefusal) {
        guard let index = state.leases.firstIndex(where: { $0.number == number }) else { throw .unknownLease(number) }
        guard step == state.position + 1, state.leases[index].steps.contains(step) else {
            throw .stepOutOfOrder(expected: state.position + 1, got: step)
        }
        var booked = Costs.zero
        for unit in BudgetUnit.allCases {
            if unit.isExact, cost[unit] > state.leases[index].remaining[unit] { throw .exceedsReservation(unit) }
            booked[unit] = try pay(cost[unit], unit, .atRisk, index)
            _ = try pay(overhead[unit], unit, .overhead, index)
        }
        state.atRisk.append(LedgerState.Segment(first: step, last: step, costs: booked))
        state.position = step
        if state.atRisk.count == Self.segmentLimit { try mergeOldest() }
    }

    /// Steps that are kept apart; what lies so far behind the newest is never gone back to between two checkpoints.
    private static let segmentLimit = 8192

    private mutating func mergeOldest() throws(LedgerRefusal) {
        let count = Self.segmentLimit / 2
        var sum = state.atRisk[0]
        for segment in state.atRisk[1..<count] {
            guard let costs = sum.costs.adding(segment.costs) else { throw .overflow }
            sum.costs = costs
        }
        sum.last = state.atRisk[count - 1].last
        state.atRisk.replaceSubrange(..<count, with: [sum])
    }

    /// Pays from a lease's reservation first; returns what reached `account`, the rest being overrun.
    private mutating func pay(
        _ amount: Int64, _ unit: BudgetUnit, _ account: Account, _ index: Int
    ) throws(LedgerRefusal) -> Int64 {
        let part = min(amount, state.leases[index].remaining[unit])
        try move(part, unit, .reserved, account)
        state.leases[index].remaining[unit] -= part
        let beyond = try draw(amount - part, unit, into: account, isEnding: state.leases[index].isEnding)
        return amount - beyond
    }

    private mutating func repeated(_ number: UInt64, _ cost: Costs) throws(LedgerRefusal) {
        guard let index = state.leases.firstIndex(where: { $0.number == number }) else { throw .unknownLease(number) }
        for unit in BudgetUnit.allCases { _ = try pay(cost[unit], unit, .lost, index) }
    }

    private mutating func spend(_ overhead: Costs, _ isEnding: Bool) throws(LedgerRefusal) {
        for unit in BudgetUnit.allCases {
            _ = try draw(overhead[unit], unit, into: .overhead, isEnding: isEnding)
        }
    }

    private mutating func expire(_ number: UInt64) throws(LedgerRefusal) {
        let lease = try removeLease(number)
        // The lineage did not move, so its steps and tokens are known to be unused.
        try refund(lease.remaining.exact, from: .reserved)
        let lost = lease.remaining.measured
        for unit in BudgetUnit.allCases { try move(lost[unit], unit, .reserved, .lost) }
        state.presumptions.append(LedgerState.Presumption(lease: number, lost: lost))
    }

    private mutating func reconcile(_ number: UInt64, _ used: Costs) throws(LedgerRefusal) {
        guard let index = state.presumptions.firstIndex(where: { $0.lease == number }) else {
            throw .unknownLease(number)
        }
        let lost = state.presumptions.remove(at: index).lost
        var back = Costs.zero
        for unit in BudgetUnit.allCases { back[unit] = max(0, lost[unit] - used[unit]) }
        try refund(back, from: .lost)
    }

    // MARK: Lineage

    private mutating func cover(_ step: Step) throws(LedgerRefusal) {
        guard step <= state.position else { throw .notABoundary(step) }
        let count = state.atRisk.prefix { $0.last <= step }.count
        guard count > 0 else { return }
        var sum = LedgerState.Segment(first: state.atRisk[0].first, last: step, costs: .zero)
        for segment in state.atRisk[..<count] {
            guard let costs = sum.costs.adding(segment.costs) else { throw .overflow }
            sum.costs = costs
        }
        state.atRisk.removeFirst(count)
        state.covered.append(sum)
        for unit in BudgetUnit.allCases { try move(sum.costs[unit], unit, .atRisk, .covered) }
    }

    private mutating func rewind(_ step: Step) throws(LedgerRefusal) {
        guard step <= state.position else { throw .notABoundary(step) }
        let kept = state.covered.prefix { $0.last <= step }
        let undone = state.covered.dropFirst(kept.count)
        if let first = undone.first, first.first <= step { throw .notABoundary(step) }
        state.covered = Array(kept)
        for segment in undone { try lose(segment.costs, from: .covered) }
        let keptAtRisk = state.atRisk.prefix { $0.last <= step }
        let lost = state.atRisk.dropFirst(keptAtRisk.count)
        state.atRisk = Array(keptAtRisk)
        for segment in lost { try lose(segment.costs, from: .atRisk) }
        state.position = step
    }

    /// Work beyond the lineage: measured units stay spent, exact ones count again.
    private mutating func lose(_ costs: Costs, from account: Account) throws(LedgerRefusal) {
        for unit in BudgetUnit.allCases where !unit.isExact { try move(costs[unit], unit, account, .lost) }
        try refund(costs.exact, from: account)
    }
}
