package import Budgeting

/// The value of one key, read and checked.
package enum JobValue: Sendable, Hashable {
    /// Not given and without default, or not applicable (`lora_rank` of a full job).
    case null
    case bool(Bool)
    case integer(Int64)
    /// Finite.
    case number(Double)
    /// Text, a path, or one of a key's words.
    case text(String)
    /// Milliseconds, above 0.
    case duration(Int64)
    /// A budget limit.
    case amount(Quantity)
    /// Names, each once, in the order written.
    case names([String])
    case datasets([JobDataset])
}

/// The numbers a key takes.
package struct NumberRange: Sendable, Hashable {
    /// The least value, or the one all others are above.
    package var lower: Double
    /// The greatest value, or the one all others are below; may be infinite.
    package var upper: Double
    /// Whether `lower` itself belongs to the range.
    package var includesLower: Bool
    /// Whether `upper` itself belongs to the range.
    package var includesUpper: Bool

    /// From `lower` to `upper`, which both belong to it.
    package static func closed(_ lower: Double, _ upper: Double) -> NumberRange {
        NumberRange(lower: lower, upper: upper, includesLower: true, includesUpper: true)
    }
    /// From `lower`, which belongs to it, up to but not `upper`.
    package static func halfOpen(_ lower: Double, _ upper: Double) -> NumberRange {
        NumberRange(lower: lower, upper: upper, includesLower: true, includesUpper: false)
    }
    /// All finite numbers above 0.
    package static let positive = NumberRange(
        lower: 0, upper: .infinity, includesLower: false, includesUpper: false)
    /// All finite numbers from 0.
    package static let nonNegative = halfOpen(0, .infinity)

    /// True when `value` belongs to the range.
    package func contains(_ value: Double) -> Bool {
        (includesLower ? value >= lower : value > lower) && (includesUpper ? value <= upper : value < upper)
    }

    /// `a number above 0`, `a number from 0 to 1`.
    package var description: String {
        let start = includesLower ? "from \(Self.short(lower))" : "above \(Self.short(lower))"
        if upper == .infinity { return "a number \(start)" + (includesLower ? " up" : "") }
        return "a number \(start) " + (includesUpper ? "to" : "up to but not") + " \(Self.short(upper))"
    }

    private static func short(_ value: Double) -> String { Int64(exactly: value).map(String.init) ?? "\(value)" }
}

/// What a key takes.
package enum JobKind: Sendable, Hashable {
    /// One line of text, not empty.
    case text
    /// A name that can be a folder's: no slash, no dot in front.
    case name
    /// A path, not empty.
    case path
    case bool
    case integer(ClosedRange<Int64>)
    /// A whole number from 1, with K, M or G.
    case count
    case number(NumberRange)
    /// One of the words.
    case choice([String])
    /// A time with unit.
    case duration
    /// A budget limit of this unit.
    case amount(BudgetUnit)
    /// One name or more.
    case names
    /// One or more of the words.
    case choices([String])
    /// The list of data files.
    case datasets

    /// What the key takes, for messages and documentation.
    package var description: String {
        switch self {
        case .text: "text"
        case .name: "a name"
        case .path: "a path"
        case .bool: "true or false"
        case .integer(let range):
            range.upperBound == .max
                ? "a whole number from \(range.lowerBound)"
                : "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .count: "a whole number from 1, such as 2000 or 50M"
        case .number(let range): range.description
        case .choice(let words): words.joined(separator: ", ")
        case .duration: "a time with unit, such as 20m or 36h"
        case .amount(.coreTime): "core-hours, such as 400 or 400 core-h"
        case .amount(.wallClock): "a time with unit, such as 36h"
        case .amount(.tokens), .amount(.steps): "a whole number from 1, such as 2000 or 50M"
        case .amount(.energy): "an energy, such as 12 kWh"
        case .amount(.money): "an amount of money, such as 60 EUR"
        case .names: "a list of names"
        case .choices(let words): "a list of: " + words.joined(separator: ", ")
        case .datasets: "a list of data files, each '- path: …'"
        }
    }
}
