/// What a budget can limit; every amount is a whole number of the unit's smallest part.
///
/// The raw values are written into the ledger's entries: never renumber.
package enum BudgetUnit: UInt8, CaseIterable, Sendable, Comparable {
    /// Cores times time, in core-milliseconds.
    case coreTime = 0
    /// Time on the coordinator's boot clock while the job holds workers, in milliseconds.
    case wallClock = 1
    /// Input tokens of committed steps in the lineage, without padding.
    case tokens = 2
    /// Optimizer steps of the lineage.
    case steps = 3
    /// Energy in millijoules.
    case energy = 4
    /// Money in millionths of the budget's currency.
    case money = 5

    /// The name in the job file (`budget.…`) and in `drover budget show`.
    package var key: String {
        switch self {
        case .coreTime: "core_hours"
        case .wallClock: "wall_clock"
        case .tokens: "tokens"
        case .steps: "steps"
        case .energy: "energy"
        case .money: "money"
        }
    }

    /// True where the amount counts position in the lineage: known before the work, equal on every machine, and
    /// given back when a crash or a rewind moves the position back. The other units are measured and stay spent.
    package var isExact: Bool { self == .tokens || self == .steps }

    /// In the order of their raw values.
    package static func < (left: BudgetUnit, right: BudgetUnit) -> Bool { left.rawValue < right.rawValue }
}
