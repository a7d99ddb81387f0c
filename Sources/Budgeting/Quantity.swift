/// Why a text is no amount; the sentence says what to write instead.
package struct QuantityFault: Error, Equatable, CustomStringConvertible {
    /// One sentence, no full stop.
    package let sentence: String
    /// The sentence.
    package var description: String { sentence }
}

/// An amount in the smallest part of its unit.
package struct Quantity: Sendable, Hashable {
    /// What is measured.
    package var unit: BudgetUnit
    /// In the unit's smallest part, above 0.
    package var amount: Int64
    /// Three capital letters; set for `money` only.
    package var currency: String?

    /// An amount of `unit`.
    package init(unit: BudgetUnit, amount: Int64, currency: String? = nil) {
        self.unit = unit
        self.amount = amount
        self.currency = currency
    }

    /// Reads an amount of a known unit, as the job file writes it.
    ///
    /// `coreTime`: `400`, `400 core-h` (also `core-m`, `core-s`, `core-d`) · `wallClock`: `36h`, `1h30m` · `tokens`,
    /// `steps`: `2000`, `50M` · `energy`: `12 kWh` · `money`: `60 EUR`. Parts below the smallest are cut off, so that a
    /// budget never grows by rounding.
    package static func parse(_ text: String, as unit: BudgetUnit) -> Result<Quantity, QuantityFault> {
        switch unit {
        case .coreTime: scaled(text, unit, coreUnits, bare: coreUnits[0].factor, example: "400 or 400 core-h")
        case .wallClock: duration(text).map { Quantity(unit: unit, amount: $0) }
        case .tokens, .steps: count(text).map { Quantity(unit: unit, amount: $0) }
        case .energy: scaled(text, unit, energyUnits, bare: nil, example: "12 kWh")
        case .money: money(text)
        }
    }

    /// Reads an amount that names its unit itself, as `drover budget add` takes it: `200core-h`, `36h`, `5M tokens`,
    /// `500 steps`, `12 kWh`, `60 EUR`.
    package static func parse(_ text: String) -> Result<Quantity, QuantityFault> {
        for (suffix, unit) in [("tokens", BudgetUnit.tokens), ("token", .tokens), ("steps", .steps), ("step", .steps)]
        where text.hasSuffix(suffix) {
            var count = text.dropLast(suffix.count)
            while count.last == " " { count.removeLast() }
            return parse(String(count), as: unit)
        }
        guard let (_, suffix) = split(text) else { return .failure(noNumber(text, example: anyExample)) }
        if suffix.isEmpty {
            return .failure(QuantityFault(sentence: "'\(text)' names no unit; write \(anyExample)"))
        }
        if coreUnits.contains(where: { $0.suffix == suffix }) { return parse(text, as: .coreTime) }
        if energyUnits.contains(where: { $0.suffix == suffix }) { return parse(text, as: .energy) }
        if isCurrency(suffix) { return parse(text, as: .money) }
        return duration(text).map { Quantity(unit: .wallClock, amount: $0) }
            .mapError { _ in QuantityFault(sentence: "'\(text)' names no unit known here; write \(anyExample)") }
    }

    private static let anyExample = "for instance 200core-h, 36h, 5M tokens, 500 steps, 12 kWh or 60 EUR"

    /// Core-milliseconds to one of each, biggest unit in use first.
    static let coreUnits: [(suffix: String, factor: UInt64)] = [
        ("core-h", 3_600_000), ("core-hours", 3_600_000), ("core-hour", 3_600_000), ("core-s", 1_000),
        ("core-m", 60_000), ("core-d", 86_400_000),
    ]

    /// Millijoules to one of each.
    static let energyUnits: [(suffix: String, factor: UInt64)] = [
        ("kWh", 3_600_000_000), ("Wh", 3_600_000), ("MWh", 3_600_000_000_000), ("J", 1_000), ("kJ", 1_000_000),
        ("MJ", 1_000_000_000),
    ]

    /// Milliseconds to one of each, in the order in which a duration names them.
    static let timeUnits: [(suffix: String, factor: UInt64)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000),
    ]

    private static let sizeUnits: [(suffix: String, factor: UInt64)] = [
        ("", 1), ("K", 1_000), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000),
    ]
}

extension Quantity {
    /// The longest duration, a hundred years: in milliseconds, and also in nanoseconds it fits 64 bits.
    private static let longest: Int64 = 36_525 * 86_400_000

    /// A duration such as `20m`, `36h`, `1h30m`, `1.5 h`, `2d`: milliseconds, at least 1, at most a hundred years.
    package static func duration(_ text: String) -> Result<Int64, QuantityFault> {
        var rest = text[...].utf8
        var total: Int64 = 0
        var nextUnit = 0
        repeat {
            guard let number = DecimalText(takingFrom: &rest) else {
                return .failure(noNumber(text, at: rest, example: "20m, 36h or 1h30m"))
            }
            skipSpaces(&rest)
            let letters = rest.prefix { !(0x30...0x39).contains($0) && $0 != 0x20 && $0 != UInt8(ascii: ".") }
            rest = rest.dropFirst(letters.count)
            skipSpaces(&rest)
            let suffix = String(decoding: letters, as: UTF8.self)
            if suffix.isEmpty {
                let written = text.filter { $0 != " " }
                return .failure(
                    QuantityFault(
                        sentence: "'\(text)' has no unit; write \(written)s, \(written)m, \(written)h or \(written)d"))
            }
            guard let index = timeUnits.firstIndex(where: { $0.suffix == suffix }) else {
                return .failure(
                    QuantityFault(
                        sentence: "'\(suffix)' is no unit of time; use s, m, h or d, for instance 20m or 1h30m"))
            }
            guard index >= nextUnit else {
                let sentence = "'\(text)' names its units out of order; write for instance 1h30m"
                return .failure(QuantityFault(sentence: sentence))
            }
            nextUnit = index + 1
            guard let part = number.scaled(by: timeUnits[index].factor)?.amount else { return .failure(tooLarge(text)) }
            let (sum, overflow) = total.addingReportingOverflow(part)
            if overflow || sum > longest { return .failure(tooLarge(text)) }
            total = sum
        } while !rest.isEmpty
        return total > 0 ? .success(total) : .failure(notAboveZero(text))
    }

    /// A count such as `2000`, `50M`, `1.5K`, `5e7` (K = 10³, M = 10⁶, G = 10⁹): a whole number, at least 1.
    package static func count(_ text: String) -> Result<Int64, QuantityFault> {
        guard let (number, suffix) = split(text) else { return .failure(noNumber(text, example: "2000 or 50M")) }
        guard let unit = sizeUnits.first(where: { $0.suffix == suffix }) else {
            return .failure(QuantityFault(sentence: "'\(suffix)' is no size; use K, M or G, for instance 50M"))
        }
        guard let (amount, isExact) = number.scaled(by: unit.factor) else { return .failure(tooLarge(text)) }
        guard isExact else { return .failure(QuantityFault(sentence: "'\(text)' is no whole number")) }
        return amount > 0 ? .success(amount) : .failure(notAboveZero(text))
    }

    private static func money(_ text: String) -> Result<Quantity, QuantityFault> {
        guard let (number, suffix) = split(text) else { return .failure(noNumber(text, example: "60 EUR")) }
        guard isCurrency(suffix) else {
            let problem = suffix.isEmpty ? "'\(text)' names no currency" : "'\(suffix)' is no currency code"
            return .failure(QuantityFault(sentence: problem + "; write three capital letters, for instance 60 EUR"))
        }
        guard let (amount, _) = number.scaled(by: 1_000_000) else { return .failure(tooLarge(text)) }
        guard amount > 0 else { return .failure(notAboveZero(text)) }
        return .success(Quantity(unit: .money, amount: amount, currency: suffix))
    }

    private static func scaled(
        _ text: String, _ unit: BudgetUnit, _ units: [(suffix: String, factor: UInt64)], bare: UInt64?, example: String
    ) -> Result<Quantity, QuantityFault> {
        guard let (number, suffix) = split(text) else { return .failure(noNumber(text, example: example)) }
        let factor = suffix.isEmpty ? bare : units.first { $0.suffix == suffix }?.factor
        guard let factor else {
            let known = units.map(\.suffix).joined(separator: ", ")
            let problem = suffix.isEmpty ? "'\(text)' has no unit" : "'\(suffix)' is no unit of \(unit.key)"
            return .failure(QuantityFault(sentence: "\(problem); use one of \(known), for instance \(example)"))
        }
        guard let (amount, _) = number.scaled(by: factor) else { return .failure(tooLarge(text)) }
        return amount > 0 ? .success(Quantity(unit: unit, amount: amount)) : .failure(notAboveZero(text))
    }

    /// The number in front and the word behind it, spaces around the word taken away.
    private static func split(_ text: String) -> (number: DecimalText, suffix: String)? {
        var rest = text[...].utf8
        skipSpaces(&rest)
        guard let number = DecimalText(takingFrom: &rest) else { return nil }
        skipSpaces(&rest)
        while rest.last == 0x20 { rest = rest.dropLast() }
        return (number, String(decoding: rest, as: UTF8.self))
    }

    private static func skipSpaces(_ text: inout Substring.UTF8View) { text = text.drop { $0 == 0x20 } }

    /// True for three ASCII capital letters.
    static func isCurrency(_ text: String) -> Bool {
        text.utf8.count == 3 && text.utf8.allSatisfy { (0x41...0x5A).contains($0) }
    }

    /// - Parameter rest: what was to begin with a number; nil = all of `text`.
    private static func noNumber(
        _ text: String, at rest: Substring.UTF8View? = nil, example: String
    ) -> QuantityFault {
        if text.hasPrefix("-") { return notAboveZero(text) }
        var rest = rest ?? text[...].utf8
        skipSpaces(&rest)
        let isPoint = rest.first == UInt8(ascii: ".")
        let digits = rest.dropFirst(isPoint ? 1 : 0).prefix { (0x30...0x39).contains($0) }
        if !digits.isEmpty {
            let isLarge = !isPoint && digits.drop { $0 == 0x30 }.count > DecimalText.digitLimit
            return isLarge
                ? tooLarge(text)
                : QuantityFault(sentence: "'\(text)' is too large to count, or has more digits than are counted")
        }
        return QuantityFault(sentence: "'\(text)' does not begin with a number; write \(example)")
    }

    private static func tooLarge(_ text: String) -> QuantityFault {
        QuantityFault(sentence: "'\(text)' is too large to count")
    }

    private static func notAboveZero(_ text: String) -> QuantityFault {
        QuantityFault(sentence: "'\(text)' is not above 0")
    }
}
