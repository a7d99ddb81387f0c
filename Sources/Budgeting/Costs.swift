/// One amount for each budget unit, in the unit's smallest part; arithmetic is checked, never wraps.
package struct Costs: Sendable, Hashable, CustomStringConvertible {
    /// Core-milliseconds.
    package var coreTime: Int64
    /// Milliseconds.
    package var wallClock: Int64
    /// Input tokens.
    package var tokens: Int64
    /// Optimizer steps.
    package var steps: Int64
    /// Millijoules.
    package var energy: Int64
    /// Millionths of the currency.
    package var money: Int64

    /// A vector of the amounts named, the others 0.
    package init(
        coreTime: Int64 = 0, wallClock: Int64 = 0, tokens: Int64 = 0, steps: Int64 = 0, energy: Int64 = 0,
        money: Int64 = 0
    ) {
        self.coreTime = coreTime
        self.wallClock = wallClock
        self.tokens = tokens
        self.steps = steps
        self.energy = energy
        self.money = money
    }

    /// All amounts 0.
    package static let zero = Costs()

    /// The amount of one unit.
    package subscript(unit: BudgetUnit) -> Int64 {
        get {
            switch unit {
            case .coreTime: coreTime
            case .wallClock: wallClock
            case .tokens: tokens
            case .steps: steps
            case .energy: energy
            case .money: money
            }
        }
        set {
            switch unit {
            case .coreTime: coreTime = newValue
            case .wallClock: wallClock = newValue
            case .tokens: tokens = newValue
            case .steps: steps = newValue
            case .energy: energy = newValue
            case .money: money = newValue
            }
        }
    }

    /// True when no amount is below 0.
    package var isNonNegative: Bool { BudgetUnit.allCases.allSatisfy { self[$0] >= 0 } }

    /// The sum unit by unit; nil when one does not fit 64 bits.
    package func adding(_ other: Costs) -> Costs? { combined(other) { $0.addingReportingOverflow($1) } }

    /// The difference unit by unit (may be negative); nil when one does not fit 64 bits.
    package func subtracting(_ other: Costs) -> Costs? { combined(other) { $0.subtractingReportingOverflow($1) } }

    /// Each amount times `count`; nil when one does not fit 64 bits.
    package func multiplied(by count: Int64) -> Costs? {
        combined(self) { amount, _ in amount.multipliedReportingOverflow(by: count) }
    }

    /// The measured amounts kept, the exact ones (tokens, steps) set to 0.
    package var measured: Costs { selected { !$0.isExact } }

    /// The exact amounts (tokens, steps) kept, the measured ones set to 0.
    package var exact: Costs { selected { $0.isExact } }

    /// The amounts of `unit`s that `isWanted`, the others 0.
    private func selected(_ isWanted: (BudgetUnit) -> Bool) -> Costs {
        var result = Costs.zero
        for unit in BudgetUnit.allCases where isWanted(unit) { result[unit] = self[unit] }
        return result
    }

    private func combined(
        _ other: Costs, _ operation: (Int64, Int64) -> (partialValue: Int64, overflow: Bool)
    ) -> Costs? {
        var result = Costs.zero
        for unit in BudgetUnit.allCases {
            let (value, overflow) = operation(self[unit], other[unit])
            if overflow { return nil }
            result[unit] = value
        }
        return result
    }

    /// The amounts that are not 0, for messages and test failures.
    package var description: String {
        let parts = BudgetUnit.allCases.filter { self[$0] != 0 }.map { "\($0.key) \(self[$0])" }
        return parts.isEmpty ? "nothing" : parts.joined(separator: ", ")
    }
}
