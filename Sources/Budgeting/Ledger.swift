package import Terms

/// What a job may still spend, what it has spent, and on what: append-only double entry in whole numbers.
///
/// A lease reserves its worst case before work starts, a committed step charges the actual, the rest goes back. In
/// exact units (steps, tokens) nothing can be overspent, because a reservation that does not fit is refused. In
/// measured units a lease's worst case is reserved, so that only a worker that does not obey can overspend; what it
/// does is posted to `overrun` and made up for by later refunds.
///
/// Of a unit without limit, amounts come from `grant` as they are needed, so that the same accounts hold for all.
///
/// - Invariants (`conservationFault`): all accounts together are 0; none but `grant` is below 0; `reserved` is the sum
///   of the open leases, `atRisk` of the steps since the last checkpoint, `covered` of those before.
/// - Goal: the same events give the same ledger, bit for bit, anywhere. Non-goal: several levels (project, cluster).
package struct Ledger: Sendable, Equatable {
    /// An open lease.
    package struct Lease: Sendable, Equatable {
        /// As its coordinator numbered it.
        package var number: UInt64
        /// The steps it may run.
        package var steps: ClosedRange<Step>
        /// Reserved and not yet used.
        package var remaining: Costs
        /// Whether it may draw on the ending's reserve.
        package var isEnding: Bool
    }

    var state: LedgerState
    /// Entries since the last `forget()`, oldest first.
    package internal(set) var entries: [LedgerEntry] = []
    /// Chain digests of the first `digests.count` entries kept.
    package internal(set) var digests: [Digest] = []
    /// Postings of all entries ever.
    package internal(set) var postingsCount = 0
    /// Entries that were forgotten, and the digest of the last of them.
    var forgotten: UInt64 = 0
    var forgottenDigest: Digest?

    /// A ledger that grants `budget`; `at` in milliseconds is only recorded.
    package init(_ budget: Budget, at: Int64) {
        state = LedgerState(budget: budget)
        let refusal = apply(.limited(budget), at: at)
        precondition(refusal == nil, "the first limits of a ledger always fit")
    }

    /// A ledger whose entries so far are not kept.
    init(_ state: LedgerState, forgotten: UInt64, digest: Digest?, postings: Int) {
        self.state = state
        self.forgotten = forgotten
        forgottenDigest = digest
        postingsCount = postings
    }

    /// The only way in: changes the ledger by one event and writes its entry, or refuses and changes nothing.
    package mutating func apply(_ event: LedgerEvent, at: Int64) -> LedgerRefusal? {
        precondition(event.isWellFormed, "a ledger is told of amounts from 0 and of leases for their own steps")
        var draft = LedgerDraft(state: state)
        if let refusal = draft.take(event) { return refusal }
        let sequence = forgotten + UInt64(entries.count) + 1
        entries.append(LedgerEntry(sequence: sequence, at: at, event: event, postings: draft.postings))
        postingsCount += draft.postings.count
        state = draft.state
        return nil
    }

    /// The limits in force.
    package var budget: Budget { state.budget }
    /// The last step charged in the lineage; 0 at first.
    package var position: Step { state.position }
    /// Open leases in the order granted.
    package var leases: [Lease] { state.leases }
    /// What an account holds; `grant` shows minus what was granted.
    package func balance(_ account: Account) -> Costs { state.balance(account) }
    /// Everything that is gone, lost work, overhead and overrun included.
    package var spent: Costs { state.spent }
    /// How the energy spent was found, in their order; none = modelled, like all of it.
    package var energyMethods: [EnergyMethod] { state.energyMethods }
    /// Promised to leases or set aside for the ending.
    package var reserved: Costs { state.reserved }
    /// Limited units of which at least the budget's warning share is spent, in their order.
    package var unitsAtWarning: [BudgetUnit] { state.unitsAtWarning }
    /// Units that have reached the warning level since the last `.warned`, in their order.
    package var newWarnings: [BudgetUnit] { state.unitsAtWarning.filter { !state.warned.contains($0) } }
    /// What breaks the invariants; nil when nothing does, which is after every event.
    package var conservationFault: String? { state.conservationFault }
}

extension Ledger {
    /// Reserves a lease's worst case; `cost.steps` is the number of its steps.
    package mutating func reserve(
        lease: UInt64, steps: ClosedRange<Step>, cost: Costs, isEnding: Bool = false, at: Int64
    ) -> LedgerRefusal? {
        apply(.reserved(lease: lease, steps: steps, cost: cost, isEnding: isEnding), at: at)
    }

    /// Charges a committed step; `cost.steps` is 1.
    package mutating func charge(
        step: Step, lease: UInt64, cost: Costs, overhead: Costs = .zero, at: Int64
    ) -> LedgerRefusal? {
        apply(.charged(lease: lease, step: step, cost: cost, overhead: overhead), at: at)
    }

    /// Ends a lease and gives back what it did not use.
    package mutating func close(lease: UInt64, at: Int64) -> LedgerRefusal? { apply(.closed(lease: lease), at: at) }

    /// Raises the limit of one unit.
    package mutating func topUp(_ quantity: Quantity, at: Int64) -> LedgerRefusal? {
        guard let limit = budget[quantity.unit] else { return .unlimited(quantity.unit) }
        if quantity.unit == .money, quantity.currency != budget.currency { return .otherCurrency }
        let (sum, overflow) = limit.addingReportingOverflow(quantity.amount)
        if overflow { return .overflow }
        var raised = budget
        raised[quantity.unit] = sum
        return apply(.limited(raised), at: at)
    }

    /// Sets aside what the ending needs, as far as it is available; returns what is lacking of limited units.
    package mutating func setEndingReserve(_ wanted: Costs, at: Int64) -> Costs {
        let refusal = apply(.endingReserved(wanted), at: at)
        precondition(refusal == nil, "moving what is available always fits")
        var lacking = Costs.zero
        for unit in BudgetUnit.allCases where budget[unit] != nil {
            lacking[unit] = max(0, wanted[unit] - balance(.ending)[unit])
        }
        return lacking
    }

    /// Units that have reached the warning level since the last call, in their order; the call is on record.
    package mutating func takeWarnings(at: Int64) -> [BudgetUnit] {
        let new = unitsAtWarning.filter { !state.warned.contains($0) }
        if !new.isEmpty { _ = apply(.warned(new), at: at) }
        return new
    }

    /// How many more steps each limited unit allows beyond the ending's reserve, and the unit that allows the fewest.
    ///
    /// - Parameter perStep: what a step costs; units at 0 do not count.
    /// - Returns: nil when nothing limits; of equals, the first unit.
    package func affordableSteps(perStep: Costs) -> (steps: Int64, limitedBy: BudgetUnit)? {
        var least: (steps: Int64, limitedBy: BudgetUnit)?
        for unit in BudgetUnit.allCases where budget[unit] != nil && perStep[unit] > 0 {
            let steps = balance(.available)[unit] / perStep[unit]
            if steps < least?.steps ?? .max { least = (steps, unit) }
        }
        return least
    }
}
