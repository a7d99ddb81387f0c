package import Coordination
import Foundation
import Logging
import StorageShell
package import Terms
import Wire

extension CoordinatorService {
    /// Answers a client. What goes wrong with one request is its answer: nobody else's job ends with it.
    ///
    /// - Parameter key: who asks; nil without gate.
    func answer(_ id: UInt64, _ body: [UInt8], _ session: SessionID, by key: KeyBook.Entry?) throws {
        func reply(_ value: JSONValue) { send(.reply(id: id, last: true, body: value.encoded()), to: session) }
        guard let request = try? JSONValue.parse(body, limits: JSONLimits(depth: 32, values: 10_000)),
            let operation = request["op"]?.string
        else { return reply(Self.problem("a request is a JSON object with `op`")) }
        if operation == "follow", key?.role.granted == nil { return follow(request, id, session) }
        do { reply(try carryOut(operation, request, session, by: key)) } catch let lost as JournalLost {
            throw lost
        } catch {
            log.warning("\(operation): \(error)")
            reply(Self.problem("\(error)"))
        }
    }

    /// Does what a client asks for, and says what came of it.
    private func carryOut(
        _ operation: String, _ request: JSONValue, _ session: SessionID, by key: KeyBook.Entry?
    ) throws -> JSONValue {
        if operation == "enrol" { return try enrol(request, by: key) }
        guard key?.role.granted == nil else { return Self.problem("an invitation is good for enrolling only") }
        let name = request["request"]?.string.flatMap(RequestKey.init(hex:))
        // A client that asks again, because it heard nothing, gets the first answer: nothing is done twice.
        if let name, let known = core.answer(to: name), let run = core.job(known.job) {
            var answer = status(of: run).object ?? JSONObject()
            answer["state"] = .string(known.state.rawValue)
            return .object(answer)
        }
        if operation == "submit" { return try submit(request, name, by: key) }
        let job = request["job"]?.int.flatMap { UInt32(exactly: $0) }.map { JobID($0) }
        switch (operation, job) {
        case ("jobs", _): return .array(core.jobs.map(Self.status))
        case ("workers", _): return workers(includingAbsent: request["all"]?.bool == true)
        case ("files", _): return missingFiles(request, by: key)
        case ("upload", _): return try upload(request, session)
        case ("result", let job?): return result(job, step: request["step"]?.int)
        case ("checkpoints", let job?): return checkpoints(job, request)
        case ("task", _): return tasks.fetch(request)
        case ("invite", _): return try invite(request)
        case ("drain", _): return try drain(request)
        case ("revoke", _): return try revoke(request)
        case ("resolved", let job?):
            let file = FileManager.default.contents(atPath: "\(options.jobFolder(job))/resolved.yaml")
            let description = core.job(job).map { String(decoding: $0.description.encoded(), as: UTF8.self) }
            return .members([
                "resolved": file.map { .string(String(decoding: $0, as: UTF8.self)) } ?? .null,
                "description": description.map(JSONValue.string) ?? .null,
            ])
        case ("show", let job?): return core.job(job).map { status(of: $0) } ?? .null
        case ("budget", let job?): return try budget(job, request)
        case ("budget", nil): return try projectBudget(request)
        case ("usage", _): return try usage(request)
        case ("pause", let job?): return try order(.pause, job, name)
        case ("cancel", let job?): return try order(.cancel, job, name)
        case ("checkpoint", let job?): return try checkpoint(job, name)
        case ("resume", let job?):
            try requireReserve()
            try amend(job, request)
            try wake(job)
            try resume(job, request, name)
            return core.job(job).map { status(of: $0) } ?? Self.problem("no job \(job)")
        default: return Self.problem("unknown operation `\(operation)`")
        }
    }

    private func order(_ order: JobOrder, _ job: JobID, _ name: RequestKey?) throws -> JSONValue {
        guard core.job(job) != nil else { return Self.problem("no job \(job)") }
        try requireReserve()
        try feed(.ordered(order, job, request: name))
        return core.job(job).map { status(of: $0) } ?? .null
    }

    /// Asks for a checkpoint of a job that runs; of one at rest there is nothing new to save.
    private func checkpoint(_ job: JobID, _ name: RequestKey?) throws -> JSONValue {
        guard let run = core.job(job) else { return Self.problem("no job \(job)") }
        guard run.state.isAtRest else { return try order(.checkpoint, job, name) }
        let kept =
            run.saved > 0 ? "its newest checkpoint is of step \(run.saved)" : "it has no checkpoint"
        return Self.problem("job \(job) is \(run.state.rawValue) and makes no checkpoint: \(kept)")
    }

    /// Takes in a job whose description and job file the client has resolved.
    private func submit(_ request: JSONValue, _ name: RequestKey?, by key: KeyBook.Entry?) throws -> JSONValue {
        guard let text = request["description"]?.string, let yaml = request["resolved"]?.string else {
            throw DeskError(description: "a submission needs `description` and `resolved`")
        }
        let new = NewJob(
            description: try placed(JobDescription(decoding: Array(text.utf8)), by: key), yaml: yaml, name: name)
        if let origin = request["branch"] { return try plant(origin, for: new) }
        return try take(new)
    }

    /// One job with where its files are.
    func status(of run: JobRun) -> JSONValue {
        var object = Self.status(run).object ?? JSONObject()
        object["folder"] = .string(options.jobFolder(run.id))
        return .object(object)
    }

    /// One job as `drover jobs --json` shows it.
    package static func status(_ run: JobRun) -> JSONValue {
        .members([
            "job": .int(Int(run.id.number)), "name": .string(run.description.name),
            "state": .string(run.state.rawValue),
            "reason": .string(run.reason), "step": .int(run.committed), "total_steps": .int(run.plannedSteps),
            "tokens": .int(run.tokens), "loss": run.newest.map { .double($0.loss) } ?? .null,
            "workers": .int(run.workerCount), "generation": .int(Int(run.generation.number)),
            "project": .string(run.description.project), "priority": .int(run.description.priority),
        ])
    }

    static func problem(_ sentence: String) -> JSONValue { .members(["error": .string(sentence)]) }
}
