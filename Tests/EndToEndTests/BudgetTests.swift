import Foundation
import Terms
import Testing

/// A budget is a contract: the job ends inside it, annealed and safely on disk, and goes on when more is granted.
@Suite(.serialized) struct BudgetTests {
    private func report(_ scene: Scene) throws -> JSONValue {
        let outcome = try scene.run("budget", "show", "run", "--json")
        #expect(outcome.code == 0, "\(outcome.errors)")
        return outcome.end
    }

    private func number(_ report: JSONValue, _ part: String, _ unit: String) -> Double {
        report[part]?[unit]?.double ?? report[part]?[unit]?.int.map(Double.init) ?? -1
    }

    @Test func `steps run out, are topped up, and end with the bits of the run that was never limited`() throws {
        let free = try Scene()
        let expected = try free.run("train", "job.yaml", "--workers", "1", "--json")
        let scene = try Scene()
        let first = try scene.run("train", "job.yaml", "budget.steps=12", "--workers", "2", "--json")
        #expect(first.code == 3 && first.end["state"]?.string == "BUDGET_EXHAUSTED", "\(first.errors)")
        #expect(first.end["steps"]?.int == 12 && first.digest != nil)
        #expect(try scene.run("checkpoint", "verify", "run").code == 0)
        let saved = try scene.run("checkpoint", "ls", "run", "--json").end.array ?? []
        #expect(saved.contains { $0["kind"]?.string == "trunk" && $0["step"]?.int == 10 && $0["pinned"]?.bool == true })
        #expect(saved.contains { $0["kind"]?.string == "final" && $0["step"]?.int == 12 })
        let spent = try report(scene)
        #expect(number(spent, "spent", "steps") == 12 && number(spent, "limits", "steps") == 12)
        #expect(spent["chain_ok"]?.bool == true && number(spent, "reserved", "steps") == 0)

        let held = try scene.run("resume", "run", "--json")
        #expect(held.code == 3 && held.end["reason"]?.string?.hasPrefix("held") == true, "\(held.errors)")
        #expect(try scene.run("budget", "add", "run", "100 steps", "--json").code == 0)
        // What was granted stays granted when another limit is named.
        let second = try scene.run("resume", "run", "budget.wall_clock=1h", "--workers", "1", "--json")

        #expect(second.code == 0 && second.end["state"]?.string == "DONE", "\(second.errors)")
        #expect(expected.digest != nil && second.digest == expected.digest)
        #expect(try scene.loggedSteps() == Array(1...(expected.end["steps"]?.int ?? 0)))
        let after = try report(scene)
        #expect(number(after, "limits", "steps") == 112 && number(after, "limits", "wall_clock") == 3600)
        #expect(number(after, "lost", "core_hours") > 0)
        #expect(try scene.run("fsck", "run", "--json").end["sound"]?.bool == true)
    }

    @Test(arguments: [
        ("tokens=3000", "tokens=5000"), ("wall_clock=3s", "wall_clock=8s"),
        ("core_hours=4core-s", "core_hours=12core-s"),
        ("energy=0.01Wh", "energy=0.03Wh"), ("money=0.001 EUR", "money=0.003 EUR"),
    ])
    func `every kind of limit ends with exit code 3, within it, and verifies`(limit: String, more: String) throws {
        let scene = try Scene(epochs: 400)
        try scene.write(
            "{\"watts_per_core\": 9, \"core_hour\": 0.5, \"kwh\": 0.3, \"currency\": \"EUR\"}", to: "rates.json")
        let unit = String(limit.prefix { $0 != "=" })

        let outcome = try scene.run(
            "train", "job.yaml", "budget.\(limit)", "--workers", "2", "--threads", "1", "--rates", "rates.json",
            "--json")

        #expect(outcome.code == 3, "\(outcome.errors)")
        let spent = try report(scene)
        let (used, allowed) = (number(spent, "spent", unit), number(spent, "limits", unit))
        // Core time may be passed by a core-second a worker; energy and money follow it.
        let perCoreSecond = ["core_hours": 1 / 3600.0, "energy": 9 / 3.6e6, "money": 0.5 / 3600 + 0.3 * 9 / 3.6e6]
        #expect(used > 0 && used <= allowed + 2 * (perCoreSecond[unit] ?? 0), "\(used) of \(allowed)")
        #expect(used > 0.4 * allowed, "\(used) of \(allowed)")
        let usage = try scene.run("usage", "run", "--json").end.array?.first
        #expect(usage?["currency"]?.string == "EUR" && usage?["energy_method"]?.string == "modelled")
        #expect(try scene.run("checkpoint", "verify", "run").code == 0)
        let kinds = (try scene.run("checkpoint", "ls", "run", "--json").end.array ?? []).compactMap {
            $0["kind"]?.string
        }
        #expect(kinds.contains("final") && kinds.contains("trunk"))
        #expect(FileManager.default.fileExists(atPath: scene.folder.appendingPathComponent("run/adapter").path))

        // The rate card goes with the run.
        let resumed = try scene.run("resume", "run", "budget.\(more)", "--threads", "1", "--json")
        #expect(resumed.code == 3, "\(resumed.errors)")
        #expect(number(try report(scene), "spent", unit) > used)
    }

    @Test func `money spent in one currency is gone on with in no other, and the run stays as it was`() throws {
        let scene = try Scene()
        for currency in ["GBP", "EUR"] {
            try scene.write("{\"core_hour\": 0.5, \"currency\": \"\(currency)\"}", to: "\(currency).json")
        }
        let first = try scene.run(
            "train", "job.yaml", "budget.money=5 GBP", "budget.steps=9", "--rates", "GBP.json", "--workers", "1",
            "--json")
        #expect(first.code == 3, "\(first.errors)")
        func kept() throws -> [Data] {
            try ["resolved.yaml", "rates.json"].map {
                try Data(contentsOf: scene.folder.appendingPathComponent("run/\($0)"))
            }
        }
        let before = try kept()

        for change in ["budget.money=5 EUR", "budget.money=null"] {
            let refused = try scene.run("resume", "run", change, "budget.steps=13", "--rates", "EUR.json", "--json")
            #expect(refused.code == 2 && refused.errors.contains("spent money in GBP"), "\(refused.errors)")
            #expect(try kept() == before)
        }
        let next = try scene.run("resume", "run", "budget.steps=13", "--workers", "1", "--json")
        #expect(next.code == 3 && next.end["steps"]?.int == 13, "\(next.errors)")
    }

    /// Files in place of a processor's counters, which count on at forty watts until they are let go.
    private final class Counters: @unchecked Sendable {
        let root: URL
        private let zone: URL
        private let timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "counters"))
        private let begin = DispatchTime.now().uptimeNanoseconds

        init(in folder: URL) throws {
            root = folder.appendingPathComponent("powercap")
            zone = root.appendingPathComponent("intel-rapl:0")
            try FileManager.default.createDirectory(at: zone, withIntermediateDirectories: true)
            try "package-0\n".write(to: zone.appendingPathComponent("name"), atomically: true, encoding: .utf8)
            try "262143328850\n".write(
                to: zone.appendingPathComponent("max_energy_range_uj"), atomically: true, encoding: .utf8)
            try count()
            timer.schedule(deadline: .now(), repeating: .milliseconds(20))
            timer.setEventHandler { [unowned self] in try? count() }
            timer.resume()
        }

        func stop() { timer.cancel() }

        private func count() throws {
            // It comes round in the middle of the job.
            let microjoules =
                (262_143_328_850 - 60_000_000) + 40 * (DispatchTime.now().uptimeNanoseconds - begin) / 1000
            try "\(microjoules % 262_143_328_851)\n".write(
                to: zone.appendingPathComponent("energy_uj"), atomically: true, encoding: .utf8)
        }
    }

    @Test func `where the processors count energy, a budget of it needs no declared power and is measured`() throws {
        let scene = try Scene(epochs: 12_000)
        let counters = try Counters(in: scene.folder)
        defer { counters.stop() }
        let begin = Date()

        let outcome = try scene.run(
            "train", "job.yaml", "budget.energy=0.03Wh", "--workers", "2", "--threads", "1", "--powercap",
            counters.root.path, "--json")

        #expect(outcome.code == 3, "\(outcome.errors)")
        let seconds = Date().timeIntervalSince(begin)
        let spent = try report(scene)
        let joules = number(spent, "spent", "energy") * 3.6e6
        // Readings come once a second: what is drawn until the next one may pass the limit.
        #expect(joules > 40 && joules <= 108 + 40 && joules <= 40 * seconds, "\(joules) J in \(seconds) s")
        #expect(spent["measured"]?["energy"]?.string == "measured")
        let usage = try scene.run("usage", "run", "--json").end.array?.first
        #expect(usage?["energy_method"]?.string == "measured")
        #expect(outcome.end["energy_method"]?.string == "measured")
        #expect(abs((outcome.end["energy_wh"]?.double ?? 0) * 3600 - joules) < 0.01)
        #expect(try scene.run("fsck", "run", "--json").end["sound"]?.bool == true)
    }

    @Test func `a job that its budget leaves no room for is held with the numbers`() throws {
        let scene = try Scene()
        let outcome = try scene.run("train", "job.yaml", "budget.tokens=3", "--json")

        #expect(outcome.code == 3 && outcome.end["steps"]?.int == 0)
        #expect(outcome.end["reason"]?.string?.contains("budget.tokens allows 3") == true)
    }

    @Test func `a flipped byte is found, and the checkpoint before is used`() throws {
        let scene = try Scene()
        let expected = try scene.run("train", "job.yaml", "--workers", "1", "--json")
        let damaged = try Scene()
        _ = try damaged.run("train", "job.yaml", "budget.steps=12", "--workers", "1", "--json")
        try damaged.damageCheckpoint(of: 12)

        #expect(try damaged.run("checkpoint", "verify", "run").code == 1)
        _ = try damaged.run("budget", "add", "run", "100 steps")
        let outcome = try damaged.run("resume", "run", "--json")
        #expect(outcome.code == 0 && outcome.digest == expected.digest, "\(outcome.errors)")
    }

    @Test func `a branch goes on from a step, with other keys, and says where it comes from`() throws {
        let scene = try Scene()
        let whole = try scene.run("train", "job.yaml", "save_total_limit=20", "--workers", "1", "--json")
        let same = try scene.run("resume", "run", "--from", "14", "--as", "again", "--json")
        #expect(same.code == 0 && same.digest == whole.digest, "\(same.errors)")
        let other = try scene.run("resume", "run", "--from", "14", "--as", "slower", "learning_rate=1e-4", "--json")
        #expect(other.code == 0 && other.digest != nil && other.digest != whole.digest, "\(other.errors)")
        #expect(other.lines.contains { $0["event"]?.string == "step" && $0["current_steps"]?.int == 15 })
        #expect(!other.lines.contains { $0["event"]?.string == "step" && $0["current_steps"]?.int == 14 })

        let manifest = try scene.run("checkpoint", "show", "slower", "--step", "14", "--json").end
        #expect(manifest["extras"]?["branched_from"]?["step"]?.int == 14)
        #expect(try scene.run("resume", "run", "learning_rate=1e-4", "--json").code == 2)
    }

    @Test func `the same plan log gives the same bits, however fast the machine is`() throws {
        let measured = try Scene(epochs: 400)
        let first = try measured.run("train", "job.yaml", "budget.wall_clock=3s", "--workers", "2", "--json")
        let again = try Scene(epochs: 400)
        let plan = measured.folder.appendingPathComponent("run/plan.jsonl").path
        let second = try again.run("train", "job.yaml", "--plan", plan, "--workers", "1", "--json")

        #expect(first.code == 3 && second.code == 3, "\(second.errors)")
        #expect(first.digest != nil && first.digest == second.digest)
    }

    @Test func `a checkpoint is made on demand while the job runs`() throws {
        let scene = try Scene(epochs: 4000)
        let running = try scene.start("train", "job.yaml", "save_steps=0", "--workers", "1", "--json")
        try scene.waitForLog(lines: 5)
        #expect(try scene.run("checkpoint", "now", "run", "--json").code == 0)
        var kinds: [String] = []
        for _ in 0..<100 where !kinds.contains("user") {
            usleep(50_000)
            kinds = (try scene.run("checkpoint", "ls", "run", "--json").end.array ?? []).compactMap {
                $0["kind"]?.string
            }
        }
        #expect(kinds.contains("user"))
        // The run's own coordinator changes its store, and nobody deletes beside a save.
        let list = try scene.run("checkpoint", "ls", "run", "--json").end.array ?? []
        let step = try #require(list.first { $0["kind"]?.string == "user" }?["step"]?.int)
        let pinned = try scene.run("checkpoint", "pin", "run", "--step", "\(step)", "--json")
        #expect(pinned.code == 0 && pinned.end["pinned"]?.bool == true, "\(pinned.errors)")
        let pruned = try scene.run("checkpoint", "prune", "run", "--keep", "2", "--json")
        #expect(pruned.code == 2 && pruned.errors.contains("pause it first"), "\(pruned.errors)")
        #expect(try scene.run("checkpoint", "prune", "run", "--dry-run", "--json").code == 0)
        #expect(try scene.run("checkpoint", "show", "run", "--step", "\(step)", "--json").code == 0)
        // Somebody else goes on with it: refused, and nothing of the run is touched.
        let file = scene.folder.appendingPathComponent("run/resolved.yaml")
        let resolved = try Data(contentsOf: file)
        let refused = try scene.run("resume", "run", "save_steps=3", "--json")
        #expect(refused.code == 1 && refused.errors.contains("in use"), "\(refused.errors)")
        #expect(try Data(contentsOf: file) == resolved)
        #expect(try report(scene)["chain_ok"]?.bool == true)
        kill(running.process.processIdentifier, SIGINT)
        #expect(running.outcome().code == 130)
    }

    @Test func `an estimate counts what the job then counts, and says what does not fit`() throws {
        let scene = try Scene()
        let outcome = try scene.run("estimate", "job.yaml", "budget.tokens=500", "--workers", "1,2", "--json")
        let expected = try scene.run("train", "job.yaml", "--workers", "1", "--json").end

        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(
            outcome.end["steps"]?.int == expected["steps"]?.int && outcome.end["tokens"]?.int == expected["tokens"]?.int
        )
        #expect(outcome.end["fits"]?.bool == false && outcome.end["per_workers"]?.array?.count == 2)
        let row = try #require(outcome.end["per_workers"]?.array?.first)
        for name in ["wall_clock_s", "core_hours", "memory_bytes"] {
            let (value, range) = (row[name]?.double ?? -1, (row["\(name)_range"]?.array ?? []).compactMap(\.double))
            #expect(range.count == 2 && range[0] < value && value < range[1], "\(name)")
        }
        // What decides the memory of a worker is decided by how many there are, and more than its shards run no job.
        let rows = try scene.run("estimate", "job.yaml", "virtual_shards=4", "--workers", "1,8", "--json").end
        #expect(rows["fits"]?.bool == false && rows["per_workers"]?.array?.count == 1)
        #expect(
            rows["reasons"]?.array?.first?.string?.hasPrefix("8 workers: ") == true, "\(rows["reasons"]?.text ?? "")")
        let shaped = try scene.run("estimate", "job.yaml", "--workers", "1,64", "--json").end["per_workers"]?.array
        #expect((shaped?.first?["memory_bytes"]?.int ?? 0) < (shaped?.last?["memory_bytes"]?.int ?? 0))
        // A disk too small for what the job keeps.
        let wide = try scene.run("estimate", "job.yaml", "save_total_limit=1000000", "save_best=1000000", "--json").end
        #expect((wide["disk_bytes"]?.int ?? 0) > 1_900_000 * (wide["checkpoint_bytes"]?.int ?? 0))
        let free = try FileManager.default.attributesOfFileSystem(forPath: scene.folder.path)[.systemFreeSize] as? Int
        let isTooWide = (wide["disk_bytes"]?.int ?? 0) > (free ?? 0)
        #expect(wide["reasons"]?.text.contains("disk of output_dir") == isTooWide)
        let bytes = try scene.run("checkpoint", "ls", "run", "--json").end.array?.first?["bytes"]?.int
        #expect(outcome.end["checkpoint_bytes"]?.int == bytes)
        let usage = try scene.run("usage", "run", "--by", "job", "--json").end.array?.first
        #expect(usage?["tokens"]?.double == expected["tokens"]?.int.map(Double.init))
    }
}
