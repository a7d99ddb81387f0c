import Terms
import Testing

@testable import Budgeting

@Suite struct LedgerChainTests {
    /// A small deterministic generator.
    struct Dice {
        var state: UInt64
        mutating func roll(_ sides: Int64) -> Int64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int64(state >> 33) % sides
        }
        mutating func costs(_ sides: Int64) -> Costs {
            Costs(coreTime: roll(sides), wallClock: roll(sides), energy: roll(sides), money: roll(sides))
        }
    }

    /// A random event, sensible or not.
    private func event(_ dice: inout Dice, _ ledger: Ledger) -> LedgerEvent {
        let lease = UInt64(dice.roll(6))
        switch dice.roll(17) {
        case 0:
            var budget = Budget(currency: dice.roll(2) == 0 ? nil : "EUR", warnAt: dice.roll(1_000_000) + 1)
            for unit in BudgetUnit.allCases where dice.roll(3) > 0 { budget[unit] = dice.roll(3000) + 1 }
            return .limited(budget)
        case 1: return .endingReserved(dice.costs(200))
        case 2: return .expired(lease: lease)
        case 3: return .closed(lease: lease)
        case 4: return .reconciled(lease: lease, used: dice.costs(100))
        case 5, 6: return .covered(through: Int(dice.roll(Int64(ledger.position + 2))))
        case 7: return .rewound(to: Int(dice.roll(Int64(ledger.position + 2))))
        case 8: return .spent(overhead: dice.costs(20), isEnding: dice.roll(2) == 0)
        case 9: return .inherited(position: 3, costs: Costs(tokens: dice.roll(50), steps: 3))
        case 10...12:
            let first = ledger.position + 1
            let count = dice.roll(5) + 1
            var cost = dice.costs(50 * count)
            (cost.tokens, cost.steps) = (dice.roll(100), count)
            let steps = first...first + Int(count) - 1
            return .reserved(lease: lease, steps: steps, cost: cost, isEnding: dice.roll(4) == 0)
        case 13: return .metered(dice.roll(2) == 0 ? .measured : .modelled)
        default:
            var cost = dice.costs(60)
            (cost.tokens, cost.steps) = (dice.roll(30), 1)
            return .charged(lease: lease, step: ledger.position + 1, cost: cost, overhead: dice.costs(5))
        }
    }

    @Test(arguments: 1...16 as ClosedRange<UInt64>)
    func `whatever happens, amounts are conserved, a refusal changes nothing, a replay gives the same`(
        seed: UInt64
    ) throws {
        var dice = Dice(state: seed)
        var ledger = Ledger(budget([(.coreTime, 2000), (.tokens, 500), (.steps, 40)]), at: 0)
        var taken = 0
        for at in 1...200 as ClosedRange<Int64> {
            let before = ledger
            let event = event(&dice, ledger)
            if ledger.apply(event, at: at) != nil {
                #expect(ledger == before)
            } else {
                taken += 1
            }
            #expect(ledger.conservationFault == nil, "after \(event)")
            for unit in [BudgetUnit.steps, .tokens] where ledger.budget[unit] != nil && before.budget == ledger.budget {
                let limit = max(ledger.budget[unit] ?? 0, before.spent[unit] + before.reserved[unit])
                #expect(ledger.spent[unit] + ledger.reserved[unit] <= limit, "exact units are never overspent")
            }
        }

        #expect(taken > 40)
        let stored = try ledger.entries.map { try LedgerEntry(reading: $0.bytes) }
        #expect(stored == ledger.entries)
        #expect(try Ledger.replay(stored) == ledger)
    }

    @Test func `any changed byte breaks the chain, and forgetting entries does not`() {
        var dice = Dice(state: 7)
        var ledger = Ledger(Budget(), at: 0)
        for at in 1...40 as ClosedRange<Int64> { _ = ledger.apply(event(&dice, ledger), at: at) }

        let sealed = ledger.seal(fakeHash)
        #expect(sealed.count == ledger.entries.count && ledger.seal(fakeHash).isEmpty && ledger.verifyChain(fakeHash))
        var forged = ledger
        forged.entries[3].at += 1
        #expect(!forged.verifyChain(fakeHash))

        let count = ledger.postingsCount
        let head = ledger.head
        ledger.forget()
        #expect(ledger.entries.isEmpty && ledger.head == head && ledger.postingsCount == count)
        #expect(ledger.apply(.covered(through: 0), at: 99) == nil)
        #expect(ledger.entries.first?.sequence == UInt64(sealed.count) + 1)
        let next = ledger.seal(fakeHash)
        #expect(ledger.verifyChain(fakeHash) && next.first?.digest != head)
    }

    @Test func `stored entries that do not follow from each other are refused`() {
        var ledger = Ledger(budget([(.steps, 5)]), at: 0)
        _ = ledger.reserve(lease: 1, steps: 1...2, cost: worst(2), at: 1)
        _ = ledger.close(lease: 1, at: 2)
        let entries = ledger.entries

        #expect(throws: LedgerError.noBeginning) { try Ledger.replay([]) }
        #expect(throws: LedgerError.noBeginning) { try Ledger.replay(Array(entries.dropFirst())) }
        #expect(throws: LedgerError.differs(sequence: 3)) { try Ledger.replay([entries[0], entries[2]]) }
        var changed = entries
        changed[1].postings[0].amount += 1
        #expect(throws: LedgerError.differs(sequence: 2)) { try Ledger.replay(changed) }
    }

    @Test func `any bytes give an entry or an error`() {
        var dice = Dice(state: 3)
        var ledger = Ledger(budget([(.money, 9)], currency: "EUR"), at: 0)
        for at in 1...60 as ClosedRange<Int64> { _ = ledger.apply(event(&dice, ledger), at: at) }
        var refused = 0
        for entry in ledger.entries {
            for _ in 0..<20 {
                var bytes = entry.bytes
                bytes[Int(dice.roll(Int64(bytes.count)))] = UInt8(dice.roll(256))
                if dice.roll(4) == 0 { bytes.removeLast(Int(dice.roll(Int64(bytes.count)))) }
                if let read = try? LedgerEntry(reading: bytes) {
                    #expect(read.bytes == bytes)
                } else {
                    refused += 1
                }
            }
        }
        #expect(refused > 50)
    }
}
