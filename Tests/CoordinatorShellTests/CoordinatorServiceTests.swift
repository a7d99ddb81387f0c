import Budgeting
import Coordination
import Foundation
import Hashing
import Terms
import Testing

@testable import CoordinatorShell

/// A running coordinator and what clients ask of it.
@Suite(.serialized) struct CoordinatorServiceTests {
    @Test func `what goes wrong with a request is its answer, and the next one is answered`() throws {
        let office = try Office()
        office.run()
        let data = office.folder.appendingPathComponent("data.cache").path
        #expect(try office.submit(data: data)["state"]?.string == "QUEUED")
        #expect(try office.ask([("op", .string("cancel")), ("job", .int(1))])["state"]?.string == "CANCELLED")
        // The coordinator can't write the second one's folder: a file stands in its place.
        try Data().write(to: office.folder.appendingPathComponent("head/jobs/2"))
        #expect(try office.submit(data: data + "2")["error"]?.string != nil)
        try FileManager.default.removeItem(at: office.folder.appendingPathComponent("head/jobs/2"))
        #expect(try office.submit(data: data + "3")["job"]?.int == 2)
        #expect(try office.ask([("op", .string("jobs"))]).array?.count == 2)
    }

    @Test func `no checkpoint is promised of a job at rest`() throws {
        let office = try Office()
        office.run()
        _ = try office.submit(data: office.folder.appendingPathComponent("data.cache").path)
        let order: (String) -> [(String, JSONValue)] = { [("op", .string($0)), ("job", .int(1))] }
        #expect(try office.ask(order("checkpoint"))["error"] == nil)
        #expect(try office.ask(order("pause"))["state"]?.string == "PAUSED")
        let refused = try office.ask(order("checkpoint"))
        #expect(refused["error"]?.string?.contains("PAUSED") == true)
    }

    @Test func `run keys of a job at rest change when it is resumed, and nothing that decides the result does`() throws
    {
        let office = try Office()
        office.run()
        _ = try office.submit(data: office.folder.appendingPathComponent("data.cache").path)
        func ask(_ operation: String, _ more: [(String, JSONValue)] = []) throws -> JSONValue {
            try office.ask([("op", .string(operation)), ("job", .int(1))] + more)
        }
        func description() throws -> JobDescription {
            try JobDescription(decoding: Array((ask("resolved")["description"]?.string ?? "").utf8))
        }
        let before = try description()
        var wanted = before
        (wanted.workersMax, wanted.saveSteps, wanted.peakRate) = (3, 5, 0.5)
        wanted.budget[.steps] = 3
        wanted.budget[.tokens] = 1
        let change: [(String, JSONValue)] = [
            ("description", .string(String(decoding: wanted.encoded(), as: UTF8.self))),
            ("resolved", .string("name: other\n")), ("limits", .array([.string("steps")])),
        ]
        #expect(try ask("resume", change)["error"]?.string?.contains("while it is paused") == true)
        #expect(try description() == before)

        _ = try ask("pause")
        #expect(try ask("resume", change)["state"]?.string == "QUEUED")
        let after = try description()
        #expect(after.workersMax == 3 && after.saveSteps == 5 && after.peakRate == before.peakRate)
        #expect(after.budget[.steps] == 3 && after.budget[.tokens] == nil, "only the limits that are named")
        #expect(try ask("resolved")["resolved"]?.string == "name: other\n")
        #expect(try ask("budget")["limits"]?["steps"]?.int == 3)
    }

    @Test func `the budget of a project that nobody has is refused, unless it is its first limit`() throws {
        let office = try Office()
        office.run()
        func budget(_ project: String, _ more: [(String, JSONValue)] = []) throws -> JSONValue {
            try office.ask([("op", .string("budget")), ("project", .string(project))] + more)
        }
        _ = try office.submit(data: office.folder.appendingPathComponent("data.cache").path)

        #expect(try budget("default")["jobs"]?.array?.count == 1)
        #expect(try budget("lab")["error"]?.string?.contains("no project `lab`") == true)
        #expect(try budget("lab", [("add", .string("5 steps"))])["limits"]?["steps"]?.int == 5)
        #expect(try budget("lab")["limits"]?["steps"]?.int == 5)
    }

    @Test func `a job that is opened again takes run keys and places of files, and nothing that decides the result`()
        throws
    {
        let office = try Office()
        let data = office.folder.appendingPathComponent("data.cache").path
        let before = try office.description(data: data)
        try office.service.submit(before)
        let moved = office.folder.appendingPathComponent("moved.cache").path
        try FileManager.default.moveItem(atPath: data, toPath: moved)
        var wanted = before
        (wanted.saveSteps, wanted.name) = (5, "other")
        wanted.files[0].path = moved
        (wanted.peakRate, wanted.shuffleSeed, wanted.totalSequences) = (0.5, 8, 4)
        wanted.training = .members(["seed": .string("1")])

        _ = try office.service.reopen(JobID(1), amended: wanted)

        var expected = before
        (expected.saveSteps, expected.name) = (5, "other")
        expected.files[0].path = moved
        #expect(office.service.job(JobID(1))?.description == expected)
        // Another file is not the job's, wherever it lies.
        wanted.files[0].digest = Digest.sha256(of: "other")
        wanted.files[0].path = "/nowhere"
        _ = try office.service.reopen(JobID(1), amended: wanted)
        #expect(office.service.job(JobID(1))?.description == expected)
    }

    @Test func `jobs go on in a coordinator's folder that was put elsewhere, with the data that lies in it`() throws {
        let office = try Office()
        let data = office.folder.appendingPathComponent("head/jobs/1/data")
        try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
        try office.service.submit(office.description(data: data.path + "/a.tokens"))
        let other = office.folder.appendingPathComponent("other")
        try FileManager.default.createDirectory(at: other, withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            at: office.folder.appendingPathComponent("head"), to: other.appendingPathComponent("head"))
        try FileManager.default.removeItem(at: data)

        let (service, _) = try Office.open(other)

        let run = try #require(service.job(JobID(1)))
        #expect(!run.state.isAtRest, "\(run.reason)")
        #expect(run.description.files.map(\.path) == [other.path + "/head/jobs/1/data/a.tokens"])
        #expect(
            try service.file(of: JobID(1), #require(run.description.files.first).digest)
                == run.description.files[0].path)
        // Where nothing is found, the job fails with the path that is on record.
        try FileManager.default.removeItem(at: other.appendingPathComponent("head/jobs/1/data"))
        let last = office.folder.appendingPathComponent("last")
        try FileManager.default.createDirectory(at: last, withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            at: other.appendingPathComponent("head"), to: last.appendingPathComponent("head"))
        let lost = try #require(try Office.open(last).0.job(JobID(1)))
        #expect(lost.state == .failed && lost.reason.contains(other.path))
    }

    @Test func `a client that reads slowly gets every line of a long log`() throws {
        let office = try Office()
        let data = office.folder.appendingPathComponent("data.cache").path
        let description = try office.description(data: data)
        office.service.order(.submit(description) { _ in })
        office.run()
        #expect(try office.ask([("op", .string("show")), ("job", .int(1))])["job"]?.int == 1)
        let padding = String(repeating: "x", count: 8000)
        let lines = (1...3000).map { "{\"current_steps\":\($0),\"padding\":\"\(padding)\"}\n" }.joined()
        let folder = office.folder.appendingPathComponent("head/jobs/1")
        try lines.write(to: folder.appendingPathComponent("trainer_log.jsonl"), atomically: true, encoding: .utf8)

        let request = try office.send([
            ("op", .string("follow")), ("job", .int(1)), ("after_step", .int(10)), ("live", .bool(false)),
        ])
        // More than sockets and queues hold waits in the log.
        usleep(1_000_000)
        let answers = try office.replies(to: request)

        #expect(answers.compactMap { $0["current_steps"]?.int } == Array(11...3000))
        #expect(answers.last?["event"]?.string == "state")
        #expect(try office.ask([("op", .string("jobs"))]).array?.count == 1)
    }
}
