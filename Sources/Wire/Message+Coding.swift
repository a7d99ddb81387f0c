import Collectives
package import Terms

extension Message {
    /// First bytes of every control message: "DRV1" little-endian.
    static let magic: UInt32 = 0x3156_5244

    /// One number a message type; never re-used.
    private enum Tag: UInt8 {
        case hello = 1
        case welcome, refuse, heartbeat, heartbeatReply, goodbye, shutdown, drain
        case assign = 16
        case assigned, release
        case prepare = 32
        case prepared, begin, ready
        case lease = 48
        case report, evaluate, evaluated, save, snapshotTaken, trouble, power
        case request = 64
        case reply
    }

    /// The message's bytes: magic, number, tag, fields.
    ///
    /// - Parameter number: +1 with every message that a process sends over one connection, so that the receiver sees
    ///   what is lost, doubled or out of order; 0 = not numbered.
    package func encoded(number: UInt32 = 0) -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.integer(Self.magic)
        writer.integer(number)
        func begin(_ tag: Tag) { writer.integer(tag.rawValue) }
        switch self {
        case .hello(let value):
            begin(.hello)
            value.write(into: &writer)
        case .welcome(let value):
            begin(.welcome)
            value.write(into: &writer)
        case .refuse(let value):
            begin(.refuse)
            value.write(into: &writer)
        case .heartbeat(let value):
            begin(.heartbeat)
            value.write(into: &writer)
        case .heartbeatReply(let value):
            begin(.heartbeatReply)
            value.write(into: &writer)
        case .goodbye: begin(.goodbye)
        case .shutdown: begin(.shutdown)
        case .drain: begin(.drain)
        case .assign(let value):
            begin(.assign)
            value.write(into: &writer)
        case .assigned(let value):
            begin(.assigned)
            value.write(into: &writer)
        case .release(let job):
            begin(.release)
            job.write(into: &writer)
        case .prepare(let job, let generation):
            begin(.prepare)
            job.write(into: &writer)
            generation.write(into: &writer)
        case .prepared(let value):
            begin(.prepared)
            value.write(into: &writer)
        case .begin(let value):
            begin(.begin)
            value.write(into: &writer)
        case .ready(let value):
            begin(.ready)
            value.write(into: &writer)
        case .lease(let value):
            begin(.lease)
            value.write(into: &writer)
        case .report(let value):
            begin(.report)
            value.write(into: &writer)
        case .evaluate(let value):
            begin(.evaluate)
            value.write(into: &writer)
        case .evaluated(let value):
            begin(.evaluated)
            value.write(into: &writer)
        case .save(let value):
            begin(.save)
            value.write(into: &writer)
        case .snapshotTaken(let value):
            begin(.snapshotTaken)
            value.write(into: &writer)
        case .trouble(let value):
            begin(.trouble)
            value.write(into: &writer)
        case .power(let value):
            begin(.power)
            value.write(into: &writer)
        case .request(let id, let body):
            begin(.request)
            writer.integer(id)
            writer.blob(body)
        case .reply(let id, let last, let body):
            begin(.reply)
            writer.integer(id)
            writer.bool(last)
            writer.blob(body)
        }
        return writer.bytes
    }

    /// Reads one message; any bytes give a message or a `ByteError`.
    package init(decoding bytes: [UInt8]) throws(ByteError) {
        guard bytes.count <= WireLimits.controlBytes else { throw .tooLong }
        var reader = ByteReader(bytes)
        guard try reader.integer(UInt32.self) == Self.magic else { throw .invalid("magic") }
        _ = try reader.integer(UInt32.self)
        switch try reader.choice(Tag.self) {
        case .hello: self = .hello(try Hello(from: &reader))
        case .welcome: self = .welcome(try Welcome(from: &reader))
        case .refuse: self = .refuse(try Refusal(from: &reader))
        case .heartbeat: self = .heartbeat(try Heartbeat(from: &reader))
        case .heartbeatReply: self = .heartbeatReply(try Heartbeat(from: &reader))
        case .goodbye: self = .goodbye
        case .shutdown: self = .shutdown
        case .drain: self = .drain
        case .assign: self = .assign(try Assignment(from: &reader))
        case .assigned: self = .assigned(try AssignmentResult(from: &reader))
        case .release: self = .release(try JobID(from: &reader))
        case .prepare: self = .prepare(try JobID(from: &reader), try Generation(from: &reader))
        case .prepared: self = .prepared(try Standing(from: &reader))
        case .begin: self = .begin(try Roster(from: &reader))
        case .ready: self = .ready(try Position(from: &reader))
        case .lease: self = .lease(try Lease(from: &reader))
        case .report: self = .report(try StepReport(from: &reader))
        case .evaluate: self = .evaluate(try EvaluationOrder(from: &reader))
        case .evaluated: self = .evaluated(try EvaluationResult(from: &reader))
        case .save: self = .save(try SaveOrder(from: &reader))
        case .snapshotTaken: self = .snapshotTaken(try SaveOrder(from: &reader))
        case .trouble: self = .trouble(try Trouble(from: &reader))
        case .power: self = .power(try PowerReading(from: &reader))
        case .request:
            self = .request(id: try reader.integer(), body: try reader.blob(limit: WireLimits.controlBytes))
        case .reply:
            self = .reply(
                id: try reader.integer(), last: try reader.bool(), body: try reader.blob(limit: WireLimits.controlBytes)
            )
        }
        try reader.finish()
    }

    /// The number in a message's bytes, 0 when it has none.
    package static func number(of bytes: [UInt8]) -> UInt32 {
        guard bytes.count >= 8 else { return 0 }
        return (0..<4).reduce(0) { $0 | UInt32(bytes[4 + $1]) << UInt32(8 * $1) }
    }
}
