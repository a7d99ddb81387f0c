import Budgeting
import Coordination
import Hashing
import StorageShell
import Terms

/// What a coordinator writes into its journal, transaction by transaction: steps with their lines of the ledger,
/// checkpoints, raised limits. The same at every telling.
struct LedgerStory {
    struct Transaction {
        var entries: [StorageShell.JournalEntry]
        /// How many came before it, under the key `told`, in the same transaction.
        var settings: [JournalSetting]
    }

    static let job = JobID(1)
    let transactions: [Transaction]
    /// The ledger after so many transactions.
    let ledgers: [Ledger?]

    /// - Parameter filler: bytes that each of the first `fat` transactions writes besides, to fill the log.
    init(_ count: Int, filler: Int = 0, in fat: Int = 0) {
        var transactions: [Transaction] = []
        var ledgers: [Ledger?] = [nil]
        var ledger: Ledger?
        for number in 0..<count {
            var entries: [Coordination.JournalEntry] = []
            if ledger == nil {
                ledger = Ledger(Self.limits(number), at: 0)
            } else {
                let step = (ledger?.position ?? 0) + 1
                switch number % 5 {
                case 3: Self.apply(.covered(through: step - 1), &ledger, number)
                case 4: Self.apply(.limited(Self.limits(number)), &ledger, number)
                default:
                    let lease = UInt64(number)
                    let worst = Costs(coreTime: 900, wallClock: 500, tokens: 64, steps: 1, energy: 70, money: 3)
                    let cost = Costs(coreTime: Int64(step) % 800, wallClock: 7, tokens: 60, steps: 1, energy: 2)
                    Self.apply(
                        .reserved(lease: lease, steps: step...step, cost: worst, isEnding: false), &ledger, number)
                    Self.apply(.charged(lease: lease, step: step, cost: cost, overhead: .zero), &ledger, number)
                    Self.apply(.closed(lease: lease), &ledger, number)
                    entries.append(.committed(Self.job, Self.committed(step)))
                }
            }
            for (entry, digest) in ledger?.seal({ Digest.sha256(of: $0) }) ?? [] {
                entries.append(.ledger(Self.job, entry, digest))
            }
            ledger?.forget()
            ledgers.append(ledger)
            transactions.append(
                Transaction(
                    entries: entries.map { .init(job: $0.job, kind: UInt16($0.kind), payload: $0.encoded()) },
                    settings: [
                        JournalSetting("told", "\(number + 1)")
                    ]
                        + (number < fat
                            ? [JournalSetting("filler", String(repeating: "\(number % 10)", count: filler))] : [])))
        }
        self.transactions = transactions
        self.ledgers = ledgers
    }

    /// Every entry of the first `count` transactions.
    func entries(_ count: Int) -> [StorageShell.JournalEntry] { transactions.prefix(count).flatMap(\.entries) }

    /// Tells transaction number `index`, counted from 0.
    func tell(_ index: Int, _ journal: SQLiteJournal) throws(StorageError) {
        _ = try journal.append(
            transactions[index].entries, settings: transactions[index].settings,
            snapshot: index % 5 == 0 ? snapshot(index + 1) : nil)
    }

    /// The newest snapshot after so many transactions, every fifth of which brings one.
    func snapshot(_ told: Int) -> [UInt8]? {
        told == 0 ? nil : [UInt8](repeating: UInt8((told - 1) / 5), count: 700)
    }

    /// What is wrong with the entries as the ledger of the first `told` transactions; nil when nothing is.
    func fault(_ stored: [StorageShell.JournalEntry], told: Int) -> String? {
        guard told > 0 else { return stored.isEmpty ? nil : "entries of nothing" }
        var (lines, steps): ([(entry: LedgerEntry, digest: Digest)], Int) = ([], 0)
        for entry in stored {
            switch try? Coordination.JournalEntry(job: entry.job, kind: Int(entry.kind), payload: entry.payload) {
            case .ledger(_, let entry, let digest)?: lines.append((entry, digest))
            case .committed(_, let step)? where step.step == steps + 1: steps += 1
            default: return "an entry of kind \(entry.kind) does not belong here"
            }
        }
        guard var replayed = try? Ledger.replay(lines.map(\.entry)) else { return "the lines do not follow" }
        let sealed = replayed.seal { Digest.sha256(of: $0) }
        guard sealed.map(\.digest) == lines.map(\.digest) else { return "the ledger's chain is broken" }
        replayed.forget()
        if let fault = replayed.conservationFault { return fault }
        if replayed.position != steps { return "\(steps) steps count, \(replayed.position) are charged" }
        return replayed == ledgers[told] ? nil : "the balances are others than were told"
    }

    private static func limits(_ number: Int) -> Budget {
        var budget = Budget(currency: "EUR")
        budget[.tokens] = 100_000 + Int64(number)
        budget[.coreTime] = 10_000_000
        return budget
    }

    private static func apply(_ event: LedgerEvent, _ ledger: inout Ledger?, _ number: Int) {
        let refusal = ledger?.apply(event, at: Int64(number))
        precondition(refusal == nil, "the story stays within its limits")
    }

    private static func committed(_ step: Step) -> CommittedStep {
        CommittedStep(
            step: step, digest: UInt64(step) &* 0x9E37_79B9_7F4A_7C15, lossSum: 3.5, trainedTokens: 30, inputTokens: 60,
            gradientNorm: 1, learningRate: 0.001, workers: 2, generation: Generation(1))
    }
}
