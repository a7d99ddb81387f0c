import Budgeting
import Foundation

/// Amounts for people: so many digits that count, however small the amount is, and the unit that leaves a handy number.
enum Amount {
    /// - Parameters:
    ///   - value: in display units, as `Quantity.displayed` gives it.
    ///   - digits: that count.
    static func text(_ value: Double, of unit: BudgetUnit, currency: String? = nil, digits: Int = 3) -> String {
        func figure(_ value: Double, _ name: String) -> String { "\(significant(value, digits)) \(name)" }
        switch unit {
        case .steps, .tokens: return LiveView.decimals(value, 0)
        case .coreTime: return value < 0.01 ? figure(value * 3600, "core-s") : figure(value, "core-h")
        case .wallClock:
            if value < 60 { return figure(value, "s") }
            return value < 3600 ? figure(value / 60, "min") : figure(value / 3600, "h")
        case .energy: return value < 1 ? figure(value * 1000, "Wh") : figure(value, "kWh")
        case .money: return significant(value, digits) + (currency.map { " \($0)" } ?? "")
        }
    }

    /// Two amounts that differ, with as many digits as show that.
    static func texts(_ one: Double, _ other: Double, of unit: BudgetUnit, currency: String?) -> (String, String) {
        func pair(_ digits: Int) -> (String, String) {
            (
                text(one, of: unit, currency: currency, digits: digits),
                text(other, of: unit, currency: currency, digits: digits)
            )
        }
        let telling = (3...15).first { digits in
            let (first, second) = pair(digits)
            return first != second
        }
        return pair(telling ?? 15)
    }

    /// So many digits that count, without an exponent: 1234 → 1234, 12.345 → 12.3, 0.00012345 → 0.000123.
    static func significant(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite, value != 0 else { return "0" }
        let magnitude = Int(log10(abs(value)).rounded(.down))
        return LiveView.decimals(value, min(15, max(0, digits - 1 - magnitude)))
    }
}
