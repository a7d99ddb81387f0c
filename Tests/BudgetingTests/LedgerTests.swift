import Terms
import Testing

@testable import Budgeting

/// A budget of some limits.
func budget(_ limits: [(BudgetUnit, Int64)], currency: String? = nil) -> Budget {
    var budget = Budget(currency: currency)
    for (unit, limit) in limits { budget[unit] = limit }
    return budget
}

/// A lease's worst case: per step 100 core-milliseconds and 10 tokens.
func worst(_ steps: Int64) -> Costs { Costs(coreTime: 100 * steps, tokens: 10 * steps, steps: steps) }

/// A stand-in for SHA-256: any function of the bytes will do here.
func fakeHash(_ bytes: [UInt8]) -> Digest {
    var state: UInt64 = 0xCBF2_9CE4_8422_2325
    var out: [UInt8] = []
    for round in 0..<32 as Range<UInt8> {
        for byte in bytes + [round] { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
        out.append(UInt8(truncatingIfNeeded: state >> 32))
    }
    return Digest(bytes: out) ?? Digest(bytes: [UInt8](repeating: 0, count: 32))!
}

@Suite struct LedgerTests {
    @Test func `a lease reserves its worst case, steps charge the actual, the rest goes back`() {
        var ledger = Ledger(budget([(.coreTime, 1000), (.steps, 10)]), at: 0)

        #expect(ledger.reserve(lease: 1, steps: 1...4, cost: worst(4), at: 1) == nil)
        #expect(ledger.reserved.coreTime == 400 && ledger.balance(.available).coreTime == 600)
        #expect(ledger.charge(step: 1, lease: 1, cost: Costs(coreTime: 60, tokens: 7, steps: 1), at: 2) == nil)
        let second = Costs(coreTime: 50, tokens: 8, steps: 1)
        #expect(ledger.charge(step: 2, lease: 1, cost: second, overhead: Costs(coreTime: 5), at: 3) == nil)
        #expect(ledger.close(lease: 1, at: 4) == nil)

        #expect(ledger.spent == Costs(coreTime: 115, tokens: 15, steps: 2) && ledger.reserved == .zero)
        #expect(ledger.balance(.overhead) == Costs(coreTime: 5) && ledger.balance(.available).coreTime == 885)
        #expect(ledger.balance(.available).steps == 8 && ledger.position == 2 && ledger.conservationFault == nil)
    }

    @Test func `a reservation that does not fit is refused with every lacking unit, and changes nothing`() {
        var ledger = Ledger(budget([(.coreTime, 1000), (.tokens, 25), (.steps, 2)]), at: 0)
        let before = ledger

        #expect(ledger.reserve(lease: 1, steps: 1...3, cost: worst(3), at: 1) == .exceedsBudget([.tokens, .steps]))

        #expect(ledger == before)
        #expect(ledger.reserve(lease: 1, steps: 1...2, cost: worst(2), at: 1) == nil)
        #expect(ledger.balance(.available).steps == 0)
    }

    @Test func `steps are charged once, in order, within an open lease`() {
        var ledger = Ledger(Budget(), at: 0)
        #expect(ledger.reserve(lease: 1, steps: 1...2, cost: worst(2), at: 0) == nil)
        let one = Costs(tokens: 10, steps: 1)

        #expect(ledger.charge(step: 2, lease: 1, cost: one, at: 0) == .stepOutOfOrder(expected: 1, got: 2))
        #expect(ledger.charge(step: 1, lease: 2, cost: one, at: 0) == .unknownLease(2))
        let tooMuch = Costs(tokens: 21, steps: 1)
        #expect(ledger.charge(step: 1, lease: 1, cost: tooMuch, at: 0) == .exceedsReservation(.tokens))
        #expect(ledger.charge(step: 1, lease: 1, cost: one, at: 0) == nil)
        #expect(ledger.charge(step: 1, lease: 1, cost: one, at: 0) == .stepOutOfOrder(expected: 2, got: 1))
        #expect(ledger.charge(step: 2, lease: 1, cost: one, at: 0) == nil)
        #expect(ledger.charge(step: 3, lease: 1, cost: one, at: 0) == .stepOutOfOrder(expected: 3, got: 3))
        #expect(ledger.reserve(lease: 1, steps: 3...3, cost: worst(1), at: 0) == .leaseExists(1))
        #expect(ledger.close(lease: 1, at: 0) == nil && ledger.close(lease: 1, at: 0) == .unknownLease(1))
    }

    @Test func `cost above the reservation takes what is available, then counts as overrun and is made up for`() {
        var ledger = Ledger(budget([(.coreTime, 150)]), at: 0)
        #expect(ledger.reserve(lease: 1, steps: 1...1, cost: worst(1), at: 0) == nil)

        #expect(ledger.charge(step: 1, lease: 1, cost: Costs(coreTime: 180, steps: 1), at: 0) == nil)

        #expect(ledger.balance(.overrun).coreTime == 30 && ledger.spent.coreTime == 180)
        #expect(ledger.balance(.available).coreTime == 0 && ledger.conservationFault == nil)
        #expect(ledger.topUp(Quantity(unit: .coreTime, amount: 20), at: 0) == nil)
        #expect(ledger.balance(.available).coreTime == 0)
        #expect(ledger.topUp(Quantity(unit: .coreTime, amount: 30), at: 0) == nil)
        #expect(ledger.balance(.available).coreTime == 20 && ledger.conservationFault == nil)
    }

    @Test func `a lease that ends without report is taken for spent, and what was not used comes back once`() {
        var ledger = Ledger(budget([(.coreTime, 1000), (.steps, 5)]), at: 0)
        #expect(ledger.reserve(lease: 1, steps: 1...5, cost: worst(5), at: 0) == nil)

        #expect(ledger.apply(.expired(lease: 1), at: 1) == nil)
        #expect(ledger.balance(.lost) == Costs(coreTime: 500) && ledger.balance(.available).steps == 5)
        #expect(ledger.reserve(lease: 1, steps: 1...1, cost: worst(1), at: 1) == .leaseExists(1))
        #expect(ledger.apply(.reconciled(lease: 1, used: Costs(coreTime: 120)), at: 2) == nil)
        #expect(ledger.apply(.reconciled(lease: 1, used: .zero), at: 3) == .unknownLease(1))

        #expect(ledger.spent == Costs(coreTime: 120) && ledger.balance(.available).coreTime == 880)
    }

    @Test func `work beyond a rewind stays spent in measured units and counts again in exact ones`() {
        var ledger = ledgerOfSteps(10, coveredAt: [4, 7])

        #expect(ledger.balance(.covered).steps == 7 && ledger.balance(.atRisk).steps == 3)
        #expect(ledger.apply(.rewound(to: 5), at: 0) == .notABoundary(5))
        #expect(ledger.apply(.rewound(to: 11), at: 0) == .notABoundary(11))
        #expect(ledger.apply(.covered(through: 11), at: 0) == .notABoundary(11))
        #expect(ledger.apply(.rewound(to: 4), at: 0) == nil)

        #expect(ledger.position == 4 && ledger.spent == Costs(coreTime: 1000, tokens: 40, steps: 4))
        #expect(ledger.balance(.lost) == Costs(coreTime: 600) && ledger.conservationFault == nil)
        #expect(ledger.reserve(lease: 99, steps: 5...10, cost: worst(6), at: 0) == nil)
        #expect(ledger.charge(step: 5, lease: 99, cost: Costs(coreTime: 100, tokens: 10, steps: 1), at: 0) == nil)
    }

    @Test func `a rewind within the steps since the last checkpoint keeps those before it`() {
        var ledger = ledgerOfSteps(6, coveredAt: [2])

        #expect(ledger.apply(.rewound(to: 4), at: 0) == nil)
        #expect(ledger.balance(.atRisk).steps == 2 && ledger.balance(.covered).steps == 2 && ledger.position == 4)
        #expect(ledger.apply(.rewound(to: 0), at: 0) == nil)
        #expect(ledger.spent.exact == .zero && ledger.spent.coreTime == 600 && ledger.conservationFault == nil)
    }

    @Test func `the ending's reserve is for the ending only`() {
        var ledger = Ledger(budget([(.coreTime, 300), (.steps, 3)]), at: 0)

        #expect(ledger.setEndingReserve(Costs(coreTime: 100, steps: 1, energy: 5), at: 0) == .zero)
        #expect(ledger.reserve(lease: 1, steps: 1...3, cost: worst(3), at: 0) == .exceedsBudget([.coreTime, .steps]))
        #expect(ledger.reserve(lease: 1, steps: 1...2, cost: worst(2), at: 0) == nil)
        #expect(ledger.reserve(lease: 2, steps: 3...3, cost: worst(1), at: 0) == .exceedsBudget([.coreTime, .steps]))
        #expect(ledger.reserve(lease: 2, steps: 3...3, cost: worst(1), isEnding: true, at: 0) == nil)
        #expect(ledger.setEndingReserve(Costs(coreTime: 100), at: 0) == Costs(coreTime: 100))
        #expect(ledger.reserved == Costs(coreTime: 300, tokens: 30, steps: 3) && ledger.conservationFault == nil)
    }

    @Test func `limits can be lowered below what is spent; then nothing more is granted`() {
        var ledger = ledgerOfSteps(5, coveredAt: [])
        #expect(ledger.reserve(lease: 99, steps: 6...7, cost: worst(2), at: 0) == nil)

        #expect(ledger.apply(.limited(budget([(.steps, 3), (.coreTime, 10)])), at: 0) == nil)
        #expect(ledger.conservationFault == nil && ledger.balance(.available).steps == 0)
        #expect(ledger.close(lease: 99, at: 0) == nil)
        #expect(ledger.balance(.available).steps == 0 && ledger.spent.steps == 5 && ledger.conservationFault == nil)
        #expect(ledger.reserve(lease: 100, steps: 6...6, cost: worst(1), at: 0) == .exceedsBudget([.coreTime, .steps]))
        #expect(ledger.apply(.limited(Budget()), at: 0) == nil && ledger.conservationFault == nil)
        #expect(ledger.reserve(lease: 100, steps: 6...6, cost: worst(1), at: 0) == nil)
    }

    @Test func `beyond a lowered limit nothing stays set aside: what the ending takes is overrun`() {
        var ledger = Ledger(budget([(.coreTime, 300)]), at: 0)
        #expect(ledger.setEndingReserve(Costs(coreTime: 100), at: 0) == .zero)
        #expect(ledger.apply(.spent(overhead: Costs(coreTime: 150), isEnding: false), at: 0) == nil)

        #expect(ledger.apply(.limited(budget([(.coreTime, 180)])), at: 0) == nil)
        #expect(ledger.balance(.ending).coreTime == 30 && ledger.conservationFault == nil)
        #expect(ledger.apply(.limited(budget([(.coreTime, 120)])), at: 0) == nil)
        #expect(ledger.balance(.ending).coreTime == 0 && ledger.conservationFault == nil)
        #expect(ledger.setEndingReserve(Costs(coreTime: 20), at: 0) == Costs(coreTime: 20))
        #expect(ledger.apply(.spent(overhead: Costs(coreTime: 5), isEnding: true), at: 0) == nil)
        #expect(ledger.spent.coreTime == 155 && ledger.balance(.overrun).coreTime == 5)
    }

    @Test func `a rate card in another currency than the money spent is refused, limited or not`() {
        var ledger = Ledger(budget([(.money, 100)], currency: "GBP"), at: 0)
        let euros = RateCard(moneyPerCoreHour: 1, currency: "EUR")
        #expect(euros.fault(after: ledger) == nil)

        #expect(ledger.apply(.spent(overhead: Costs(money: 5), isEnding: false), at: 1) == nil)
        #expect(ledger.apply(.limited(Budget()), at: 2) == nil)

        #expect(euros.fault(after: ledger)?.contains("a card in GBP") == true)
        #expect(RateCard(moneyPerCoreHour: 1, currency: "GBP").fault(after: ledger) == nil)
        #expect(RateCard().fault(after: ledger) == nil)
    }

    @Test func `a top-up raises a limit, and is refused where there is none, in another currency, or beyond 64 bits`() {
        var ledger = Ledger(budget([(.steps, 3), (.money, 5), (.tokens, .max)], currency: "EUR"), at: 0)

        #expect(ledger.topUp(Quantity(unit: .steps, amount: 4), at: 0) == nil)
        #expect(ledger.budget[.steps] == 7 && ledger.balance(.available).steps == 7)
        #expect(ledger.topUp(Quantity(unit: .energy, amount: 4), at: 0) == .unlimited(.energy))
        #expect(ledger.topUp(Quantity(unit: .money, amount: 4, currency: "USD"), at: 0) == .otherCurrency)
        #expect(ledger.topUp(Quantity(unit: .money, amount: 4, currency: "EUR"), at: 0) == nil)
        #expect(ledger.topUp(Quantity(unit: .tokens, amount: 1), at: 0) == .overflow)
    }

    @Test func `a branch inherits its past's exact units`() {
        var ledger = Ledger(budget([(.steps, 10), (.tokens, 100)]), at: 0)

        let tooLong = LedgerEvent.inherited(position: 11, costs: Costs(tokens: 1, steps: 11))
        #expect(ledger.apply(tooLong, at: 0) == .exceedsBudget([.steps]))
        #expect(ledger.apply(.inherited(position: 4, costs: Costs(tokens: 40, steps: 4)), at: 0) == nil)
        #expect(ledger.apply(.inherited(position: 4, costs: Costs(tokens: 40, steps: 4)), at: 0) == .hasPast)
        #expect(ledger.spent == Costs(tokens: 40, steps: 4) && ledger.position == 4 && ledger.conservationFault == nil)
        #expect(ledger.reserve(lease: 1, steps: 5...10, cost: worst(6), at: 0) == nil)
        #expect(ledger.reserve(lease: 2, steps: 11...11, cost: worst(1), at: 0) == .exceedsBudget([.tokens, .steps]))
    }

    @Test func `warnings come once, at the level, and again after a top-up took them back`() {
        var ledger = Ledger(budget([(.steps, 10)]), at: 0)
        #expect(ledger.reserve(lease: 1, steps: 1...10, cost: worst(10), at: 0) == nil)
        for step in 1...7 { _ = ledger.charge(step: step, lease: 1, cost: Costs(steps: 1), at: 0) }
        #expect(ledger.takeWarnings(at: 0).isEmpty)
        _ = ledger.charge(step: 8, lease: 1, cost: Costs(steps: 1), at: 0)

        #expect(ledger.takeWarnings(at: 0) == [.steps] && ledger.takeWarnings(at: 0).isEmpty)
        #expect(ledger.topUp(Quantity(unit: .steps, amount: 1), at: 0) == nil)
        #expect(ledger.takeWarnings(at: 0).isEmpty)
        _ = ledger.charge(step: 9, lease: 1, cost: Costs(steps: 1), at: 0)
        #expect(ledger.takeWarnings(at: 0) == [.steps])
    }

    @Test func `the unit that allows the fewest steps rules, the first of equals`() throws {
        let ledger = Ledger(budget([(.coreTime, 1000), (.tokens, 95), (.steps, 9), (.energy, 1)]), at: 0)

        let found = try #require(ledger.affordableSteps(perStep: Costs(coreTime: 100, tokens: 10, steps: 1)))

        #expect(found.steps == 9 && found.limitedBy == .tokens)
        #expect(Ledger(Budget(), at: 0).affordableSteps(perStep: worst(1)) == nil)
    }

    @Test func `amounts that do not fit are refused, never wrapped`() {
        var ledger = Ledger(Budget(), at: 0)
        #expect(ledger.reserve(lease: 1, steps: 1...1, cost: Costs(tokens: .max, steps: 1), at: 0) == nil)
        #expect(ledger.reserve(lease: 2, steps: 2...2, cost: Costs(tokens: 1, steps: 1), at: 0) == .overflow)
        #expect(ledger.apply(.spent(overhead: Costs(energy: .max), isEnding: false), at: 0) == nil)
        #expect(ledger.apply(.spent(overhead: Costs(energy: 1), isEnding: false), at: 0) == .overflow)
        #expect(ledger.conservationFault == nil)
    }

    @Test func `the report has the keys of the contract in the job file's units`() {
        var ledger = Ledger(budget([(.coreTime, 7_200_000), (.steps, 5), (.money, 1_500_000)], currency: "EUR"), at: 0)
        _ = ledger.reserve(lease: 1, steps: 1...1, cost: Costs(coreTime: 3_600_000, steps: 1), at: 0)
        _ = ledger.apply(.spent(overhead: Costs(wallClock: 1500, energy: 3_600_000_000), isEnding: false), at: 0)

        let json = ledger.toJSON(chainOK: true)

        #expect(
            json.text == """
                {"limits":{"core_hours":2.0,"steps":5,"money":1.5},\
                "spent":{"core_hours":0.0,"wall_clock":1.5,"tokens":0,"steps":0,"energy":1.0,"money":0.0},\
                "reserved":{"core_hours":1.0,"wall_clock":0.0,"tokens":0,"steps":1,"energy":0.0,"money":0.0},\
                "lost":{"core_hours":0.0,"wall_clock":0.0,"tokens":0,"steps":0,"energy":0.0,"money":0.0},\
                "overhead":{"core_hours":0.0,"wall_clock":1.5,"tokens":0,"steps":0,"energy":1.0,"money":0.0},\
                "postings":7,"chain_ok":true,"currency":"EUR"}
                """)
    }

    /// A ledger after `count` steps of 100 core-milliseconds and 10 tokens, checkpoints covering some.
    private func ledgerOfSteps(_ count: Int, coveredAt checkpoints: [Step]) -> Ledger {
        var ledger = Ledger(budget([(.steps, 20), (.coreTime, 10_000)]), at: 0)
        var refusals = [ledger.reserve(lease: 1, steps: 1...count, cost: worst(Int64(count)), at: 0)]
        for step in 1...count {
            let cost = Costs(coreTime: 100, tokens: 10, steps: 1)
            refusals.append(ledger.charge(step: step, lease: 1, cost: cost, at: 0))
            if checkpoints.contains(step) { refusals.append(ledger.apply(.covered(through: step), at: 0)) }
        }
        refusals.append(ledger.close(lease: 1, at: 0))
        #expect(refusals.allSatisfy { $0 == nil })
        return ledger
    }
}
