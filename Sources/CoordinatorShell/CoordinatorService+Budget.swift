package import Budgeting
import Coordination
import Foundation
import Recipes
import StorageShell
package import Terms

extension CoordinatorService {
    /// `{"op": "budget", "job": J, "add": "200core-h"}`; without `add` it only shows.
    func budget(_ id: JobID, _ request: JSONValue) throws -> JSONValue {
        guard let run = core.job(id) else { return Self.problem("no job \(id)") }
        if let text = request["add"]?.string {
            try requireReserve()
            try feed(.limited(id, try BudgetReport.raised(run.limits, by: text)))
        }
        guard let run = core.job(id) else { return .null }
        return BudgetReport.json(
            run, chainOK: try CoreJournal.recall(journal).agrees(on: run), currency: core.rates.currency)
    }

    /// The limits of a project and what its jobs have spent.
    func projectBudget(_ request: JSONValue) throws -> JSONValue {
        guard let name = request["project"]?.string else {
            return Self.problem("a budget is a job's or a project's")
        }
        if let text = request["add"]?.string {
            try requireReserve()
            let limits = try BudgetReport.raised(core.projectLimits(name), by: text, isNew: true)
            if let fault = core.rates.fault(with: limits) { return Self.problem(fault) }
            try feed(.projectLimited(name, limits))
        }
        // A name that was misspelt has spent nothing, which looks well.
        guard !core.projectLimits(name).isUnlimited || core.jobs.contains(where: { $0.description.project == name })
        else {
            return Self.problem("no project `\(name)`: no job is of it, and it has no limit")
        }
        let recalled = try CoreJournal.recall(journal)
        return BudgetReport.project(name, core) { recalled.agrees(on: $0) }
    }

    /// Changes the run keys of a job at rest to those of `description`, and of its budget the units in `limits`.
    func amend(_ id: JobID, _ request: JSONValue) throws {
        // One that is done spends nothing more.
        if let run = core.job(id), run.state.isAtRest, run.state != .done { try refuseOtherCurrency(run) }
        guard let text = request["description"]?.string, let yaml = request["resolved"]?.string,
            let run = core.job(id)
        else { return }
        guard run.state.isAtRest else {
            throw DeskError(
                description: "job \(id) is \(run.state.rawValue): its run keys can change while it is paused")
        }
        let wanted = try JobDescription(decoding: Array(text.utf8))
        guard wanted.workersMin <= wanted.workersMax, wanted.workersMax <= run.description.virtualShards else {
            throw DeskError(description: "workers.max is at most virtual_shards, \(run.description.virtualShards)")
        }
        var description = run.description
        description.takeRunKeys(of: wanted)
        description.budget = wanted.budget
        let named = (request["limits"]?.array ?? []).compactMap(\.string)
        let units = BudgetUnit.allCases.filter { named.contains($0.key) }
        try amend(id, to: description, limiting: units)
        try AtomicFile.write("\(options.jobFolder(id))/resolved.yaml", Array(yaml.utf8))
        // What is open of it goes by the old keys.
        closeDesk(id)
    }

    /// Changes what may change of a job at rest; limits that its account does not take are refused, and then nothing is
    /// changed or written.
    func amend(_ id: JobID, to description: JobDescription, limiting units: [BudgetUnit]) throws {
        let output: CoordinatorOutput?
        do {
            output = try adjust { core in try core.amend(id, to: description, limiting: units) }
        } catch let refusal as LedgerRefusal {
            let known = core.job(id)?.limits.currency ?? ""
            throw DeskError(
                description: refusal == .otherCurrency
                    ? "the run has spent money in \(known): give its limit in \(known)"
                    : "the limits can't be taken: \(refusal)")
        }
        if let output { try carryOut(output) }
    }

    /// Refuses to go on with a job that has spent money in another currency than the prices are in.
    func refuseOtherCurrency(_ run: JobRun) throws {
        guard let ledger = run.ledger, let fault = core.rates.fault(after: ledger) else { return }
        throw DeskError(description: fault)
    }

    /// Sets a job at rest going again; one whose budget ran out only from a sound checkpoint.
    func resume(_ id: JobID, _ request: JSONValue, _ name: RequestKey? = nil) throws {
        let point: ResumePoint = request["from"]?.string == "annealed" ? .annealed : .trunk
        guard let run = core.jobWithShare(id) else { return }
        if run.state == .budgetExhausted, run.canGoOn(from: point, at: Self.now()) {
            _ = try recover(run, at: point)
        }
        try feed(.ordered(point == .trunk ? .resume : .resumeAnnealed, id, request: name))
    }

    /// `{"op": "usage", "by": "project"|"user"|"job", "since": milliseconds since 1970}`.
    func usage(_ request: JSONValue) throws -> JSONValue {
        try BudgetReport.usage(
            core.jobs, by: request["by"]?.string ?? "project", since: Int64(request["since"]?.int ?? 0),
            currency: core.rates.currency
        ) { try journal.replay($0) }
    }
}

/// What is said of ledgers, from a running coordinator or from a journal at rest.
package enum BudgetReport {
    package typealias Line = (entry: LedgerEntry, digest: Digest)

    /// The line of the ledger that a journal entry is; nil for others.
    static func line(_ stored: StorageShell.JournalEntry) -> Line? {
        guard stored.kind == 12,
            case .ledger(_, let entry, let digest)? = try? Coordination.JournalEntry(
                job: stored.job, kind: Int(stored.kind), payload: stored.payload)
        else { return nil }
        return (entry, digest)
    }

    /// `limits` with so much more of one unit; `isNew` = a unit without limit gets one.
    package static func raised(_ limits: Budget, by text: String, isNew: Bool = false) throws -> Budget {
        let quantity: Quantity
        switch Quantity.parse(text) {
        case .success(let parsed): quantity = parsed
        case .failure(let fault): throw DeskError(description: fault.sentence)
        }
        var raised = limits
        guard let limit = limits[quantity.unit] ?? (isNew ? 0 : nil) else {
            throw DeskError(description: "\(quantity.unit.key) has no limit, so there is none to raise")
        }
        if quantity.unit == .money {
            guard limits.currency == nil || limits.currency == quantity.currency else {
                throw DeskError(
                    description: "the budget is in \(limits.currency ?? ""), not in \(quantity.currency ?? "")")
            }
            raised.currency = quantity.currency
        }
        let (sum, overflow) = limit.addingReportingOverflow(quantity.amount)
        guard !overflow, sum < 1 << 60 else { throw DeskError(description: "the limit would no longer fit 64 bits") }
        raised[quantity.unit] = sum
        return raised
    }

    /// What `drover budget show` prints: balances, and whether the journal gives them.
    ///
    /// - Parameter currency: the rate card's, for a budget that names none.
    static func json(_ run: JobRun, chainOK: Bool, currency: String?) -> JSONValue {
        guard let ledger = run.ledger else {
            return .members(["limits": .object(JSONObject()), "postings": .int(0), "chain_ok": .bool(chainOK)])
        }
        var object = ledger.toJSON(chainOK: chainOK).object ?? JSONObject()
        object["state"] = .string(run.state.rawValue)
        object["position"] = .int(ledger.position)
        object["plan"] = .array(run.plan.map(\.json))
        object["trunk"] = run.trunk.map(JSONValue.int) ?? .null
        object["measured"] = measured(ledger.energyMethods)
        if object["currency"] == nil { object["currency"] = currency.map(JSONValue.string) }
        return .object(object)
    }

    /// How amounts were found, by unit; money is reckoned from prices.
    private static func measured(_ methods: [EnergyMethod]) -> JSONValue {
        .members([
            "core_hours": .string("measured"), "wall_clock": .string("measured"),
            "energy": .string(EnergyMethod.text(methods)), "money": .string("modelled"),
        ])
    }

    /// A project: its limits, and the accounts of its jobs added up.
    ///
    /// - Parameter isWhole: whether the journal gives a job's ledger.
    static func project(_ name: String, _ core: Coordinator, isWhole: (JobRun) -> Bool) -> JSONValue {
        let limits = core.projectLimits(name)
        let jobs = core.jobs.filter { $0.description.project == name }
        var shown = JSONObject()
        for unit in BudgetUnit.allCases { shown[unit.key] = limits[unit].map { figure($0, unit) } }
        let rows = UsageRow.joined(
            jobs.map { UsageRow($0, costs: $0.ownSpent, by: "project", currency: core.rates.currency) })
        func sum(_ part: (JobRun) -> Costs?) -> JSONValue {
            let costs = jobs.compactMap(part).reduce(Costs.zero) { $0.adding($1) ?? $0 }
            var object = JSONObject(BudgetUnit.allCases.map { ($0.key, figure(costs[$0], $0)) })
            // What was charged in several currencies has no sum.
            if rows.count > 1 { object[BudgetUnit.money.key] = .null }
            return .object(object)
        }
        let currency = limits.currency ?? (rows.count == 1 ? rows[0].currency : nil)
        return .members([
            "project": .string(name), "limits": .object(shown), "spent": sum(\.ownSpent),
            "reserved": sum(\.ledger?.reserved), "lost": sum { $0.ledger?.balance(.lost) },
            "overhead": sum { $0.ledger?.balance(.overhead) },
            "postings": .int(jobs.reduce(0) { $0 + ($1.ledger?.postingsCount ?? 0) }),
            "chain_ok": .bool(jobs.allSatisfy(isWhole)),
            "jobs": .array(jobs.map { .int(Int($0.id.number)) }),
            "currency": currency.map(JSONValue.string) ?? .null,
            "measured": measured(rows.flatMap(\.energyMethods)),
        ])
    }

    /// An amount as people are shown it: steps and tokens are whole numbers.
    static func figure(_ amount: Int64, _ unit: BudgetUnit) -> JSONValue {
        unit.isExact ? .int(Int(amount)) : .double(Quantity.displayed(amount, of: unit))
    }

    /// True for what a branch brought along, its ledger's second line: another job was charged for that.
    private static func isPast(_ entry: LedgerEntry, of run: JobRun) -> Bool {
        guard case .inherited = entry.event else { return false }
        return run.description.branch != nil && entry.sequence == 2
    }

    /// What was charged since an instant, by project, user or job; from the beginning on that is what ledgers show.
    ///
    /// - Parameters:
    ///   - currency: the rate card's, for jobs whose own budget names none.
    ///   - replay: gives every entry of the journal; only a later beginning needs that.
    static func usage(
        _ jobs: [JobRun], by key: String, since: Int64, currency: String?,
        replay: ((Int, StorageShell.JournalEntry) -> Void) throws -> Void
    ) rethrows -> JSONValue {
        var spent = jobs.map(\.ownSpent)
        if since > 0 {
            spent = Array(repeating: .zero, count: jobs.count)
            try replay { _, stored in
                guard let place = jobs.firstIndex(where: { $0.id == stored.job }), let line = line(stored),
                    line.entry.at >= since, !isPast(line.entry, of: jobs[place])
                else { return }
                for posting in line.entry.postings { spent[place].add(posting) }
            }
        }
        let rows = zip(jobs, spent).map { UsageRow($0, costs: $1, by: key, currency: currency) }
        return .array(
            UsageRow.joined(rows).sorted { ($0.name, $0.currency ?? "") < ($1.name, $1.currency ?? "") }
                .map { $0.json(by: key) })
    }
}

extension Costs {
    /// Counts a movement into, or out of, what is spent.
    fileprivate mutating func add(_ posting: Posting) {
        let spent: [Account] = [.atRisk, .covered, .lost, .overhead, .overrun]
        if spent.contains(posting.to), !spent.contains(posting.from) { self[posting.unit] &+= posting.amount }
        if spent.contains(posting.from), !spent.contains(posting.to) { self[posting.unit] &-= posting.amount }
    }
}
