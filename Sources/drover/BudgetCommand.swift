import ArgumentParser
import Budgeting
import CoordinatorShell
import Foundation
import ModelFiles
import Terms

/// `drover budget`: what a job, or a project, may spend and has spent.
struct BudgetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "budget", abstract: "Shows and raises the limits of a job or a project.",
        subcommands: [ShowBudget.self, Add.self])

    /// Whose budget it is.
    struct Target: ParsableArguments {
        @Argument(help: "A run directory; with --coordinator a job's number or a project's name.")
        var owner: String
        @Option(help: "The coordinator's HOST:PORT.")
        var coordinator: String?
        @Option(help: "A token from `drover client invite`; needed once.")
        var token: String?
        @Flag(help: "JSON on standard output.")
        var json = false

        /// Asks whoever knows; `added` raises a limit first.
        func ask(adding added: String? = nil) throws -> JSONValue {
            var request = JSONObject([(key: "op", value: .string("budget"))])
            request["add"] = added.map(JSONValue.string)
            if let coordinator {
                if let job = Int(owner) { request["job"] = .int(job) } else { request["project"] = .string(owner) }
                return try CoordinatorClient.connect(coordinator, token: token).ask(.object(request))
            }
            let door = try RunDoor(owner)
            guard var run = try door.resting() else {
                request["job"] = .int(Int(RunDoor.job.number))
                return try door.client().ask(.object(request))
            }
            if let added {
                do { try run.raise(RunDoor.job, by: added) } catch { throw Failure.input(Failure.sentence(error)) }
            }
            return try run.budget(RunDoor.job)
        }

        func show(_ report: JSONValue) {
            guard !json else { return Output.json(report) }
            func cell(_ part: String, _ unit: BudgetUnit) -> String {
                report[part]?[unit.key]?.double.map { LiveView.decimals($0, unit.isExact ? 0 : 4) } ?? "–"
            }
            let rows = BudgetUnit.allCases.map { unit in
                [
                    unit.key, cell("limits", unit), cell("spent", unit), cell("reserved", unit), cell("lost", unit),
                    cell("overhead", unit),
                ]
            }
            Output.line(Output.table(["UNIT", "LIMIT", "SPENT", "RESERVED", "LOST", "OVERHEAD"], rows))
            if let postings = report["postings"]?.int {
                let chain = report["chain_ok"]?.bool == true ? "the chain holds" : "THE CHAIN IS BROKEN"
                let method = report["measured"]?["energy"]?.string ?? "modelled"
                Output.line(
                    "\(postings) postings, \(chain); energy is \(method), money is reckoned from it and core time")
            }
        }
    }

    struct ShowBudget: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "show", abstract: "Shows limits and balances.")
        @OptionGroup var target: Target

        func run() throws {
            let report = try target.ask()
            target.show(report)
            if report["chain_ok"]?.bool == false { throw Failure.ended(code: 1) }
        }
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Raises a limit.",
            discussion:
                "A job whose budget ran out goes on with it after `drover resume`; one that runs plans anew at once.")
        @OptionGroup var target: Target
        @Argument(help: "200core-h, 36h, \"5M tokens\", \"500 steps\", \"12 kWh\" or \"60 EUR\".")
        var amount: [String]

        func run() throws { target.show(try target.ask(adding: amount.joined(separator: " "))) }
    }
}

/// `drover usage`: what was spent, added up.
struct Usage: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Adds up what jobs have spent.")
    @Argument(help: "Run directories; none with --coordinator.")
    var runs: [String] = []
    @Option(help: "project, user or job.")
    var by = "project"
    @Option(help: "Only what was charged since this day, YYYY-MM-DD.")
    var since: String?
    @Option(help: "The coordinator's HOST:PORT.")
    var coordinator: String?
    @Option(help: "A token from `drover client invite`; needed once.")
    var token: String?
    @Flag(help: "JSON on standard output.")
    var json = false

    func validate() throws {
        guard ["project", "user", "job"].contains(by) else { throw ValidationError("--by takes project, user or job") }
        guard coordinator == nil || runs.isEmpty else { throw ValidationError("give run directories or --coordinator") }
        guard coordinator != nil || !runs.isEmpty else {
            throw ValidationError("give run directories, or --coordinator")
        }
        if let since, Self.milliseconds(since) == nil {
            throw ValidationError("--since takes YYYY-MM-DD, not `\(since)`")
        }
    }

    /// The beginning of a day in UTC.
    private static func milliseconds(_ day: String) -> Int? {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withFullDate]
        return formatter.date(from: day).map { Int($0.timeIntervalSince1970 * 1000) }
    }

    func run() throws {
        let start = since.flatMap(Self.milliseconds) ?? 0
        let request = JSONValue.members(["op": .string("usage"), "by": .string(by), "since": .int(start)])
        var rows: [JSONValue] = []
        if let coordinator {
            rows = try CoordinatorClient.connect(coordinator, token: token).ask(request).array ?? []
        } else {
            for run in runs {
                let door = try RunDoor(run)
                let report = try door.resting()?.usage(by: by, since: Int64(start)) ?? door.client().ask(request)
                rows = Self.merge(rows, (report.array ?? []).map { by == "job" ? Self.renamed($0, run) : $0 }, by)
            }
        }
        if json { return Output.json(.array(rows)) }
        let units = BudgetUnit.allCases
        Output.line(
            Output.table(
                [by.uppercased(), "JOBS"] + units.map { $0.key.uppercased() },
                rows.map { row in
                    [row[by]?.string ?? "", "\(row["jobs"]?.int ?? 0)"]
                        + units.map { LiveView.decimals(row[$0.key]?.double ?? 0, $0.isExact ? 0 : 4) }
                }))
    }

    private static func renamed(_ row: JSONValue, _ run: String) -> JSONValue {
        var object = row.object ?? JSONObject()
        object["job"] = .string(run)
        return .object(object)
    }

    private static func merge(_ left: [JSONValue], _ right: [JSONValue], _ key: String) -> [JSONValue] {
        var merged = left
        for row in right {
            guard let place = merged.firstIndex(where: { $0[key]?.string == row[key]?.string }),
                var object = merged[place].object
            else {
                merged.append(row)
                continue
            }
            object["jobs"] = .int((object["jobs"]?.int ?? 0) + (row["jobs"]?.int ?? 0))
            for unit in BudgetUnit.allCases {
                object[unit.key] = .double((object[unit.key]?.double ?? 0) + (row[unit.key]?.double ?? 0))
            }
            merged[place] = .object(object)
        }
        return merged
    }
}
