package import Budgeting
import Coordination
package import Terms

/// A line of `drover usage`: what the jobs of one project or user, or one job, have spent, their money in one currency.
package struct UsageRow: Sendable, Equatable {
    /// The project, the user or the job.
    package var name: String
    package private(set) var jobs: Int
    package private(set) var costs: Costs
    /// Of `costs.money`; nil = neither a budget nor a rate card names one.
    package private(set) var currency: String?
    /// How `costs.energy` was found, in their order; none = there is none.
    package private(set) var energyMethods: [EnergyMethod]

    /// - Parameters:
    ///   - costs: of what the job has spent, the part that is asked for.
    ///   - key: what lines are made by, `project`, `user` or `job`.
    ///   - currency: the rate card's, for a job whose own budget names none.
    init(_ run: JobRun, costs: Costs, by key: String, currency: String?) {
        name =
            switch key {
            case "job": "\(run.id)"
            case "user": run.description.user
            default: run.description.project
            }
        jobs = 1
        self.costs = costs
        self.currency = run.ledger?.budget.currency ?? currency
        let methods = run.ledger?.energyMethods ?? []
        // Without a word about it, energy is what the rate card says.
        energyMethods = costs.energy == 0 ? [] : methods.isEmpty ? [.modelled] : methods
    }

    /// Reads a line as `json(by:)` writes it; older coordinators tell neither currency nor method.
    package init(_ json: JSONValue, by key: String) {
        name = json[key]?.string ?? ""
        jobs = json["jobs"]?.int ?? 0
        costs = .zero
        for unit in BudgetUnit.allCases {
            let amount = (json[unit.key]?.double ?? 0) / Quantity.displayed(1, of: unit)
            costs[unit] = Int64(exactly: amount.rounded()) ?? 0
        }
        currency = json["currency"]?.string
        let methods: [[EnergyMethod]] = [[.modelled], [.measured], EnergyMethod.allCases]
        let text = json["energy_method"]?.string
        energyMethods = methods.first { EnergyMethod.text($0) == text } ?? []
    }

    /// The line as clients get it, amounts as people are shown them.
    package func json(by key: String) -> JSONValue {
        var object = JSONObject([(key: key, value: .string(name)), (key: "jobs", value: .int(jobs))])
        for unit in BudgetUnit.allCases { object[unit.key] = BudgetReport.figure(costs[unit], unit) }
        object["currency"] = currency.map(JSONValue.string) ?? .null
        object["energy_method"] = energyMethod.map(JSONValue.string) ?? .null
        return .object(object)
    }

    /// How the energy was found, in words; nil = there is none.
    package var energyMethod: String? { energyMethods.isEmpty ? nil : EnergyMethod.text(energyMethods) }

    /// Rows of one name as one, at the place of the first; money of different currencies is never added: it stays in
    /// rows of its own, and so does money whose currency nobody names.
    package static func joined(_ rows: [UsageRow]) -> [UsageRow] {
        var joined: [UsageRow] = []
        for row in rows {
            if let place = joined.firstIndex(where: { $0.canTake(row) }) {
                joined[place].take(row)
            } else {
                joined.append(row)
            }
        }
        return joined
    }

    /// Nothing of it stands in any currency.
    private var isFree: Bool { currency == nil && costs.money == 0 }

    private func canTake(_ other: UsageRow) -> Bool {
        name == other.name && (currency == other.currency || isFree || other.isFree)
    }

    private mutating func take(_ other: UsageRow) {
        jobs += other.jobs
        costs = costs.adding(other.costs) ?? costs
        currency = currency ?? other.currency
        let methods = energyMethods + other.energyMethods
        energyMethods = EnergyMethod.allCases.filter { methods.contains($0) }
    }
}
