package import Coordination
package import Terms
import Wire

extension CoordinatorService {
    /// Answers a client.
    func answer(_ id: UInt64, _ body: [UInt8], _ session: SessionID) throws {
        func reply(_ value: JSONValue) { send(.reply(id: id, last: true, body: value.encoded()), to: session) }
        guard let request = try? JSONValue.parse(body, limits: JSONLimits(depth: 32, values: 10_000)),
            let operation = request["op"]?.string
        else { return reply(.members(["error": .string("a request is a JSON object with `op`")])) }
        let job = request["job"]?.int.flatMap { UInt32(exactly: $0) }.map { JobID($0) }
        switch (operation, job) {
        case ("jobs", _): reply(.array(core.jobs.map(Self.status)))
        case ("workers", _): reply(.array(core.sessions.filter { $0.role == .worker }.map(Self.status)))
        case ("show", let job?): reply(core.job(job).map(Self.status) ?? .null)
        case ("pause", let job?), ("resume", let job?), ("cancel", let job?), ("checkpoint", let job?):
            guard let run = core.job(job) else { return reply(.members(["error": .string("no job \(job)")])) }
            let orders: [String: JobOrder] = [
                "pause": .pause, "resume": .resume, "cancel": .cancel, "checkpoint": .checkpoint,
            ]
            try feed(.ordered(orders[operation]!, job))
            reply(Self.status(core.job(job) ?? run))
        default: reply(.members(["error": .string("unknown operation `\(operation)`")]))
        }
    }

    /// One job as `drover jobs --json` shows it.
    package static func status(_ run: JobRun) -> JSONValue {
        .members([
            "job": .int(Int(run.id.number)), "name": .string(run.description.name), "state": .string(run.state.rawValue),
            "reason": .string(run.reason), "step": .int(run.committed), "total_steps": .int(run.plannedSteps),
            "tokens": .int(run.tokens), "loss": run.newest.map { .double($0.loss) } ?? .null,
            "workers": .int(run.workerCount), "generation": .int(Int(run.generation.number)),
            "project": .string(run.description.project), "priority": .int(run.description.priority),
        ])
    }

    private static func status(_ session: SessionRecord) -> JSONValue {
        .members([
            "worker": .string(session.node.description), "name": .string(session.name),
            "threads": .int(session.threads), "job": session.job.map { .int(Int($0.number)) } ?? .null,
        ])
    }
}
