import Collectives
package import Terms

/// Fields that know their bytes. Decoding is total.
protocol WireCodable {
    func write(into writer: inout ByteWriter)
    init(from reader: inout ByteReader) throws(ByteError)
}

extension NodeID: WireCodable {
    func write(into writer: inout ByteWriter) {
        writer.integer(high)
        writer.integer(low)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        self.init(high: try reader.integer(), low: try reader.integer())
    }
}

extension JobID: WireCodable {
    func write(into writer: inout ByteWriter) { writer.integer(number) }
    init(from reader: inout ByteReader) throws(ByteError) { self.init(try reader.integer()) }
}

extension Generation: WireCodable {
    func write(into writer: inout ByteWriter) { writer.integer(number) }
    init(from reader: inout ByteReader) throws(ByteError) { self.init(try reader.integer()) }
}

extension ShardRange: WireCodable {
    func write(into writer: inout ByteWriter) {
        writer.integer(UInt32(lower))
        writer.integer(UInt32(upper))
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        self.init(Int(try reader.integer(UInt32.self)), Int(try reader.integer(UInt32.self)))
        guard lower <= upper else { throw .invalid("shard range") }
    }
}

extension Range: WireCodable where Bound == UInt64 {
    func write(into writer: inout ByteWriter) {
        writer.integer(lowerBound)
        writer.integer(upperBound)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        let lower = try reader.integer(UInt64.self)
        let upper = try reader.integer(UInt64.self)
        guard lower <= upper else { throw .invalid("range") }
        self = lower..<upper
    }
}

extension ByteReader {
    mutating func text() throws(ByteError) -> String { try string(limit: WireLimits.textBytes) }
    mutating func choice<Value: RawRepresentable>(_ type: Value.Type) throws(ByteError) -> Value
    where Value.RawValue: FixedWidthInteger {
        guard let value = Value(rawValue: try integer()) else { throw .invalid("\(type)") }
        return value
    }
}

extension ByteWriter {
    /// Texts are for people: cut to what a reader accepts, between two Unicode scalars of at most four bytes each.
    mutating func text(_ value: String) {
        guard value.utf8.count > WireLimits.textBytes else { return string(value) }
        string(String(String.UnicodeScalarView(value.unicodeScalars.prefix(WireLimits.textBytes / 4))))
    }
}

extension Hello: WireCodable {
    func write(into writer: inout ByteWriter) {
        writer.integer(role.rawValue)
        writer.integer(oldestVersion)
        writer.integer(newestVersion)
        node.write(into: &writer)
        writer.integer(boot)
        writer.text(name)
        writer.integer(threads)
        writer.text(dataEndpoint)
        writer.integer(profile)
        writer.integer(memory)
        writer.integer(lastEpoch)
        writer.integer(greeting)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        role = try reader.choice(Role.self)
        oldestVersion = try reader.integer()
        newestVersion = try reader.integer()
        node = try NodeID(from: &reader)
        boot = try reader.integer()
        name = try reader.text()
        threads = try reader.integer()
        dataEndpoint = try reader.text()
        profile = try reader.integer()
        memory = try reader.integer()
        lastEpoch = try reader.integer()
        greeting = try reader.integer()
    }
}

extension Welcome: WireCodable {
    func write(into writer: inout ByteWriter) {
        writer.integer(version)
        writer.integer(session)
        writer.integer(epoch)
        writer.integer(heartbeatMilliseconds)
        writer.text(dataEndpoint)
        writer.integer(greeting)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        version = try reader.integer()
        session = try reader.integer()
        epoch = try reader.integer()
        heartbeatMilliseconds = try reader.integer()
        dataEndpoint = try reader.text()
        greeting = try reader.integer()
    }
}

extension Refusal: WireCodable {
    func write(into writer: inout ByteWriter) {
        writer.integer(code.rawValue)
        writer.text(text)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        code = try reader.choice(Code.self)
        text = try reader.text()
    }
}

extension Heartbeat: WireCodable {
    func write(into writer: inout ByteWriter) {
        writer.integer(session)
        writer.integer(sentAt)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        session = try reader.integer()
        sentAt = try reader.integer()
    }
}

extension PowerReading: WireCodable {
    func write(into writer: inout ByteWriter) { writer.integer(milliwatts) }
    init(from reader: inout ByteReader) throws(ByteError) { milliwatts = try reader.integer() }
}

extension Assignment: WireCodable {
    func write(into writer: inout ByteWriter) {
        job.write(into: &writer)
        writer.blob(description)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        job = try JobID(from: &reader)
        description = try reader.blob(limit: WireLimits.controlBytes)
    }
}

extension AssignmentResult: WireCodable {
    func write(into writer: inout ByteWriter) {
        job.write(into: &writer)
        writer.integer(parameters)
        writer.text(problem)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        job = try JobID(from: &reader)
        parameters = try reader.integer()
        problem = try reader.text()
    }
}
