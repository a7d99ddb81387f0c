import Collectives
import Terms

extension Position: WireCodable {
    func write(into writer: inout ByteWriter) {
        job.write(into: &writer)
        generation.write(into: &writer)
        writer.integer(step)
        writer.integer(digest)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        job = try JobID(from: &reader)
        generation = try Generation(from: &reader)
        step = try reader.integer()
        digest = try reader.integer()
    }
}

extension StepReport: WireCodable {
    func write(into writer: inout ByteWriter) {
        position.write(into: &writer)
        writer.integer(recipeTag)
        writer.double(lossSum)
        writer.double(gradientNorm)
        writer.integer(computeMicroseconds)
        writer.integer(shardsComputed)
        writer.integer(repeatedMicroseconds)
        writer.integer(stalledMicroseconds)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        position = try Position(from: &reader)
        recipeTag = try reader.integer()
        lossSum = try reader.double()
        gradientNorm = try reader.double()
        computeMicroseconds = try reader.integer()
        shardsComputed = try reader.integer()
        repeatedMicroseconds = try reader.integer()
        stalledMicroseconds = try reader.integer()
    }
}

extension Standing: WireCodable {
    func write(into writer: inout ByteWriter) {
        job.write(into: &writer)
        generation.write(into: &writer)
        writer.bool(hasState)
        writer.integer(step)
        writer.integer(digest)
        writer.list(reports) { $1.write(into: &$0) }
        writer.list(held) { $1.write(into: &$0) }
        writer.integer(heldTag)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        job = try JobID(from: &reader)
        generation = try Generation(from: &reader)
        hasState = try reader.bool()
        step = try reader.integer()
        digest = try reader.integer()
        reports = try reader.list(limit: WireLimits.recipes) { (reader) throws(ByteError) in
            try StepReport(from: &reader)
        }
        held = try reader.list(limit: WireLimits.ranges) { (reader) throws(ByteError) in try ShardRange(from: &reader) }
        heldTag = try reader.integer()
    }
}

extension Member: WireCodable {
    func write(into writer: inout ByteWriter) {
        node.write(into: &writer)
        writer.text(dataEndpoint)
        shards.write(into: &writer)
        writer.list(firstShards) { $1.write(into: &$0) }
        slice.write(into: &writer)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        node = try NodeID(from: &reader)
        dataEndpoint = try reader.text()
        shards = try ShardRange(from: &reader)
        firstShards = try reader.list(limit: WireLimits.ranges) { (reader) throws(ByteError) in
            try ShardRange(from: &reader)
        }
        slice = try Range<UInt64>(from: &reader)
    }
}

extension Roster: WireCodable {
    func write(into writer: inout ByteWriter) {
        job.write(into: &writer)
        generation.write(into: &writer)
        writer.list(members) { $1.write(into: &$0) }
        writer.integer(target)
        writer.integer(digest)
        writer.list(sources) { $0.integer($1) }
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        job = try JobID(from: &reader)
        generation = try Generation(from: &reader)
        members = try reader.list(limit: WireLimits.members) { (reader) throws(ByteError) in try Member(from: &reader) }
        target = try reader.integer()
        digest = try reader.integer()
        sources = try reader.list(limit: WireLimits.members) { (reader) throws(ByteError) in
            try reader.integer(UInt32.self)
        }
        guard sources.allSatisfy({ Int($0) < members.count }) else { throw .invalid("source rank") }
    }
}

extension Lease: WireCodable {
    func write(into writer: inout ByteWriter) {
        job.write(into: &writer)
        generation.write(into: &writer)
        writer.list(recipes) { $0.blob($1) }
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        job = try JobID(from: &reader)
        generation = try Generation(from: &reader)
        recipes = try reader.list(limit: WireLimits.recipes) { (reader) throws(ByteError) in
            try reader.blob(limit: WireLimits.controlBytes)
        }
    }
}

extension EvaluationOrder: WireCodable {
    func write(into writer: inout ByteWriter) {
        job.write(into: &writer)
        generation.write(into: &writer)
        writer.integer(step)
        shards.write(into: &writer)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        job = try JobID(from: &reader)
        generation = try Generation(from: &reader)
        step = try reader.integer()
        shards = try ShardRange(from: &reader)
    }
}

extension EvaluationResult: WireCodable {
    func write(into writer: inout ByteWriter) {
        order.write(into: &writer)
        writer.list(lossSums) { $0.double($1) }
        writer.list(tokens) { $0.integer($1) }
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        order = try EvaluationOrder(from: &reader)
        lossSums = try reader.list(limit: WireLimits.ranges) { (reader) throws(ByteError) in try reader.double() }
        tokens = try reader.list(limit: WireLimits.ranges) { (reader) throws(ByteError) in
            try reader.integer(UInt64.self)
        }
        guard lossSums.count == order.shards.count, tokens.count == lossSums.count else { throw .invalid("evaluation") }
    }
}

extension SaveOrder: WireCodable {
    func write(into writer: inout ByteWriter) {
        job.write(into: &writer)
        generation.write(into: &writer)
        writer.integer(step)
        writer.integer(attempt)
        range.write(into: &writer)
        writer.bool(isReadBack)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        job = try JobID(from: &reader)
        generation = try Generation(from: &reader)
        step = try reader.integer()
        attempt = try reader.integer()
        range = try Range<UInt64>(from: &reader)
        isReadBack = try reader.bool()
    }
}

extension Trouble: WireCodable {
    func write(into writer: inout ByteWriter) {
        job.write(into: &writer)
        generation.write(into: &writer)
        writer.integer(step)
        writer.integer(kind.rawValue)
        writer.text(text)
    }
    init(from reader: inout ByteReader) throws(ByteError) {
        job = try JobID(from: &reader)
        generation = try Generation(from: &reader)
        step = try reader.integer()
        kind = try reader.choice(Kind.self)
        text = try reader.text()
    }
}
