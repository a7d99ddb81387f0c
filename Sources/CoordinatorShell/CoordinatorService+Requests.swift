package import Coordination
import Foundation
import StorageShell
package import Terms
import Wire

extension CoordinatorService {
    /// Answers a client.
    ///
    /// - Parameter key: who asks; nil without gate.
    func answer(_ id: UInt64, _ body: [UInt8], _ session: SessionID, by key: KeyBook.Entry?) throws {
        func reply(_ value: JSONValue) { send(.reply(id: id, last: true, body: value.encoded()), to: session) }
        guard let request = try? JSONValue.parse(body, limits: JSONLimits(depth: 32, values: 10_000)),
            let operation = request["op"]?.string
        else { return reply(Self.problem("a request is a JSON object with `op`")) }
        if operation == "enrol" { return reply(try enrol(request, by: key)) }
        guard key?.role.granted == nil else { return reply(Self.problem("an invitation is good for enrolling only")) }
        let name = request["request"]?.string.flatMap(RequestKey.init(hex:))
        // A client that asks again, because it heard nothing, gets the first answer: nothing is done twice.
        if let name, let known = core.answer(to: name), let run = core.job(known.job) {
            var answer = status(of: run).object ?? JSONObject()
            answer["state"] = .string(known.state.rawValue)
            return reply(.object(answer))
        }
        if operation == "submit" { return try submit(request, name, by: key, reply) }
        if operation == "follow" { return follow(request, id, session) }
        let job = request["job"]?.int.flatMap { UInt32(exactly: $0) }.map { JobID($0) }
        switch (operation, job) {
        case ("jobs", _): reply(.array(core.jobs.map(Self.status)))
        case ("workers", _): reply(.array(core.sessions.filter { $0.role == .worker }.map(status)))
        case ("files", _): reply(missingFiles(request, by: key))
        case ("upload", _): reply(try upload(request, session))
        case ("result", let job?): reply(result(job, step: request["step"]?.int))
        case ("checkpoints", let job?): reply(checkpoints(job, request))
        case ("task", _): reply(tasks.fetch(request))
        case ("invite", _): reply(try invite(request))
        case ("drain", _): reply(try drain(request))
        case ("revoke", _): reply(try revoke(request))
        case ("show", let job?): reply(core.job(job).map { status(of: $0) } ?? .null)
        case ("budget", let job?): reply(budget(job, request))
        case ("budget", nil): reply(try projectBudget(request))
        case ("usage", _): reply(usage(request))
        case ("pause", let job?), ("resume", let job?), ("cancel", let job?), ("checkpoint", let job?):
            guard let run = core.job(job) else { return reply(Self.problem("no job \(job)")) }
            let orders: [String: JobOrder] = [
                "pause": .pause, "cancel": .cancel, "checkpoint": .checkpoint,
            ]
            if operation == "resume" {
                try wake(job)
                try resume(job, request, name)
            } else {
                try feed(.ordered(orders[operation]!, job, request: name))
            }
            reply(Self.status(core.job(job) ?? run))
        default: reply(Self.problem("unknown operation `\(operation)`"))
        }
    }

    /// Takes in a job whose description and job file the client has resolved.
    private func submit(_ request: JSONValue, _ name: RequestKey?, by key: KeyBook.Entry?, _ reply: (JSONValue) -> Void)
        throws
    {
        do {
            guard let text = request["description"]?.string, let yaml = request["resolved"]?.string else {
                throw DeskError(description: "a submission needs `description` and `resolved`")
            }
            let description = try placed(JobDescription(decoding: Array(text.utf8)), by: key)
            let id = core.nextJob
            let folder = options.jobFolder(id)
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try AtomicFile.write("\(folder)/resolved.yaml", Array(yaml.utf8))
            try submit(description, request: name)
            reply(core.job(id).map { status(of: $0) } ?? .null)
        } catch { reply(Self.problem("\(error)")) }
    }

    /// Sends what the log holds after a step, then, when `live`, every event until the job rests.
    private func follow(_ request: JSONValue, _ id: UInt64, _ session: SessionID) {
        func reply(_ value: JSONValue, last: Bool) {
            send(.reply(id: id, last: last, body: value.encoded()), to: session)
        }
        guard let job = request["job"]?.int.flatMap({ UInt32(exactly: $0) }).map({ JobID($0) }), let run = core.job(job)
        else { return reply(Self.problem("the coordinator knows no such job"), last: true) }
        let after = request["after_step"]?.int ?? 0
        let path = "\(options.jobFolder(job))/trainer_log.jsonl"
        for line in (FileManager.default.contents(atPath: path) ?? Data()).split(separator: 0x0A) {
            guard let value = try? JSONValue.parse(Array(line)), let step = value["current_steps"]?.int, step > after
            else {
                continue
            }
            reply(Self.tagged("step", value), last: false)
        }
        if run.state.isAtRest { return reply(end(job), last: true) }
        guard request["live"]?.bool == true else {
            return reply(.members(["event": .string("state"), "state": .string(run.state.rawValue)]), last: true)
        }
        followers.removeAll { $0.session == session && $0.job == job }
        followers.append(Follower(session: session, request: id, job: job))
    }

    /// Gives an event to everybody who follows its job.
    func distribute(_ job: JobID?, _ event: JSONValue) {
        observer(job, event)
        let isLast = event["event"]?.string == "end"
        for follower in followers where follower.job == job {
            send(.reply(id: follower.request, last: isLast, body: event.encoded()), to: follower.session)
        }
        if isLast { followers.removeAll { $0.job == job } }
    }

    /// One job with where its files are.
    private func status(of run: JobRun) -> JSONValue {
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
