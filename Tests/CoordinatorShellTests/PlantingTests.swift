import Checkpoints
import Coordination
import Foundation
import Recipes
import StorageShell
import Terms
import Testing
import Wire

@testable import CoordinatorShell

/// Jobs that begin with another job's checkpoint.
@Suite struct PlantingTests {
    /// A coordinator with a job that has a checkpoint of step 2.
    private func office() throws -> (office: Office, description: JobDescription) {
        let office = try Office()
        var description = try office.description(data: office.folder.appendingPathComponent("data.cache").path)
        description.tensors = [TrainedTensor(name: "w", shape: [4])]
        try office.service.submit(description)
        let desk = try #require(office.service.desk(JobID(1))).checkpoints
        desk.collect(
            2, attempt: 1, kind: .user, isReadBack: true,
            progress: .init(
                epoch: 1, generation: Generation(1), tokens: 24, samples: 8, digest: 77, plan: [],
                budget: .object(JSONObject())))
        for role in UInt8(0)..<3 {
            var header = DataHeader(
                kind: .checkpoint, job: JobID(1), generation: Generation(1), step: 2, offset: 0, count: 4,
                sender: NodeID(high: 1, low: 1))
            (header.role, header.attempt) = (role, 1)
            desk.receive(header, [UInt8](repeating: role, count: 16))
        }
        let end = Date().addingTimeInterval(60)
        while try desk.store.scan(CheckpointDesk.run).records.isEmpty, Date() < end { usleep(1000) }
        return (office, description)
    }

    private func submission(_ description: JobDescription, from step: Step) -> [(String, JSONValue)] {
        [
            ("op", .string("submit")), ("resolved", .string("name: other\n")),
            ("description", .string(String(decoding: description.encoded(), as: UTF8.self))),
            ("branch", .members(["job": .int(1), "step": .int(step)])),
            ("request", .string(String(repeating: "7", count: 32))),
        ]
    }

    private func result(_ office: Office, _ task: Int) throws -> JSONValue {
        let end = Date().addingTimeInterval(60)
        while Date() < end {
            let now = try office.ask([("op", .string("task")), ("task", .int(task))])
            if now["done"]?.bool == true { return now["answer"] ?? .null }
            usleep(10_000)
        }
        return .null
    }

    @Test func `the state of a branch is copied beside the loop, and the job begins with it`() throws {
        let (office, description) = try office()
        office.run()

        let begun = try office.ask(submission(description, from: 2))
        let task = try #require(begun["task"]?.int)
        // Asked again it is not begun twice: the same task, or what came of it.
        let again = try office.ask(submission(description, from: 2))
        #expect(again["task"]?.int == task || again["job"]?.int == 2)

        #expect(try result(office, task)["job"]?.int == 2)
        let jobs = try office.ask([("op", .string("jobs"))]).array ?? []
        #expect(jobs.map { $0["step"]?.int } == [0, 2])
        let store = try CheckpointStore.openReading("\(office.folder.path)/head/jobs/2/checkpoints")
        let record = try #require(try store.scan(CheckpointDesk.run).records.first)
        #expect(try store.verify(record).isEmpty)
        #expect(record.manifest.job == JobID(2) && record.manifest.step == 2)
    }

    @Test func `a checkpoint that is not there is the task's answer, and leaves nothing behind`() throws {
        let (office, description) = try office()
        office.run()

        let task = try #require(try office.ask(submission(description, from: 3))["task"]?.int)
        #expect(try result(office, task)["error"]?.string?.contains("no checkpoint of step 3") == true)
        #expect(try office.ask([("op", .string("jobs"))]).array?.count == 1)
        let left = try? FileManager.default.contentsOfDirectory(atPath: "\(office.folder.path)/head/planting")
        #expect((left ?? []).isEmpty)
    }
}
