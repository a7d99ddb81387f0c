import Budgeting
import Testing

@testable import Simulation

@Suite struct PostedAccountsTests {
    /// The lines of a ledger in which a step of a lease of two is charged.
    private func lines() -> [LedgerEntry] {
        var budget = Budget()
        budget[.steps] = 10
        var ledger = Ledger(budget, at: 0)
        _ = ledger.reserve(lease: 1, steps: 1...2, cost: Costs(coreTime: 30, steps: 2), at: 1)
        _ = ledger.charge(step: 1, lease: 1, cost: Costs(coreTime: 20, steps: 1), at: 2)
        _ = ledger.close(lease: 1, at: 3)
        return ledger.entries
    }

    @Test func `the postings of a ledger add up to its accounts`() {
        var accounts = PostedAccounts()

        for line in lines() { #expect(accounts.take(line) == nil) }

        #expect(accounts.balance(.atRisk, .steps) == 1)
        #expect(accounts.balance(.available, .steps) == 9)
        #expect(accounts.balance(.reserved, .coreTime) == 0)
    }

    @Test func `a line that gives back more than is left of its lease is found`() throws {
        var lines = lines()
        let last = try #require(lines.indices.last)
        lines[last].postings[0].amount += 1
        var accounts = PostedAccounts()

        let faults = lines.compactMap { accounts.take($0) }

        #expect(faults.count == 1)
    }

    @Test func `a line that is left out is found`() {
        var lines = lines()
        lines.remove(at: 1)
        var accounts = PostedAccounts()

        #expect(lines.contains { accounts.take($0) != nil })
    }
}
