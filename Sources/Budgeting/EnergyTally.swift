package import Terms

/// Energy as it is used: power times time, kept in millijoules with the rest below one, so that short times add up.
package struct EnergyTally: Sendable, Hashable {
    /// Whole millijoules; never below 0.
    package private(set) var millijoules: Int64
    /// What is over, in picojoules below a millijoule.
    private var rest: Int64 = 0

    /// A tally that begins with an amount.
    package init(millijoules: Int64 = 0) { self.millijoules = max(0, min(millijoules, Self.most)) }

    /// A tally stays here: 36 TWh.
    private static let most = Int64.max / 64
    private static let picojoules: Int64 = 1_000_000_000

    /// Adds what so many milliwatts take in so long; below 0 it takes away, down to nothing.
    package mutating func add(milliwatts: Int64, for span: Span) {
        let (high, low) = milliwatts.magnitude.multipliedFullWidth(by: span.nanoseconds.magnitude)
        let divisor = UInt64(Self.picojoules)
        // Nanoseconds times milliwatts are picojoules.
        guard high < divisor else { return millijoules = (milliwatts < 0) == (span.nanoseconds < 0) ? Self.most : 0 }
        let (quotient, remainder) = divisor.dividingFullWidth((high, low))
        let sign: Int64 = (milliwatts < 0) == (span.nanoseconds < 0) ? 1 : -1
        millijoules += sign * Int64(min(quotient, UInt64(Self.most)))
        rest += sign * Int64(remainder)
        if rest >= Self.picojoules { (millijoules, rest) = (millijoules + 1, rest - Self.picojoules) }
        if rest < 0 { (millijoules, rest) = (millijoules - 1, rest + Self.picojoules) }
        if millijoules < 0 { (millijoules, rest) = (0, 0) }
        millijoules = min(millijoules, Self.most)
    }
}
