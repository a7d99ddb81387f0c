import Budgeting
import Coordination
import Hashing
import Recipes
import Terms
import Testing

@testable import CoordinatorShell

/// What is said of several jobs' accounts: sums only of what can be added, and how energy was found.
@Suite struct BudgetReportTests {
    private static let now = Instant(nanoseconds: 1)

    /// A job's account that has spent `costs`.
    ///
    /// - Parameters:
    ///   - method: how its energy was found; nil = nobody said.
    ///   - currency: of its own limit; nil = it has none.
    private func ledger(_ costs: Costs, _ method: EnergyMethod? = nil, in currency: String? = nil) -> Ledger {
        var budget = Budget(currency: currency)
        if currency != nil { budget[.money] = 1_000_000_000 }
        var ledger = Ledger(budget, at: 0)
        var events: [LedgerEvent] = method.map { [.metered($0)] } ?? []
        events.append(.spent(overhead: costs, isEnding: false))
        for event in events {
            let refusal = ledger.apply(event, at: 1)
            #expect(refusal == nil)
        }
        return ledger
    }

    /// A core as a journal gives it, with a job of the project `lab` for each ledger.
    private func core(_ ledgers: [Ledger], rates: RateCard = RateCard()) throws -> Coordinator {
        var core = Coordinator(epoch: 1, dataEndpoint: "", rates: rates)
        var description = JobDescription(
            name: "job", parameters: 4, sequences: 8, globalBatch: 4, microBatch: 1, virtualShards: 4, shuffleSeed: 7,
            totalSequences: 16, beta1: 0.9, beta2: 0.999, schedule: .constant, peakRate: 1e-3, warmupRatio: 0)
        description.project = "lab"
        for (place, ledger) in ledgers.enumerated() {
            let id = JobID(UInt32(place + 1))
            var ledger = ledger
            try core.restore(.submitted(id, description: description.encoded()), at: Self.now)
            for (entry, digest) in ledger.seal({ Digest.sha256(of: $0) }) {
                try core.restore(.ledger(id, entry, digest), at: Self.now)
            }
        }
        return core
    }

    private func project(_ core: Coordinator) -> JSONValue { BudgetReport.project("lab", core) { _ in true } }

    private func usage(_ core: Coordinator, by key: String = "project", currency: String? = nil) -> [JSONValue] {
        BudgetReport.usage(core.jobs, by: key, since: 0, currency: currency) { _ in }.array ?? []
    }

    @Test func `a project's energy is called what its jobs' is`() throws {
        let energy = Costs(energy: 3_600_000)
        func method(_ ledgers: [Ledger]) throws -> String? {
            try project(core(ledgers))["measured"]?["energy"]?.string
        }

        #expect(try method([ledger(energy, .measured)]) == "measured")
        #expect(try method([ledger(energy, .measured), ledger(energy)]) == "measured and modelled")
        #expect(try method([ledger(energy, .measured), ledger(.zero)]) == "measured")
        #expect(try method([ledger(energy)]) == "modelled")
    }

    @Test func `a project's money has a currency, or no sum`() throws {
        let money = Costs(coreTime: 3_600_000, money: 1_500_000)
        let card = RateCard(moneyPerCoreHour: 1, currency: "EUR")

        let one = project(try core([ledger(money), ledger(money, in: "EUR")], rates: card))
        #expect(one["currency"]?.string == "EUR" && one["spent"]?["money"]?.double == 3)
        let two = project(try core([ledger(money), ledger(money, in: "USD")], rates: card))
        #expect(two["currency"]?.isNull == true && two["spent"]?["money"]?.isNull == true)
        #expect(two["spent"]?["core_hours"]?.double == 2 && two["lost"]?["money"]?.isNull == true)
    }

    @Test func `usage keeps currencies apart, and says how energy was found`() throws {
        let costs = Costs(coreTime: 3_600_000, energy: 3_600_000, money: 1_500_000)
        let core = try core([ledger(costs, in: "USD"), ledger(costs, .measured), ledger(costs, in: "EUR")])

        let rows = usage(core, currency: "EUR")
        #expect(rows.map { $0["currency"]?.string } == ["EUR", "USD"])
        #expect(rows.map { $0["jobs"]?.int } == [2, 1] && rows.map { $0["money"]?.double } == [3, 1.5])
        #expect(rows.map { $0["core_hours"]?.double } == [2, 1])
        #expect(rows.map { $0["energy_method"]?.string } == ["measured and modelled", "modelled"])
        #expect(rows.allSatisfy { $0["project"]?.string == "lab" })
        // By job, each has a row anyway.
        #expect(usage(core, by: "job").map { $0["currency"]?.string } == ["USD", nil, "EUR"])
    }

    @Test func `usage without money is one row, however it is paid elsewhere`() throws {
        let rows = usage(try core([ledger(Costs(coreTime: 1000)), ledger(.zero)]))

        #expect(rows.count == 1 && rows[0]["jobs"]?.int == 2)
        #expect(rows[0]["currency"]?.isNull == true && rows[0]["energy_method"]?.isNull == true)
    }
}

@Suite struct UsageRowTests {
    private func row(
        _ name: String = "lab", money: Double = 0, _ currency: String? = nil, energy: String? = nil
    ) -> UsageRow {
        let json = JSONValue.members([
            "project": .string(name), "jobs": .int(1), "core_hours": .double(0.7), "tokens": .double(12_345),
            "energy": .double(energy == nil ? 0 : 0.000_123_456), "money": .double(money),
            "currency": currency.map(JSONValue.string) ?? .null, "energy_method": energy.map(JSONValue.string) ?? .null,
        ])
        return UsageRow(json, by: "project")
    }

    @Test(arguments: [nil, "measured", "modelled", "measured and modelled"])
    func `a row reads back to the same row`(_ method: String?) {
        let row = row(money: 1.234_567, "EUR", energy: method)

        #expect(UsageRow(row.json(by: "project"), by: "project") == row)
        #expect(row.energyMethod == method && row.currency == "EUR" && row.costs.money == 1_234_567)
        #expect(row.costs.coreTime == 2_520_000 && row.costs.tokens == 12_345)
    }

    @Test func `money of one currency is added up without rounding, of two never`() {
        let rows = [
            row(money: 0.1, "EUR"), row(money: 5, "USD"), row("other", money: 0.1, "EUR"), row(money: 0.2, "EUR"),
            row(money: 7), row(money: 1), row(money: 1, "USD"),
        ]

        let joined = UsageRow.joined(rows)
        #expect(joined.map(\.name) == ["lab", "lab", "other", "lab"])
        #expect(joined.map(\.currency) == ["EUR", "USD", "EUR", nil])
        #expect(joined.map { $0.json(by: "project")["money"]?.double } == [0.3, 6, 0.1, 8])
        #expect(joined.map(\.jobs) == [2, 2, 1, 2])
    }

    @Test func `what cost nothing joins any row, and takes its currency`() {
        let joined = UsageRow.joined([row(energy: "measured"), row(money: 1, "EUR"), row(money: 2, "USD"), row()])

        #expect(joined.map(\.currency) == ["EUR", "USD"] && joined.map(\.jobs) == [3, 1])
        #expect(joined.map(\.energyMethod) == ["measured", nil])
    }
}
