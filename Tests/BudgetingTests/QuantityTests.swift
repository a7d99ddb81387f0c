import Testing

@testable import Budgeting

@Suite struct QuantityTests {
    @Test(
        arguments: [
            ("400", BudgetUnit.coreTime, 1_440_000_000), ("400 core-h", .coreTime, 1_440_000_000),
            ("1core-m", .coreTime, 60_000), ("0.1", .coreTime, 360_000), ("36h", .wallClock, 129_600_000),
            ("1h30m", .wallClock, 5_400_000), ("1d 2h", .wallClock, 93_600_000), ("1.5 h", .wallClock, 5_400_000),
            ("0.001s", .wallClock, 1), ("50M", .tokens, 50_000_000), ("1.5K", .steps, 1500),
            ("5e7", .tokens, 50_000_000), ("2G", .tokens, 2_000_000_000), ("12 kWh", .energy, 43_200_000_000),
            ("1 J", .energy, 1000), ("2 MWh", .energy, 7_200_000_000_000), ("60 EUR", .money, 60_000_000),
            ("0.000001 USD", .money, 1), ("5EUR", .money, 5_000_000), ("9223372036854775.807s", .wallClock, nil),
            ("9223372036854775807", .tokens, nil), ("1e30", .tokens, nil), ("1e18", .tokens, 1_000_000_000_000_000_000),
            ("1e19", .tokens, nil), ("0.4", .steps, nil), ("0", .steps, nil), ("0.0000001 EUR", .money, nil),
            ("", .tokens, nil), ("-5", .tokens, nil), ("5 m", .tokens, nil), ("1m1h", .wallClock, nil),
            ("1h1h", .wallClock, nil), ("h", .wallClock, nil), ("1h30", .wallClock, nil), ("EUR 5", .money, nil),
            ("5 EURO", .money, nil), ("1.2.3 J", .energy, nil), ("0.00000000000000000000000001", .coreTime, nil),
            ("1 core", .coreTime, nil),
        ] as [(String, BudgetUnit, Int64?)])
    func `amounts are read to whole numbers of the smallest part`(text: String, unit: BudgetUnit, amount: Int64?) {
        #expect((try? Quantity.parse(text, as: unit).get().amount) == amount)
    }

    @Test(arguments: [
        ("200core-h", BudgetUnit.coreTime), ("36h", .wallClock), ("5M tokens", .tokens), ("1 token", .tokens),
        ("500 steps", .steps), ("12kWh", .energy), ("60 EUR", .money), ("20m", .wallClock),
    ])
    func `an amount that names its unit needs no other word`(text: String, unit: BudgetUnit) throws {
        #expect(try Quantity.parse(text).get().unit == unit)
    }

    @Test(arguments: ["5", "", "x", "5 parsecs", "tokens", "-5 steps", "0 steps"])
    func `an amount without a known unit is refused`(text: String) {
        #expect(throws: QuantityFault.self) { try Quantity.parse(text).get() }
    }

    @Test func `a number with too many digits is a number all the same`() {
        for text in ["9999999999999999999 steps", "9999999999999999999 EUR", "9999999999999999999h"] {
            let written = text.hasSuffix("steps") ? "9999999999999999999" : text
            #expect(throws: QuantityFault(sentence: "'\(written)' is too large to count")) {
                try Quantity.parse(text).get()
            }
        }
        for (text, part) in [("1e30 steps", "more digits"), ("0.1234567890123456789 kWh", "more digits")] {
            let fault = #expect(throws: QuantityFault.self) { try Quantity.parse(text).get() }
            #expect(fault?.sentence.contains(part) == true)
        }
        for text in ["x steps", "1h x"] {
            let fault = #expect(throws: QuantityFault.self) { try Quantity.parse(text).get() }
            #expect(fault?.sentence.contains("too large") == false)
        }
    }

    @Test func `an amount that is too fine is cut off, never rounded up`() throws {
        #expect(try Quantity.parse("0.3333333", as: .coreTime).get().amount == 1_199_999)
        #expect(try Quantity.parse("1.9999999 EUR", as: .money).get().amount == 1_999_999)
    }

    @Test func `what is written reads back to the same amount`() throws {
        var amounts: [Int64] = [1, 9, 10, 999, 1000, 60_000, 3_600_000, 86_400_000, 90_000_000, 3_600_000_000, .max]
        var state: UInt64 = 42
        for _ in 0..<200 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            amounts.append(Int64(state >> (1 + state % 61)) + 1)
        }
        for unit in BudgetUnit.allCases {
            // A text may have 18 digits.
            for amount in amounts where amount < (unit == .wallClock ? 3_155_760_000_001 : 100_000_000_000_000_000) {
                let written = Quantity(unit: unit, amount: amount, currency: unit == .money ? "EUR" : nil)
                #expect(try Quantity.parse(written.text, as: unit).get() == written)
            }
        }
        #expect(Quantity(unit: .wallClock, amount: 129_600_000).text == "36h")
        #expect(Quantity(unit: .wallClock, amount: 172_800_000).text == "2d")
        #expect(Quantity(unit: .coreTime, amount: 1_440_000_000).text == "400 core-h")
        #expect(Quantity(unit: .energy, amount: 43_200_000_000).text == "12 kWh")
        #expect(Quantity(unit: .money, amount: 60_500_000, currency: "EUR").text == "60.5 EUR")
    }

    @Test func `no duration is longer than a hundred years`() throws {
        #expect(try Quantity.duration("36525d").get() == 3_155_760_000_000)
        #expect(throws: QuantityFault(sentence: "'36525d1s' is too large to count")) {
            try Quantity.duration("36525d1s").get()
        }
    }
}

@Suite struct CostsTests {
    @Test func `sums that do not fit are nil, never wrapped`() {
        let large = Costs(tokens: .max)
        #expect(large.adding(Costs(tokens: 1)) == nil && large.multiplied(by: 2) == nil)
        #expect(Costs(energy: .min).subtracting(Costs(energy: 1)) == nil)
        #expect(Costs(coreTime: 3, steps: 1).adding(Costs(coreTime: 4)) == Costs(coreTime: 7, steps: 1))
        #expect(Costs(tokens: 5).subtracting(Costs(tokens: 7)) == Costs(tokens: -2))
    }

    @Test func `exact and measured parts make the whole`() {
        let costs = Costs(coreTime: 1, wallClock: 2, tokens: 3, steps: 4, energy: 5, money: 6)
        #expect(costs.exact == Costs(tokens: 3, steps: 4))
        #expect(costs.exact.adding(costs.measured) == costs)
    }
}
