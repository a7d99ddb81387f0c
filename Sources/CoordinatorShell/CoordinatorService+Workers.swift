import Coordination
import Logging
import Terms
import Wire
import ZeroMQShell

/// Who may come, and who works: invitations, enrolment, and orders about single workers.
extension CoordinatorService {
    /// A one-time token for a new worker or client.
    func invite(_ request: JSONValue) throws -> JSONValue {
        guard let gate else { return Self.problem("this coordinator takes no strangers") }
        let role = request["role"]?.string.flatMap(KeyBook.Role.init(rawValue:))
        guard let role, role == .worker || role == .client else {
            return Self.problem("`role` is worker or client")
        }
        let token = try gate.invite(role == .worker ? .workerInvitation : .clientInvitation)
        return .members([
            "token": .string(token.text), "role": .string(role.rawValue), "valid_seconds": .int(Gate.invitationLife),
        ])
    }

    /// Takes in the key that the owner of an invitation names.
    func enrol(_ request: JSONValue, by key: KeyBook.Entry?) throws -> JSONValue {
        guard let gate, let key, key.role.granted != nil else {
            return Self.problem("only the owner of an invitation can be enrolled")
        }
        guard request["role"]?.string == key.role.granted?.rawValue else {
            return Self.problem("this token is for a \(key.role.granted?.rawValue ?? "")")
        }
        guard let own = request["key"]?.string.flatMap({ try? CurvePublicKey($0) }),
            let name = request["name"]?.string, name.utf8.count <= 256,
            let entry = try gate.enrol(own, name: name, by: key)
        else { return Self.problem("an enrolment names a `key` of its own and a `name`") }
        log.info("enrolled the \(entry.role.rawValue) \(entry.name) with key \(entry.key)")
        return .members(["role": .string(entry.role.rawValue)])
    }

    /// Asks a worker to leave in order.
    func drain(_ request: JSONValue) throws -> JSONValue {
        guard let session = worker(request) else { return Self.noWorker(request) }
        try feed(.drain(session.node))
        return status(session)
    }

    /// Takes a worker's key out; its connection, if there is one, ends at once.
    func revoke(_ request: JSONValue) throws -> JSONValue {
        guard let gate else { return Self.problem("this coordinator knows no keys") }
        let wanted = request["worker"]?.string ?? ""
        let connected = worker(request).flatMap { session in connections.first { $0.session == session.id }?.key }
        let named = absentWorkers.filter { $0.name == wanted }
        if connected == nil, named.count > 1 {
            let keys = named.map(\.key.text).joined(separator: ", ")
            return Self.problem("\(named.count) workers are called \(wanted): name one by its key: \(keys)")
        }
        guard let key = try? CurvePublicKey(connected ?? named.first?.key.text ?? wanted),
            gate.entry(key.text) != nil
        else { return Self.noWorker(request) }
        try revoke(key)
        return .members(["revoked": .string(key.text)])
    }

    /// Workers that are enrolled and not connected, ascending by name.
    private var absentWorkers: [KeyBook.Entry] {
        let connected = Set(connections.compactMap(\.key))
        return (gate?.book.entries ?? []).filter { $0.role == .worker && !connected.contains($0.key.text) }
            .sorted { ($0.name, $0.key) < ($1.name, $1.key) }
    }

    /// The connected workers, and when `includingAbsent` those that only their keys are known of.
    func workers(includingAbsent: Bool) -> JSONValue {
        let connected = core.sessions.filter { $0.role == .worker }.map(status)
        guard includingAbsent else { return .array(connected) }
        return .array(
            connected
                + absentWorkers.map { entry in
                    .members([
                        "worker": .null, "node": .null, "name": .string(entry.name), "threads": .null, "memory": .null,
                        "job": .null,
                        "shards_per_second": .null, "silent": .bool(false), "key": .string(entry.key.text),
                        "address": .null, "connected": .bool(false),
                    ])
                })
    }

    /// The connected worker that a request names: by node, by name, or by a key.
    private func worker(_ request: JSONValue) -> SessionRecord? {
        guard let wanted = request["worker"]?.string, !wanted.isEmpty else { return nil }
        let workers = core.sessions.filter { $0.role == .worker }
        let matching = workers.filter { session in
            session.node.description == wanted || session.node.hex == wanted || session.name == wanted
                || connections.contains { $0.session == session.id && $0.key == wanted }
        }
        return matching.count == 1 ? matching[0] : nil
    }

    private static func noWorker(_ request: JSONValue) -> JSONValue {
        problem("no worker `\(request["worker"]?.string ?? "")`: name one as `drover worker ls --all` shows it")
    }

    /// One worker as `drover worker ls --json` shows it.
    func status(_ session: SessionRecord) -> JSONValue {
        let connection = connections.first { $0.session == session.id }
        return .members([
            "worker": .string(session.node.description), "node": .string(session.node.hex),
            "name": .string(session.name), "threads": .int(session.threads),
            "memory": session.memory > 0 ? .int(session.memory) : .null,
            "job": session.job.map { .int(Int($0.number)) } ?? .null,
            "shards_per_second": session.rate.map { .double($0) } ?? .null,
            "silent": .bool(session.isSuspected),
            "key": connection?.key.map { .string($0) } ?? .null,
            "address": (PeerAddress(session.dataEndpoint)?.endpoint).map { .string($0) } ?? .null,
            "connected": .bool(true),
        ])
    }
}
