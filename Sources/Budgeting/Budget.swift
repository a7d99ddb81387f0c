/// What a job may spend: an optional limit for each unit; the first limit reached rules.
package struct Budget: Sendable, Hashable {
    /// Limits by `BudgetUnit.rawValue`; nil = unlimited.
    private var limits: [Int64?]

    /// ISO 4217 code of `money`, for instance `EUR`; nil while no money is named.
    package var currency: String?

    /// Share of a limit at which the job warns and plans anew, in millionths, in `1...1_000_000`.
    package var warnAt: Int64

    /// The warning level when the job file names none.
    package static let defaultWarnAt: Int64 = 800_000

    /// A budget without limits.
    package init(currency: String? = nil, warnAt: Int64 = Budget.defaultWarnAt) {
        precondition((1...1_000_000).contains(warnAt), "a warning level is a share in millionths, 1...1000000")
        limits = [Int64?](repeating: nil, count: BudgetUnit.allCases.count)
        self.currency = currency
        self.warnAt = warnAt
    }

    /// The limit of one unit in its smallest part, above 0; nil = unlimited.
    package subscript(unit: BudgetUnit) -> Int64? {
        get { limits[Int(unit.rawValue)] }
        set {
            precondition(newValue.map { $0 > 0 } ?? true, "a budget limit must be above 0")
            limits[Int(unit.rawValue)] = newValue
        }
    }

    /// Limited units of which at least the warning share is spent, in their order.
    package func unitsAtWarning(_ spent: Costs) -> [BudgetUnit] {
        BudgetUnit.allCases.filter { unit in
            guard let limit = self[unit] else { return false }
            let level = limit.multipliedFullWidth(by: warnAt)
            let reached = spent[unit].multipliedFullWidth(by: 1_000_000)
            return (reached.high, reached.low) >= (level.high, level.low)
        }
    }

    /// True when no unit has a limit.
    package var isUnlimited: Bool { limits.allSatisfy { $0 == nil } }
}
