import ArgumentParser
import Budgeting
import Coordination
import Foundation
import JobSpecs
import Recipes
import Terms
import Testing

@testable import drover

/// What commands about budgets say of currencies and of how energy was found, and what `resume` refuses to change.
@Suite struct BudgetCommandTests {
    @Test func `a budget's table names the currency, and its last line how energy was found`() {
        let report = JSONValue.members([
            "limits": .members(["money": .double(60)]), "spent": .members(["steps": .int(7), "money": .double(1.5)]),
            "currency": .string("EUR"), "measured": .members(["energy": .string("measured")]),
        ])

        let lines = BudgetCommand.Target.table(report).split(separator: "\n")
        #expect(lines.last?.hasPrefix("money (EUR)") == true && lines.last?.contains("60.0000") == true)
        #expect(lines.filter { $0.contains("EUR") }.count == 1)
        #expect(BudgetCommand.Target.method(report).hasPrefix("; energy is measured, "))
        // An older coordinator does not say of a project.
        #expect(BudgetCommand.Target.method(.null) == "" && !BudgetCommand.Target.table(.null).contains("("))
    }

    @Test func `usage says the currency of each row's money, and how its energy was found`() {
        func row(_ money: Double, _ currency: JSONValue, _ method: JSONValue) -> JSONValue {
            .members([
                "project": .string("lab"), "jobs": .int(2), "money": .double(money), "currency": currency,
                "energy_method": method,
            ])
        }
        let rows = [row(1.5, .string("EUR"), .string("measured and modelled")), row(2, .string("USD"), .null)]

        let lines = Usage.table(rows, by: "project").split(separator: "\n")
        #expect(lines.count == 3 && lines[0].hasSuffix("MONEY  CURRENCY  ENERGY METHOD"))
        #expect(lines[1].contains("1.5000  EUR       measured and modelled"))
        #expect(lines[2].contains("2.0000  USD       –"))
    }

    @Test func `a run is charged in the currency of the card that was kept with it`() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("drover-card-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let card = folder.appendingPathComponent("rates.json")

        try Data(#"{"core_hour": 0.02, "currency": "CHF"}"#.utf8).write(to: card)
        #expect(Rates.currency(ofRun: folder.path) == "CHF")
        // One that can't be read names none.
        try Data("{".utf8).write(to: card)
        #expect(Rates.currency(ofRun: folder.path) == nil)
    }

    @Test(arguments: [true, false])
    func `an estimate says of each figure whether it was measured`(_ probe: Bool) throws {
        let arguments = probe ? ["job.yaml", "--probe"] : ["job.yaml"]
        let estimate = try Estimate.parse(arguments)
        func json(energy: Double?, money: Double?) -> JSONValue {
            estimate.json(
                Estimate.Row(
                    workers: 1, memoryBytes: 1000, wallSeconds: 10, coreHours: 1, energyWattHours: energy, money: money,
                    isProbed: probe))
        }

        let priced = json(energy: 2, money: 3)
        for key in ["memory_bytes", "wall_clock_s", "core_hours"] {
            #expect(priced["methods"]?[key]?.string == (probe ? "measured" : "modelled"))
        }
        #expect(priced["methods"]?["energy_wh"]?.string == "modelled")
        #expect(priced["methods"]?["money"]?.string == "modelled")
        #expect(priced["measured"]?.bool == false)
        let bare = json(energy: nil, money: nil)
        #expect(bare["measured"]?.bool == probe && bare["methods"]?["money"]?.isNull == true)
    }

    @Test func `a run is not moved by resuming it, and where the key says where it is, it may stand`() throws {
        let yaml = "model_name_or_path: m\ndataset:\n  - path: d.jsonl\n"
        let kept = try JobSpec.read(yaml: yaml, file: "job.yaml").get()
        func refuse(_ overrides: String...) throws {
            try Resume.refuseMove(of: kept, by: overrides, from: "/runs/a")
        }

        for wrong in ["output_dir=/runs/b", "output_dir=a", "output_dir=null"] {
            let error = #expect(throws: Failure.self) { try refuse("save_steps=5", wrong) }
            #expect(error.map { Failure.exitCode($0) } == 2)
            #expect(error?.description.contains("--from STEP --as NAME output_dir=") == true)
        }
        try refuse("output_dir=/runs/a/", "save_steps=5")
        try refuse("save_steps=5")
    }

    @Test func `a branch's name is the name of a folder, no path`() throws {
        for wrong in ["", "/", "a/b", "../a", ".", ".."] {
            let error = #expect(throws: Failure.self) { try Resume.refuseName(wrong) }
            #expect(error.map { Failure.exitCode($0) } == 2, "\(wrong)")
        }
        for name in ["slower", "a.b", "run-2", "größer"] { try Resume.refuseName(name) }
    }

    @Test func `a plan log has events, and ends where the job can`() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("drover-plan-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let log = folder.appendingPathComponent("plan.jsonl")
        for empty in ["", "\n\n"] {
            try Data(empty.utf8).write(to: log)
            let error = #expect(throws: Failure.self) { try PlanLog.read(log.path) }
            #expect(error?.description.contains("holds no plan event") == true)
        }
        let event = PlanEvent(after: 0, cause: .start, end: 9, limit: "steps")
        try Data((event.json.text + "\n").utf8).write(to: log)
        let events = try PlanLog.read(log.path)
        #expect(events == [event])

        var job = JobDescription(
            name: "job", parameters: 4, sequences: 8, globalBatch: 4, microBatch: 1, virtualShards: 4, shuffleSeed: 7,
            totalSequences: 36, beta1: 0.9, beta2: 0.999, schedule: .constant, peakRate: 1e-3, warmupRatio: 0)
        try PlanLog.refuse(events, of: "p", for: job)
        job.stepLimit = 7
        let error = #expect(throws: Failure.self) { try PlanLog.refuse(events, of: "p", for: job) }
        #expect(error?.description.contains("ends after step 9, budget.steps allows 7") == true)
        (job.stepLimit, job.totalSequences) = (9, 32)
        #expect(throws: Failure.self) { try PlanLog.refuse(events, of: "p", for: job) }
    }

    @Test func `small amounts keep the digits that count, and two that differ are told apart`() {
        #expect(Amount.significant(0.000_012_345, 3) == "0.0000123" && Amount.significant(1234.5, 3) == "1234")
        #expect(Amount.significant(0, 3) == "0" && Amount.significant(12.345, 3) == "12.3")
        #expect(Amount.text(0.0001, of: .money, currency: "EUR") == "0.000100 EUR")
        #expect(Amount.text(0.001, of: .coreTime) == "3.60 core-s" && Amount.text(2, of: .coreTime) == "2.00 core-h")
        #expect(Amount.text(90, of: .wallClock) == "1.50 min" && Amount.text(7200, of: .wallClock) == "2.00 h")
        #expect(Amount.text(0.012, of: .energy) == "12.0 Wh" && Amount.text(500, of: .tokens) == "500")
        let (one, other) = Amount.texts(1, 1.00001, of: .money, currency: nil)
        #expect(one == "1.00000" && other == "1.00001")
    }

    @Test func `an estimate's table has the range of each figure`() throws {
        let row = Estimate.Row(
            workers: 2, memoryBytes: 10 << 20, wallSeconds: 10, coreHours: 1, energyWattHours: nil, money: 0.002,
            isProbed: false)
        let cells = try Estimate.parse(["job.yaml"]).cells(row, "EUR")
        #expect(
            cells == [
                "2", "10.0 MiB (4.0 MiB – 20.0 MiB)", "10.0 s (3.0 s – 30 s)", "1.00 core-h (0.30 core-h – 3.0 core-h)",
                "–", "0.00200 EUR (0.00060 EUR – 0.0060 EUR)",
            ])
    }

    @Test func `usage counts from a day of the calendar on, written in full`() {
        #expect(Usage.milliseconds("1970-01-02") == 86_400_000 && Usage.milliseconds("2024-02-29") != nil)
        for wrong in [
            "2026-02-30", "2026-02-29", "2026-11-22x", "2026-1-1", "2026-13-01", "2026-00-10", "2026-01-00", "",
        ] {
            #expect(Usage.milliseconds(wrong) == nil, "\(wrong)")
        }
    }
}
