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
            return try run.budget(RunDoor.job, currency: Rates.currency(ofRun: owner))
        }

        func show(_ report: JSONValue) {
            guard !json else { return Output.json(report) }
            Output.line(Self.table(report))
            if let postings = report["postings"]?.int {
                let isWhole = report["chain_ok"]?.bool == true
                let chain = isWhole ? "the chain holds" : "THE CHAIN IS BROKEN: `drover fsck` says where"
                Output.line("\(postings) postings, \(chain)\(Self.method(report))")
            }
        }

        /// Limits and balances, a line for each unit; money says its currency, where one is named.
        static func table(_ report: JSONValue) -> String {
            func cell(_ part: String, _ unit: BudgetUnit) -> String {
                report[part]?[unit.key]?.double.map { LiveView.decimals($0, unit.isExact ? 0 : 4) } ?? "–"
            }
            let currency = report["currency"]?.string.map { " (\($0))" } ?? ""
            let rows = BudgetUnit.allCases.map { unit in
                [
                    unit.key + (unit == .money ? currency : ""), cell("limits", unit), cell("spent", unit),
                    cell("reserved", unit), cell("lost", unit), cell("overhead", unit),
                ]
            }
            return Output.table(["UNIT", "LIMIT", "SPENT", "RESERVED", "LOST", "OVERHEAD"], rows)
        }

        /// How energy was found, as the end of a sentence; nothing where the report does not say.
        static func method(_ report: JSONValue) -> String {
            guard let method = report["measured"]?["energy"]?.string else { return "" }
            return "; energy is \(method), money is reckoned from it and core time"
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
            throw ValidationError("--since takes a day of the calendar, YYYY-MM-DD, not `\(since)`")
        }
    }

    /// The beginning of a day in UTC, in milliseconds since 1970; nil for anything but a day of the calendar. The
    /// formatter alone takes the 30th of February, and whatever follows a day.
    static func milliseconds(_ day: String) -> Int? {
        guard let parts = day.wholeMatch(of: /([0-9]{4})-([0-9]{2})-([0-9]{2})/), let year = Int(parts.1),
            let month = Int(parts.2), let number = Int(parts.3), (1...12).contains(month)
        else { return nil }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...lengths[month - 1]).contains(number) else { return nil }
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withFullDate]
        return formatter.date(from: day).map { Int($0.timeIntervalSince1970 * 1000) }
    }

    func run() throws {
        let start = since.flatMap(Self.milliseconds) ?? 0
        let request = JSONValue.members(["op": .string("usage"), "by": .string(by), "since": .int(start)])
        var rows: [UsageRow] = []
        if let coordinator {
            rows = read(try CoordinatorClient.connect(coordinator, token: token).ask(request))
        } else {
            for run in runs {
                let door = try RunDoor(run)
                let report =
                    try door.resting()?.usage(by: by, since: Int64(start), currency: Rates.currency(ofRun: run))
                    ?? door.client().ask(request)
                rows += read(report).map { by == "job" ? Self.renamed($0, run) : $0 }
            }
            rows = UsageRow.joined(rows)
        }
        let report = rows.map { $0.json(by: by) }
        if json { return Output.json(.array(report)) }
        Output.line(Self.table(report, by: by))
    }

    private func read(_ report: JSONValue) -> [UsageRow] { (report.array ?? []).map { UsageRow($0, by: by) } }

    /// The number of a run's own job tells nobody which run it is.
    private static func renamed(_ row: UsageRow, _ run: String) -> UsageRow {
        var row = row
        row.name = run
        return row
    }

    /// A line for each row; behind the sums, the currency of the money and how the energy was found.
    static func table(_ rows: [JSONValue], by key: String) -> String {
        let units = BudgetUnit.allCases
        let head = [key.uppercased(), "JOBS"] + units.map { $0.key.uppercased() } + ["CURRENCY", "ENERGY METHOD"]
        let lines = rows.map { row -> [String] in
            let sums = units.map { LiveView.decimals(row[$0.key]?.double ?? 0, $0.isExact ? 0 : 4) }
            let words = ["currency", "energy_method"].map { row[$0]?.string ?? "–" }
            return [row[key]?.string ?? "", "\(row["jobs"]?.int ?? 0)"] + sums + words
        }
        return Output.table(head, lines)
    }
}

extension Rates {
    /// What a run of this machine is charged in where its own budget names no currency: its own card's, which is kept
    /// with it, else that of the user's.
    static func currency(ofRun folder: String) -> String? {
        let kept = path(in: folder)
        return (try? read(Disk.hasFile(kept) ? kept : nil))?.currency
    }
}
