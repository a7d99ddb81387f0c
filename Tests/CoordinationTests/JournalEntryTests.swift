import Budgeting
import Coordination
import Recipes
import Terms
import Testing

@Suite struct JournalEntryTests {
    static let step = CommittedStep(
        step: 9, digest: .max - 1, lossSum: 12.25, trainedTokens: 100, inputTokens: 120, gradientNorm: 0.5,
        learningRate: 2e-4, workers: 3, generation: Generation(4))
    static let all: [JournalEntry] = [
        .submitted(JobID(1), description: [1, 2, 3]), .amended(JobID(1), description: []),
        .state(JobID(2), .waitingForWorkers, reason: "1 von 2 – Größe"), .generation(JobID(3), Generation(7)),
        .recipe(JobID(4), 17, bytes: [9, 8]), .committed(JobID(5), step),
        .evaluated(JobID(6), step: 4, lossSum: -1.5, tokens: 99), .published(JobID(7), step: 12),
        .rewound(JobID(8), to: 3),
        .planned(
            JobID(9),
            PlanEvent(after: 3, cause: .limit, end: 9, trunk: 3, annealStart: 3, annealSteps: 6, limit: "steps")),
        .ledger(
            JobID(9),
            LedgerEntry(
                sequence: 3, at: 77, event: .closed(lease: 4),
                postings: [Posting(from: .reserved, to: .available, unit: .tokens, amount: 12)]),
            Digest(bytes: [UInt8](repeating: 7, count: 32))!),
        .branched(JobID(10), to: 5), .trunk(JobID(11), 6),
        .projectLimited("shop", Budget(currency: "EUR", warnAt: 700_000)),
        .profile(JobID(12), 99),
    ]

    @Test(arguments: all)
    func `an entry and its bytes are one`(entry: JournalEntry) throws {
        let back = try JournalEntry(job: entry.job, kind: entry.kind, payload: entry.encoded())

        #expect(back == entry)
    }

    @Test func `every kind has a number of its own, as the journal's table has it`() {
        #expect(Self.all.map(\.kind) == [1, 9, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 20])
    }

    @Test(arguments: all)
    func `a cut or longer entry is an error`(entry: JournalEntry) {
        let bytes = entry.encoded()

        for count in 0..<bytes.count {
            #expect(throws: ByteError.self) {
                try JournalEntry(job: entry.job, kind: entry.kind, payload: Array(bytes[..<count]))
            }
        }
        #expect(throws: ByteError.trailing) { try JournalEntry(job: entry.job, kind: entry.kind, payload: bytes + [0]) }
    }

    @Test(arguments: all)
    func `a changed byte gives another entry or an error`(entry: JournalEntry) {
        let bytes = entry.encoded()
        for index in bytes.indices {
            for value: UInt8 in [0, 1, 0x7F, 0x80, 0xFF] where value != bytes[index] {
                var changed = bytes
                changed[index] = value
                let other = try? JournalEntry(job: entry.job, kind: entry.kind, payload: changed)
                #expect(other == nil || other?.encoded() == changed)
            }
        }
    }

    @Test func `an unknown kind or state is an error`() {
        #expect(throws: ByteError.self) { try JournalEntry(job: JobID(1), kind: 0, payload: []) }
        #expect(throws: ByteError.self) { try JournalEntry(job: JobID(1), kind: 11, payload: []) }
        var writer = ByteWriter()
        writer.string("ASLEEP")
        writer.string("")
        #expect(throws: ByteError.invalid("job state")) {
            try JournalEntry(job: JobID(1), kind: 2, payload: writer.bytes)
        }
    }

    @Test func `the mean loss divides by the trained tokens, and none give zero`() {
        var step = Self.step
        #expect(step.loss == 0.1225)
        step.trainedTokens = 0
        #expect(step.loss == 0)
    }
}
