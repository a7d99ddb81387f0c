import Foundation
import Terms
import Testing

/// A coordinator and workers as separate processes.
@Suite(.serialized) struct ClusterTests {
    /// The digest that the job ends with on one worker of its own.
    private func expected(epochs: Int) throws -> String? {
        try Scene(epochs: epochs).run("train", "job.yaml", "--workers", "1", "--json").digest
    }

    @Test func `a job on a cluster ends with the bits of the local run, and its questions are answered afterwards`()
        throws
    {
        let expected = try expected(epochs: 6)
        let cluster = try Cluster(Scene())
        for name in ["w1", "w2"] { try cluster.join(name) }
        let outcome = try cluster.ask("train", "job.yaml", "--json")
        #expect(outcome.code == 0 && outcome.digest != nil && outcome.digest == expected, "\(outcome.errors)")

        for _ in 0..<5 {
            let jobs = try cluster.ask("jobs", "--json")
            #expect(jobs.end.array?.first?["state"]?.string == "DONE", "\(jobs.errors)")
        }
        let logs = try cluster.ask("logs", "1", "--json")
        #expect(logs.lines.count { $0["event"]?.string == "step" } == outcome.end["steps"]?.int)
        #expect(try cluster.ask("show", "1", "--json").end["step"]?.int == outcome.end["steps"]?.int)
        #expect(try cluster.ask("show", "7", "--json").code == 2)
        let top = try cluster.ask("top", "--once", "--json").end
        #expect(top["jobs"]?.array?.count == 1 && top["workers"]?.array?.count == 2)
        let adapter = cluster.scene.folder.appendingPathComponent("run/adapter/adapter_model.safetensors")
        #expect(FileManager.default.fileExists(atPath: adapter.path))

        // The folder holds this job's result now: no other one's is mixed with it.
        for keys in [["learning_rate=2e-3"], [], ["--resume", "never"]] {
            let other = try cluster.scene.start(
                ["train", "job.yaml", "--json", "--coordinator", cluster.address] + keys, user: "owner"
            ).outcome()
            #expect(other.code == 2 && other.errors.contains("output_dir"), "\(keys): \(other.errors)")
        }
        #expect(try cluster.ask("jobs", "--json").end.array?.count == 1)
    }

    @Test func `a job is paused, resumed and goes on to the same bits; another one is cancelled`() throws {
        let expected = try expected(epochs: 30)
        let cluster = try Cluster(Scene(epochs: 30))
        for name in ["w1", "w2"] { try cluster.join(name) }
        #expect(try cluster.ask("train", "job.yaml", "--detach", "--json").end["job"]?.int == 1)
        #expect(try cluster.wait("show", "1") { ($0["step"]?.int ?? 0) > 10 })
        #expect(try cluster.ask("pause", "1", "--json").code == 0)
        #expect(try cluster.wait("show", "1") { $0["state"]?.string == "PAUSED" })

        let end = try cluster.ask("resume", "1", "--json")
        #expect(end.digest != nil && end.digest == expected, "\(end.errors)")

        #expect(try cluster.ask("train", "job.yaml", "output_dir=other", "--detach", "--json").end["job"]?.int == 2)
        #expect(try cluster.wait("show", "2") { ($0["step"]?.int ?? 0) > 2 })
        #expect(try cluster.ask("cancel", "2", "--json").code == 0)
        #expect(try cluster.wait("show", "2") { $0["state"]?.string == "CANCELLED" })
        #expect(try cluster.ask("show", "1", "--json").end["state"]?.string == "DONE")
    }

    @Test func `the coordinator is killed and started again, a worker is killed, another comes, and no bit changes`()
        throws
    {
        let expected = try expected(epochs: 30)
        let cluster = try Cluster(Scene(epochs: 30))
        for name in ["w1", "w2"] { try cluster.join(name) }
        _ = try cluster.ask("train", "job.yaml", "--detach", "--json")
        #expect(try cluster.wait("show", "1") { ($0["step"]?.int ?? 0) > 10 })
        try cluster.restartCoordinator()
        #expect(try cluster.wait("show", "1") { ($0["step"]?.int ?? 0) > 40 })
        // Told to end, it saves first, and its workers outlive it.
        let before = try cluster.ask("show", "1", "--json").end["step"]?.int ?? 0
        let ended = try cluster.restartCoordinator(by: SIGTERM) {
            let saved = try cluster.scene.run("checkpoint", "ls", "head/jobs/1", "--json").end.array ?? []
            #expect(saved.contains { ($0["step"]?.int ?? 0) >= before })
            #expect(cluster.workers.allSatisfy { $0.process.isRunning })
        }
        #expect(ended.code == 0, "\(ended.errors)")
        kill(cluster.workers[0].process.processIdentifier, SIGKILL)
        try cluster.join("w3")
        let end = try cluster.ask("logs", "1", "-f", "--json")

        #expect(end.end["state"]?.string == "DONE", "\(end.errors)")
        #expect(end.digest != nil && end.digest == expected)
        let steps = end.lines.filter { $0["event"]?.string == "step" }.compactMap { $0["current_steps"]?.int }
        #expect(steps == Array(1...(end.end["steps"]?.int ?? 1)))
    }

    @Test func `a bit that flips in a worker's memory is noticed and named, and changes nothing`() throws {
        let expected = try expected(epochs: 30)
        let cluster = try Cluster(Scene(epochs: 30))
        try cluster.join("good")
        let bad = try cluster.join("bad", flippingBitAfter: 25)
        let end = try cluster.ask("train", "job.yaml", "--json")

        #expect(end.code == 0 && end.digest != nil && end.digest == expected, "\(end.errors)")
        let troubles = end.lines.filter {
            $0["event"]?.string == "trouble" && $0["text"]?.string?.contains("memory") == true
        }
        let name = try String(contentsOf: cluster.scene.folder.appendingPathComponent("bad/node"), encoding: .utf8)
        let workers = try cluster.ask("worker", "ls", "--json").end.array ?? []
        let number = workers.first { $0["node"]?.string == name }?["worker"]?.string
        #expect(troubles.count == 1 && number != nil && troubles.first?["worker"]?.string == number)
        #expect(bad.process.isRunning)
    }

    @Test func `a request that is asked again under its key is answered and not done again`() throws {
        let cluster = try Cluster(Scene(epochs: 200))
        let first = try cluster.ask(
            "train", "job.yaml", "--detach", "--json", "--request-key", String(repeating: "5a", count: 16))
        try cluster.restartCoordinator()
        let again = try cluster.ask(
            "train", "job.yaml", "--detach", "--json", "--request-key", String(repeating: "5a", count: 16))
        #expect(first.end["job"]?.int == 1 && again.end["job"]?.int == 1, "\(again.errors)")
        #expect(try cluster.ask("jobs", "--json").end.array?.count == 1)
    }

    // MARK: Closed to strangers

    @Test func `another user is let in by a token, once, and afterwards by the own key`() throws {
        let cluster = try Cluster(Scene())
        let stranger = try cluster.ask("jobs", user: "stranger")
        #expect(stranger.code == 2 && stranger.errors.contains("drover client invite"))

        let invited = try cluster.ask("client", "invite", "--json")
        let token = try #require(invited.end["token"]?.string)
        #expect(try cluster.ask("jobs", "--json", "--token", token, user: "friend").code == 0)
        #expect(try cluster.ask("jobs", "--json", user: "friend").code == 0)
        #expect(try cluster.ask("jobs", "--json", "--token", token, user: "friend").code == 0)
        let thief = try cluster.ask("jobs", "--json", "--token", token, user: "thief")
        #expect(thief.code == 2 && thief.errors.contains("used up"))
        let worker = try cluster.ask("jobs", "--json", "--token", cluster.token, user: "thief")
        #expect(worker.code == 2 && worker.errors.contains("for a worker"))
    }

    @Test func `a worker joins by the printed line, works, is revoked, and is told so`() throws {
        let cluster = try Cluster(Scene(epochs: 200))
        let worker = try cluster.join("far", token: cluster.token, user: "elsewhere")
        try cluster.join("near")
        #expect(try cluster.wait("worker", "ls") { $0.array?.count == 2 })
        _ = try cluster.ask("train", "job.yaml", "workers.min=1", "--detach", "--json")
        #expect(try cluster.wait("show", "1") { $0["workers"]?.int == 2 && ($0["step"]?.int ?? 0) > 5 })
        let list = try cluster.ask("worker", "ls", "--json").end.array ?? []
        let name = try String(contentsOf: cluster.scene.folder.appendingPathComponent("far/node"), encoding: .utf8)
        let far = try #require(list.first { $0["node"]?.string == name })
        let started = Date()
        #expect(try cluster.ask("worker", "revoke", name, "--json").end["revoked"]?.string == far["key"]?.string)
        let outcome = worker.outcome()
        #expect(Date().timeIntervalSince(started) < 5)
        #expect(outcome.code == 1 && outcome.errors.contains("join line"), "\(outcome.errors)")
        let again = try cluster.join("far", user: "elsewhere").outcome()
        #expect(again.code == 1 && again.errors.contains("drover worker invite"), "\(again.errors)")
        #expect(try cluster.wait("show", "1") { $0["workers"]?.int == 1 })
    }

    @Test func `a worker joins again by the same command; one that is away is listed, and can be revoked`() throws {
        let cluster = try Cluster(Scene())
        for _ in 0..<2 {
            let worker = try cluster.join("far", token: cluster.token, user: "elsewhere")
            #expect(try cluster.wait("worker", "ls") { $0.array?.count == 1 })
            kill(worker.process.processIdentifier, SIGKILL)
            #expect(try cluster.wait("worker", "ls") { $0.array?.isEmpty == true })
        }
        let all = try cluster.ask("worker", "ls", "--all", "--json").end.array ?? []
        let away = try #require(all.first)
        #expect(all.count == 1 && away["connected"]?.bool == false)
        let name = try #require(away["name"]?.string)
        #expect(try cluster.ask("worker", "revoke", name, "--json").end["revoked"] == away["key"])
        #expect(try cluster.ask("worker", "ls", "--all", "--json").end.array?.isEmpty == true)
        #expect(try cluster.join("far", user: "elsewhere").outcome().code == 1)
    }

    @Test func `a job trains on IPv6 addresses`() throws {
        guard let file = FileManager.default.contents(atPath: "/proc/net/if_inet6"), !file.isEmpty else { return }
        let cluster = try Cluster(Scene(epochs: 1), on: "[::1]")
        for name in ["w1", "w2"] { try cluster.join(name) }
        let outcome = try cluster.ask("train", "job.yaml", "--json")
        #expect(outcome.code == 0, "\(outcome.errors)")
    }

    // MARK: Trouble

    @Test func `a job whose files are gone fails alone, and goes on to the same bits once they are back`() throws {
        let expected = try expected(epochs: 20)
        let cluster = try Cluster(Scene(epochs: 20))
        let (data, aside) = (cluster.scene.folder.path + "/run/data", cluster.scene.folder.path + "/aside")
        try cluster.join("w1")
        _ = try cluster.ask("train", "job.yaml", "workers.min=1", "--detach", "--json")
        #expect(try cluster.wait("show", "1") { ($0["step"]?.int ?? 0) > 10 })
        try cluster.restartCoordinator { try FileManager.default.moveItem(atPath: data, toPath: aside) }
        let failed = try cluster.ask("show", "1", "--json").end
        #expect(failed["state"]?.string == "FAILED" && failed["reason"]?.string?.contains("can't go on") == true)
        let refused = try cluster.ask("resume", "1", "--json")
        #expect(refused.code == 2 && refused.errors.contains("/run/data"), "\(refused.errors)")
        #expect(try cluster.ask("checkpoint", "now", "1").code == 2)

        try FileManager.default.moveItem(atPath: aside, toPath: data)
        let resumed = try cluster.scene.start("resume", "1", "--json", "--coordinator", cluster.address)
        #expect(try cluster.wait("show", "1") { ($0["step"]?.int ?? 0) > 25 })
        _ = try cluster.ask("pause", "1")
        #expect(resumed.outcome().code == 130)
        // A byte of the newest checkpoint flips: it can't be healed from, an older one can.
        try flipNewestObject(in: cluster.scene.folder.path + "/head/jobs/1/checkpoints/objects")
        let damaged = try cluster.ask("resume", "1", "--json")
        #expect(damaged.code == 1 && damaged.end["reason"]?.string?.contains("can't be used") == true)
        let end = try cluster.ask("resume", "1", "--json")
        #expect(end.code == 0 && end.digest != nil && end.digest == expected, "\(end.errors)")

        #expect(try cluster.restartCoordinator(by: SIGTERM).code == 0)
        let after = try cluster.ask("logs", "1", "-f", "--json")
        #expect(after.digest == expected)
    }

    @Test func `a model that is shortened under a job is named, and put back costs neither a worker nor a bit`() throws
    {
        let expected = try expected(epochs: 60)
        let cluster = try Cluster(Scene(epochs: 60))
        let weights = try cluster.scene.ownWeights()
        let old = try Data(contentsOf: weights)
        for name in ["w1", "w2"] { try cluster.join(name) }
        _ = try cluster.ask("train", "job.yaml", "model_name_or_path=model", "--detach", "--json")
        #expect(try cluster.wait("show", "1") { ($0["step"]?.int ?? 0) > 10 })
        #expect(truncate(weights.path, 4096) == 0)
        func isNamed() -> Bool { cluster.workers.contains { $0.said.contains("somebody wrote to \(weights.path)") } }
        let deadline = Date().addingTimeInterval(60)
        while !isNamed(), Date() < deadline { usleep(50_000) }
        #expect(isNamed())
        let step = try cluster.ask("show", "1", "--json").end["step"]?.int
        usleep(500_000)
        #expect(try cluster.ask("show", "1", "--json").end["step"]?.int == step)

        // Written in place, as `cp` does it.
        let handle = try FileHandle(forWritingTo: weights)
        try handle.write(contentsOf: old)
        let end = try cluster.ask("logs", "1", "-f", "--json")
        #expect(end.code == 0 && end.digest != nil && end.digest == expected, "\(end.errors)")
        #expect(cluster.workers.allSatisfy { $0.process.isRunning })
    }

    /// Changes a byte in the middle of the youngest file below a folder.
    private func flipNewestObject(in folder: String) throws {
        let files = try FileManager.default.subpathsOfDirectory(atPath: folder).map { "\(folder)/\($0)" }
        let dated = try files.map { path in
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            let isFile = attributes[.type] as? FileAttributeType == .typeRegular
            return (path: path, date: isFile ? attributes[.modificationDate] as? Date ?? .distantPast : .distantPast)
        }
        let path = try #require(dated.max { $0.date < $1.date }).path
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[bytes.count / 2] ^= 1
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        try bytes.write(to: URL(fileURLWithPath: path))
    }

    @Test
    func `what a budget bought comes home, so does what a resumed job ends with; either is made again when it is lost`()
        throws
    {
        let expected = try expected(epochs: 6)
        let cluster = try Cluster(Scene())
        for name in ["w1", "w2"] { try cluster.join(name) }
        let first = try cluster.ask("train", "job.yaml", "budget.steps=12", "--json")
        #expect(first.code == 3 && first.digest != nil, "\(first.errors)")
        let adapter = cluster.scene.folder.path + "/run/adapter/adapter_model.safetensors"
        let bought = FileManager.default.contents(atPath: adapter)
        #expect(bought != nil)
        // What it bought is lost, and nothing more was granted: the last steps are computed again, and cost nothing.
        let objects = cluster.scene.folder.path + "/head/jobs/1/checkpoints/objects"
        func generation() throws -> Int { try cluster.ask("show", "1", "--json").end["generation"]?.int ?? 0 }
        try flipNewestObject(in: objects)
        var before = try generation()
        let mended = try cluster.ask("resume", "1", "--json")
        #expect(mended.code == 3 && mended.digest == first.digest, "\(mended.errors)")
        #expect(try generation() > before)
        #expect(try cluster.ask("budget", "show", "1", "--json").end["spent"]?["steps"]?.int == 12)

        #expect(try cluster.ask("budget", "add", "1", "2 steps").code == 0)
        #expect(try cluster.ask("resume", "1", "learning_rate=1e-5", "--json").code == 2)
        let second = try cluster.ask("resume", "1", "budget.steps=112", "workers.max=2", "save_steps=7", "--json")
        #expect(second.code == 0 && second.digest != nil && second.digest == expected, "\(second.errors)")
        #expect(FileManager.default.contents(atPath: adapter) != bought)
        let project = try cluster.ask("budget", "show", "default", "--json").end
        #expect(project["chain_ok"]?.bool == true && project["spent"]?["steps"]?.int == second.end["steps"]?.int)
        #expect(["reserved", "lost", "overhead"].allSatisfy { project[$0]?["core_hours"]?.double != nil })
        #expect((project["postings"]?.int ?? 0) > 0)
        // The same for a job that is done; then nothing more is to be done.
        try flipNewestObject(in: objects)
        before = try generation()
        let again = try cluster.ask("resume", "1", "--json")
        #expect(again.code == 0 && again.digest == expected, "\(again.errors)")
        let after = try generation()
        #expect(after > before)
        #expect(try cluster.ask("resume", "1", "--json").digest == expected && generation() == after)

        // The same data from a later step on, as another job: the same bits.
        let step = ((second.end["steps"]?.int ?? 0) - 1) / 7 * 7
        let branch = try cluster.ask("resume", "1", "--from", "\(step)", "--as", "other", "--json")
        #expect(branch.code == 0 && branch.digest == expected, "\(branch.errors)")
        #expect(branch.lines.first { $0["event"]?.string == "step" }?["current_steps"]?.int == step + 1)
    }

    @Test func `a worker that is drained ends its process with 0`() throws {
        let cluster = try Cluster(Scene())
        let worker = try cluster.join("w1")
        #expect(try cluster.wait("worker", "ls") { $0.array?.count == 1 })
        let name = try #require(try cluster.ask("worker", "ls", "--json").end.array?.first?["worker"]?.string)
        #expect(try cluster.ask("worker", "drain", name, "--json").code == 0)
        #expect(worker.outcome().code == 0)
        #expect(try cluster.ask("worker", "drain", name).code == 2)
    }

    @Test func `a client from elsewhere brings the files, and takes the trained adapter home`() throws {
        let expected = try expected(epochs: 6)
        let cluster = try Cluster(Scene())
        for name in ["w1", "w2"] { try cluster.join(name) }
        let token = try #require(try cluster.ask("client", "invite", "--json").end["token"]?.string)
        // The coordinator does not read this user's paths, as if they lay on another machine.
        let outcome = try cluster.ask("train", "job.yaml", "--json", "--token", token, user: "friend")
        #expect(outcome.code == 0 && outcome.digest != nil && outcome.digest == expected, "\(outcome.errors)")

        try #require(outcome.code == 0)
        let files = cluster.scene.folder.appendingPathComponent("head/files")
        #expect(try FileManager.default.contentsOfDirectory(atPath: files.path).allSatisfy { $0.count == 64 })
        #expect(try cluster.scene.loggedSteps() == Array(1...(outcome.end["steps"]?.int ?? 1)))
        let adapter = cluster.scene.folder.appendingPathComponent("run/adapter/adapter_model.safetensors")
        #expect(FileManager.default.fileExists(atPath: adapter.path))
        let verified = try cluster.scene.run("checkpoint", "verify", "run", "--json")
        #expect(verified.code == 0, "\(verified.errors)")
    }
}
