import Terms

/// The one source of chance of a simulation: the same seed gives the same draws in the same order.
struct Dice {
    private let random: Philox
    private var drawn: UInt64 = 0
    private var spare: UInt64?

    init(seed: UInt64, stream: UInt64 = 0) {
        random = Philox(seed: seed, purpose: .simulation, stream: stream)
    }

    mutating func bits() -> UInt64 {
        if let spare {
            self.spare = nil
            return spare
        }
        let (a, b, c, d) = random.words(drawn)
        drawn += 1
        spare = UInt64(c) | UInt64(d) << 32
        return UInt64(a) | UInt64(b) << 32
    }

    /// A whole number in `0 ..< bound`.
    mutating func below(_ bound: Int) -> Int { Int(bits().multipliedFullWidth(by: UInt64(bound)).high) }

    mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

    /// True `perMille` times in a thousand; draws nothing when that is never.
    mutating func chance(_ perMille: Int) -> Bool { perMille > 0 && below(1000) < perMille }

    mutating func pick<Element>(_ choices: [Element]) -> Element { choices[below(choices.count)] }

    /// A length of time between two numbers of microseconds.
    mutating func span(microseconds range: ClosedRange<Int>) -> Span {
        Span(nanoseconds: Int64(within(range)) * 1000 + Int64(below(1000)))
    }

    mutating func span(milliseconds range: ClosedRange<Int>) -> Span {
        span(microseconds: range.lowerBound * 1000...range.upperBound * 1000)
    }
}
