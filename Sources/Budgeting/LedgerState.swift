import Terms

/// What a ledger's entries add up to.
struct LedgerState: Sendable, Equatable {
    /// Steps `first...last` that were charged together: one step, or all between two checkpoints.
    struct Segment: Sendable, Equatable {
        var first: Step
        var last: Step
        var costs: Costs
    }

    /// A lease that ended without report, and what was taken for spent.
    struct Presumption: Sendable, Equatable {
        var lease: UInt64
        var lost: Costs
    }

    /// The limits in force.
    var budget: Budget
    /// By `Account.rawValue`.
    var balances = [Costs](repeating: .zero, count: Account.allCases.count)
    /// The last step charged in the lineage; 0 at first.
    var position: Step = 0
    /// Open leases in the order granted.
    var leases: [Ledger.Lease] = []
    /// Charged steps since the last checkpoint, in order.
    var atRisk: [Segment] = []
    /// Charged steps before, one segment a checkpoint, in order.
    var covered: [Segment] = []
    var presumptions: [Presumption] = []
    /// Units whose warning was given, in their order.
    var warned: [BudgetUnit] = []
    /// How the energy so far was found, in their order; none before the first line that says so.
    var energyMethods: [EnergyMethod] = []

    init(budget: Budget) { self.budget = budget }

    func balance(_ account: Account) -> Costs { balances[Int(account.rawValue)] }

    /// The sum of accounts, each part of the checked total of `grant`, so that it fits.
    private func sum(_ accounts: [Account]) -> Costs {
        var sum = Costs.zero
        for unit in BudgetUnit.allCases { for account in accounts { sum[unit] += balance(account)[unit] } }
        return sum
    }

    var spent: Costs { sum([.atRisk, .covered, .lost, .overhead, .overrun]) }
    var reserved: Costs { sum([.reserved, .ending]) }

    /// Takes note of how energy is found; what was spent before anybody said is modelled.
    mutating func note(_ method: EnergyMethod) {
        let isFirst = energyMethods.isEmpty && spent.energy > 0
        energyMethods = EnergyMethod.allCases.filter {
            $0 == method || energyMethods.contains($0) || (isFirst && $0 == .modelled)
        }
    }

    /// Limited units of which at least the budget's warning share is spent, in their order.
    var unitsAtWarning: [BudgetUnit] { budget.unitsAtWarning(spent) }

    /// What breaks the rules that hold after every event; nil when nothing does.
    var conservationFault: String? {
        var expected = [Costs](repeating: .zero, count: Account.allCases.count)
        for lease in leases { expected.add(lease.remaining, to: .reserved) }
        for segment in atRisk { expected.add(segment.costs, to: .atRisk) }
        for segment in covered { expected.add(segment.costs, to: .covered) }
        for unit in BudgetUnit.allCases {
            var total: Int64 = 0
            for account in Account.allCases {
                let amount = balance(account)[unit]
                total &+= amount
                if account != .grant, amount < 0 { return "\(account) of \(unit.key) is below 0" }
                let isSummed = [Account.reserved, .atRisk, .covered].contains(account)
                if isSummed, amount != expected[Int(account.rawValue)][unit] {
                    return "\(account) of \(unit.key) is not the sum of its parts"
                }
            }
            if total != 0 { return "the accounts of \(unit.key) do not add up to 0" }
            if unit.isExact, balance(.overrun)[unit] > 0 { return "the exact unit \(unit.key) is overrun" }
            guard let limit = budget[unit] else { continue }
            let granted = -balance(.grant)[unit]
            if granted < limit { return "less \(unit.key) is granted than the limit" }
            // After an overrun or a lowered limit more may be granted, but then nothing of it is left to reserve.
            if granted > limit, balance(.available)[unit] > 0 { return "\(unit.key) is left above its limit" }
        }
        let steps = (covered + atRisk).reduce(0) { $0 + $1.last - $1.first + 1 }
        return steps == position ? nil : "the charged steps do not lead to step \(position)"
    }
}

extension [Costs] {
    /// Adds to the sum of an account; for checking only.
    fileprivate mutating func add(_ costs: Costs, to account: Account) {
        for unit in BudgetUnit.allCases { self[Int(account.rawValue)][unit] &+= costs[unit] }
    }
}
