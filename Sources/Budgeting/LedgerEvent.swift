package import Terms

/// Where amounts stand; every posting moves one from an account to another, so that all accounts together stay 0.
///
/// ```
/// grant ──> available ──> reserved ──> at risk ──> covered
///             │  ▲           │            │          │
///             ▼  └─ refund ──┤            └──> lost <─┘
///           ending           └──> overhead
/// ```
/// The raw values are written into the ledger's entries: never renumber.
package enum Account: UInt8, CaseIterable, Sendable {
    /// The source: minus what has been granted.
    case grant = 0
    /// May be reserved by a lease; of limited units only.
    case available = 1
    /// Set aside for the anneal, the last checkpoint and its verification.
    case ending = 2
    /// Promised to open leases.
    case reserved = 3
    /// Charged for steps that no checkpoint covers yet.
    case atRisk = 4
    /// Charged for steps within a committed, verified checkpoint.
    case covered = 5
    /// Charged for work that was lost, or done twice: it stays spent.
    case lost = 6
    /// Charged for restoring, saving and waiting.
    case overhead = 7
    /// Spent above the limit by workers that did not keep to their reservation.
    case overrun = 8
}

/// One movement between two accounts.
package struct Posting: Sendable, Hashable {
    /// Where the amount stood.
    package var from: Account
    /// Where it stands now.
    package var to: Account
    /// What is moved.
    package var unit: BudgetUnit
    /// Above 0, in the unit's smallest part.
    package var amount: Int64

    /// A movement of `amount` of `unit`.
    package init(from: Account, to: Account, unit: BudgetUnit, amount: Int64) {
        self.from = from
        self.to = to
        self.unit = unit
        self.amount = amount
    }
}

/// What a ledger is told; each event that is accepted becomes one entry with its postings.
package enum LedgerEvent: Sendable, Hashable {
    /// The limits from now on: the first ones, a top-up, or lower ones.
    case limited(Budget)
    /// A branch's past: its state after `position` was computed by another job, whose exact units count here too.
    case inherited(position: Step, costs: Costs)
    /// What is to be set aside for the ending, as far as it is available.
    case endingReserved(Costs)
    /// A lease for `steps` with its worst case; `isEnding` may draw on what was set aside for the ending.
    case reserved(lease: UInt64, steps: ClosedRange<Step>, cost: Costs, isEnding: Bool)
    /// A committed step's actual cost, and what its workers' waiting cost.
    case charged(lease: UInt64, step: Step, cost: Costs, overhead: Costs)
    /// Work outside of leases: restoring, saving, verifying; measured units only.
    case spent(overhead: Costs, isEnding: Bool)
    /// Work under a lease that was done twice at once, so that it was done sooner; measured units only.
    case repeated(lease: UInt64, cost: Costs)
    /// A lease's regular end: what it did not use goes back.
    case closed(lease: UInt64)
    /// A lease's end without report: the worst case is taken for spent.
    case expired(lease: UInt64)
    /// What an expired lease really used, told afterwards: the rest of what was taken for spent goes back.
    case reconciled(lease: UInt64, used: Costs)
    /// A checkpoint of the state after this step is committed and verified.
    case covered(through: Step)
    /// The lineage goes on from the state after this step: later work is lost, its steps and tokens count again.
    case rewound(to: Step)
    /// Units that reached the warning level.
    case warned([BudgetUnit])
    /// Energy from here on was found this way as well; without such a line it is modelled.
    case metered(EnergyMethod)
}

extension LedgerEvent {
    /// False for what no caller that is right ever says: amounts below 0, a lease that does not reserve its own steps.
    package var isWellFormed: Bool {
        switch self {
        case .limited, .closed, .expired, .warned, .metered: true
        case .inherited(let position, let costs):
            position >= 1 && costs.steps == Int64(position) && costs.isNonNegative && costs.measured == .zero
        case .endingReserved(let costs): costs.isNonNegative
        case .reserved(_, let steps, let cost, _):
            steps.lowerBound >= 1 && cost.isNonNegative && cost.steps > 0
                && steps.upperBound - steps.lowerBound == cost.steps - 1
        case .charged(_, let step, let cost, let overhead):
            step >= 1 && cost.isNonNegative && cost.steps == 1 && overhead.isNonNegative && overhead.exact == .zero
        case .spent(let overhead, _): overhead.isNonNegative && overhead.exact == .zero
        case .repeated(_, let cost): cost.isNonNegative && cost.exact == .zero
        case .reconciled(_, let used): used.isNonNegative
        case .covered(let step), .rewound(let step): step >= 0
        }
    }
}

/// Why a ledger does not take an event; nothing has changed then.
package enum LedgerRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// These units have not enough left, in their order.
    case exceedsBudget([BudgetUnit])
    /// A step wants more of an exact unit than its lease reserved.
    case exceedsReservation(BudgetUnit)
    case leaseExists(UInt64)
    case unknownLease(UInt64)
    /// A step is charged once and in order; also when it is not within the lease.
    case stepOutOfOrder(expected: Step, got: Step)
    /// Checkpoints cover no boundary after this step, so the work beyond it cannot be told apart.
    case notABoundary(Step)
    /// The unit has no limit that could be raised.
    case unlimited(BudgetUnit)
    /// A past is inherited once, before any work.
    case hasPast
    /// Limits in another currency than the one that was spent.
    case otherCurrency
    /// An amount that no longer fits 64 bits.
    case overflow

    /// The reason in words, for people.
    package var description: String {
        switch self {
        case .exceedsBudget(let units):
            "the budget has not enough left of \(units.map(\.key).joined(separator: ", "))"
        case .exceedsReservation(let unit): "the step takes more \(unit.key) than its lease reserved"
        case .leaseExists(let lease): "lease \(lease) is in the ledger already"
        case .unknownLease(let lease): "lease \(lease) is not open in the ledger"
        case .stepOutOfOrder(let expected, let got): "step \(got) cannot be charged, step \(expected) is next"
        case .notABoundary(let step): "no checkpoint boundary lies after step \(step)"
        case .unlimited(let unit): "\(unit.key) has no limit, so there is none to raise"
        case .hasPast: "a job inherits a past before any work of its own, and once"
        case .otherCurrency: "money was spent in another currency"
        case .overflow: "an amount no longer fits 64 bits"
        }
    }
}

/// One line of the ledger: an event and the movements it made.
package struct LedgerEntry: Sendable, Hashable {
    /// From 1, without gaps.
    package var sequence: UInt64
    /// The coordinator's time, in milliseconds; only recorded, never decided by.
    package var at: Int64
    /// What the ledger was told.
    package var event: LedgerEvent
    /// In the order made; empty where an event only records.
    package var postings: [Posting]

    /// A line of the ledger.
    package init(sequence: UInt64, at: Int64, event: LedgerEvent, postings: [Posting]) {
        self.sequence = sequence
        self.at = at
        self.event = event
        self.postings = postings
    }
}
