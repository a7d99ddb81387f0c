import Collectives
import Terms
import Wire

/// One message of every kind, with nothing left at a default that a wrong field could hide behind.
enum Samples {
    static let node = NodeID(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210)
    static let position = Position(job: JobID(3), generation: Generation(7), step: 41, digest: 0xDEAD_BEEF_0BAD_F00D)
    static let report = StepReport(
        position: position, recipeTag: 0x1122_3344_5566_7788, lossSum: 123.456, gradientNorm: 0.75,
        computeMicroseconds: 987_654, shardsComputed: 5, repeatedMicroseconds: 4321, stalledMicroseconds: 65_432)
    static let evaluation = EvaluationOrder(
        job: JobID(3), generation: Generation(7), step: 40, shards: ShardRange(2, 4))
    static let save = SaveOrder(
        job: JobID(3), generation: Generation(7), step: 40, attempt: 9, range: 4096..<1_000_000_000_000,
        isReadBack: true)
    static let roster = Roster(
        job: JobID(3), generation: Generation(8),
        members: [
            Member(
                node: node, dataEndpoint: "tcp://10.0.0.1:7781", shards: ShardRange(0, 5),
                firstShards: [ShardRange(0, 2), ShardRange(7, 8)], slice: 0..<8192),
            Member(
                node: NodeID(high: 1, low: 2), dataEndpoint: "tcp://10.0.0.2:7781", shards: ShardRange(5, 8),
                firstShards: [], slice: 8192..<9000),
        ],
        target: 41, digest: 77, sources: [1])

    static var hello: Hello {
        var hello = Hello(
            role: .worker, node: node, boot: 99, name: "rack-1 ünder", threads: 16, dataEndpoint: "tcp://10.0.0.1:7781",
            profile: 5, lastEpoch: 4)
        hello.greeting = 3
        hello.memory = 8 << 30
        return hello
    }
    static var welcome: Welcome {
        var welcome = Welcome(
            version: 1, session: 12, epoch: 5, heartbeatMilliseconds: 2000, dataEndpoint: "tcp://10.0.0.9:7782")
        welcome.greeting = 3
        return welcome
    }

    static let all: [Message] = [
        .hello(hello),
        .welcome(welcome),
        .refuse(Refusal(code: .duplicate, text: "another process has this key")),
        .heartbeat(Heartbeat(session: 12, sentAt: 1_000_000_007)),
        .heartbeatReply(Heartbeat(session: 12, sentAt: 1_000_000_008)),
        .power(PowerReading(milliwatts: 87_654)),
        .goodbye,
        .shutdown,
        .drain,
        .assign(Assignment(job: JobID(3), description: Array("{\"a\":1}".utf8))),
        .assigned(AssignmentResult(job: JobID(3), parameters: 1_234_567, problem: "no such file")),
        .release(JobID(3)),
        .prepare(JobID(3), Generation(8)),
        .prepared(
            Standing(
                job: JobID(3), generation: Generation(8), hasState: true, step: 41, digest: 8,
                reports: [report, report],
                held: [ShardRange(0, 2), ShardRange(4, 5)], heldTag: 6)),
        .begin(roster),
        .ready(position),
        .lease(Lease(job: JobID(3), generation: Generation(8), recipes: [[1, 2, 3], [], [4]])),
        .report(report),
        .evaluate(evaluation),
        .evaluated(EvaluationResult(order: evaluation, lossSums: [1.5, -2.25], tokens: [10, 20])),
        .save(save),
        .snapshotTaken(save),
        .trouble(Trouble(job: JobID(3), generation: Generation(8), step: 42, kind: .stalled, text: "silence")),
        .request(id: 17, body: Array("{}".utf8)),
        .reply(id: 17, last: true, body: Array("[]".utf8)),
    ]
}
