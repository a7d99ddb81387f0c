import Foundation
import Terms
import Testing

/// The promise: the result depends on the job, not on what happened to the processes.
@Suite(.serialized) struct ExactnessTests {
    @Test func `one, two and three workers end with the same bits`() throws {
        var digests: [String?] = []
        for workers in 1...3 {
            let scene = try Scene()
            let outcome = try scene.run("train", "job.yaml", "--workers", "\(workers)", "--json")
            #expect(outcome.code == 0, "\(outcome.errors)")
            digests.append(outcome.digest)
        }
        #expect(digests[0] != nil)
        #expect(digests.allSatisfy { $0 == digests[0] })
    }

    @Test(arguments: ["bf16", "int8"])
    func `compressed gradients end with the same bits on any number of workers, and with others than fp32`(wire: String)
        throws
    {
        var digests: [String?] = []
        for workers in 1...3 {
            let scene = try Scene(extra: "gradient_wire: \(wire)")
            let outcome = try scene.run("train", "job.yaml", "--workers", "\(workers)", "--json")
            #expect(outcome.code == 0, "\(outcome.errors)")
            digests.append(outcome.digest)
        }
        #expect(digests[0] != nil && digests.allSatisfy { $0 == digests[0] })
        #expect(try Scene().run("train", "job.yaml", "--workers", "1", "--json").digest != digests[0])
    }

    @Test func `threads change nothing`() throws {
        let (one, three) = (try Scene(), try Scene())
        let first = try one.run("train", "job.yaml", "--workers", "1", "--threads", "1", "--json")
        let second = try three.run("train", "job.yaml", "--workers", "1", "--threads", "3", "--json")
        #expect(first.digest != nil && first.digest == second.digest)
    }

    @Test func `a bf16 job ends with the same bits on any workers, threads and way through, and not with fp32's`()
        throws
    {
        func run(_ extra: String, _ arguments: String...) throws -> String? {
            let scene = try Scene(epochs: 3, extra: extra)
            let outcome = try scene.run("train", arguments)
            #expect(outcome.code == 0, "\(outcome.errors)")
            let resolved = try String(
                contentsOf: scene.folder.appendingPathComponent("run/resolved.yaml"), encoding: .utf8)
            #expect(resolved.contains("precision: \(extra.contains("bf16") ? "bf16" : "fp32")\n"))
            return outcome.digest
        }
        let one = try run("precision: bf16", "job.yaml", "--workers", "1", "--threads", "1", "--json")
        let other = try run(
            "precision: bf16\ngradient_checkpointing: true", "job.yaml", "--workers", "3", "--threads", "2", "--json")
        let exact = try run("precision: fp32", "job.yaml", "--workers", "1", "--json")
        // A narrow model: auto is fp32 on every machine.
        let automatic = try run("", "job.yaml", "--workers", "1", "--json")

        #expect(one != nil && one == other)
        #expect(exact != nil && exact != one && exact == automatic)
    }

    @Test(arguments: [1, 2, 3])
    func `a run killed at a random moment and resumed with other workers ends with the same bits`(seed: Int) throws {
        let undisturbed = try Scene(epochs: 30)
        let expected = try undisturbed.run("train", "job.yaml", "--workers", "1", "--json")
        let scene = try Scene(epochs: 30)
        let random = Philox(seed: UInt64(seed), purpose: .probe)
        for attempt in 0..<3 {
            let workers = "\(1 + random.below(3, UInt64(attempt)))"
            let running =
                attempt == 0
                ? try scene.start("train", "job.yaml", "--workers", workers, "--json")
                : try scene.start("resume", "run", "--workers", workers, "--json")
            usleep(UInt32(200_000 + random.below(1_500_000, UInt64(10 + attempt))))
            kill(running.process.processIdentifier, SIGKILL)
            _ = running.outcome()
        }
        let started = FileManager.default.fileExists(
            atPath: scene.folder.appendingPathComponent("run/resolved.yaml").path)
        let outcome =
            started
            ? try scene.run("resume", "run", "--workers", "2", "--json")
            : try scene.run("train", "job.yaml", "--workers", "2", "--json")

        #expect(outcome.end["state"]?.string == "DONE", "\(outcome.errors)")
        #expect(expected.digest != nil && outcome.digest == expected.digest)
        #expect(try scene.loggedSteps() == Array(1...(outcome.end["steps"]?.int ?? 1)))
    }

    @Test func `workers killed one after another cost no step and change no bit`() throws {
        let undisturbed = try Scene(epochs: 30)
        let expected = try undisturbed.run("train", "job.yaml", "--workers", "1", "--json")
        let scene = try Scene(epochs: 30)
        let running = try scene.start("train", "job.yaml", "--workers", "3", "--json")
        var killed = 0
        for moment in 0..<3 {
            usleep(500_000)
            guard running.process.isRunning, let worker = running.children.dropFirst(moment % 2).first else { continue }
            kill(worker, SIGKILL)
            killed += 1
        }
        let outcome = running.outcome()

        #expect(killed > 0)
        #expect(outcome.end["state"]?.string == "DONE", "\(outcome.errors)")
        #expect(outcome.digest == expected.digest)
        let steps = outcome.lines.filter { $0["event"]?.string == "step" }.compactMap { $0["current_steps"]?.int }
        #expect(steps == Array(1...(outcome.end["steps"]?.int ?? 1)))
    }

    @Test func `local workers die with their coordinator`() throws {
        let scene = try Scene(epochs: 200)
        let running = try scene.start("train", "job.yaml", "--workers", "2", "--json")
        var workers: [pid_t] = []
        for _ in 0..<100 where workers.count < 2 {
            usleep(50_000)
            workers = running.children
        }
        kill(running.process.processIdentifier, SIGKILL)
        _ = running.outcome()
        for _ in 0..<100 where workers.contains(where: Scene.isAlive) { usleep(50_000) }

        #expect(workers.count == 2)
        #expect(!workers.contains(where: Scene.isAlive))
    }

    @Test func `an interrupted run pauses with a checkpoint and goes on to the same bits`() throws {
        let undisturbed = try Scene(epochs: 40)
        let expected = try undisturbed.run("train", "job.yaml", "--workers", "1", "--json")
        let scene = try Scene(epochs: 40)
        let running = try scene.start("train", "job.yaml", "--workers", "2", "--json")
        try scene.waitForLog(lines: 20)
        kill(running.process.processIdentifier, SIGINT)
        let paused = running.outcome()
        let outcome = try scene.run("resume", "run", "--workers", "1", "--json")

        #expect(paused.code == 130)
        #expect(paused.end["state"]?.string == "PAUSED", "\(paused.errors)")
        #expect(outcome.digest == expected.digest)
    }

    @Test func `a finished run prints its end again and exits with 0`() throws {
        let scene = try Scene(epochs: 2)
        let first = try scene.run("train", "job.yaml", "--json")
        let again = try scene.run("resume", "run", "--json")

        #expect(again.code == 0)
        #expect(again.end["event"]?.string == "end")
        #expect(first.digest != nil && again.digest == first.digest)
    }

    @Test func `a limit of steps ends the job with code 3, and a higher one continues it`() throws {
        let whole = try Scene()
        let expected = try whole.run("train", "job.yaml", "--workers", "1", "--json")
        let scene = try Scene()
        let stopped = try scene.run("train", "job.yaml", "budget.steps=9", "--workers", "1", "--json")
        #expect(stopped.code == 3)
        #expect(stopped.end["steps"]?.int == 9)
        #expect(stopped.end["state"]?.string == "BUDGET_EXHAUSTED")

        let outcome = try scene.run("resume", "run", "budget.steps=1000", "--json")
        #expect(outcome.end["state"]?.string == "DONE", "\(outcome.errors)")
        #expect(outcome.digest == expected.digest)
    }
}
