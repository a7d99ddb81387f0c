extension Quantity {
    /// The amount as the job file writes it; `parse(_:as:)` reads it back to the same amount.
    package var text: String {
        switch unit {
        case .coreTime:
            Self.exact(amount, per: 3_600_000, places: 6).map { "\($0) core-h" }
                ?? "\(Self.decimal(amount, places: 3)) core-s"
        case .wallClock: Self.durationText(amount)
        case .tokens, .steps: String(amount)
        case .energy:
            Self.exact(amount, per: 3_600_000_000, places: 6).map { "\($0) kWh" }
                ?? "\(Self.decimal(amount, places: 3)) J"
        case .money: Self.decimal(amount, places: 6) + " " + (currency ?? "XXX")
        }
    }

    /// Milliseconds as `1d12h`, `20m`, `1.5s`; reads back to the same milliseconds.
    package static func durationText(_ milliseconds: Int64) -> String {
        precondition(milliseconds > 0, "a duration is above 0")
        var rest = milliseconds
        var text = ""
        for (suffix, factor) in timeUnits.dropLast() {
            let (count, remainder) = rest.quotientAndRemainder(dividingBy: Int64(factor))
            // Days only when whole, since people think of a job as 36h rather than 1d12h.
            if count == 0 || (suffix == "d" && remainder != 0) { continue }
            text += "\(count)\(suffix)"
            rest = remainder
        }
        return rest == 0 ? text : text + decimal(rest, places: 3) + "s"
    }

    /// The amount in display units: core-hours, seconds, tokens, steps, kilowatt-hours, units of the currency.
    package static func displayed(_ amount: Int64, of unit: BudgetUnit) -> Double {
        switch unit {
        case .coreTime: Double(amount) / 3.6e6
        case .wallClock: Double(amount) / 1e3
        case .tokens, .steps: Double(amount)
        case .energy: Double(amount) / 3.6e9
        case .money: Double(amount) / 1e6
        }
    }

    /// `amount / unit` as a decimal with at most `places` digits behind the point; nil unless that is exact.
    private static func exact(_ amount: Int64, per unit: Int64, places: Int) -> String? {
        let (whole, remainder) = amount.quotientAndRemainder(dividingBy: unit)
        let scale = (0..<places).reduce(Int64(1)) { product, _ in product * 10 }
        let (part, isTooFine) = (remainder * scale).quotientAndRemainder(dividingBy: unit)
        guard isTooFine == 0 else { return nil }
        return join(whole, part, places: places)
    }

    /// `amount · 10^-places` as a decimal without trailing zeros.
    private static func decimal(_ amount: Int64, places: Int) -> String {
        let scale = (0..<places).reduce(Int64(1)) { product, _ in product * 10 }
        let (whole, part) = amount.quotientAndRemainder(dividingBy: scale)
        return join(whole, part, places: places)
    }

    private static func join(_ whole: Int64, _ part: Int64, places: Int) -> String {
        if part == 0 { return String(whole) }
        var digits = String(part)
        digits = String(repeating: "0", count: places - digits.count) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        return "\(whole).\(digits)"
    }
}
