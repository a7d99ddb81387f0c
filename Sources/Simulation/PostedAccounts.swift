import Budgeting

/// A job's accounts as the postings of its ledger's lines add up, beside the ledger that made them.
struct PostedAccounts {
    private var balances = Array(repeating: Costs.zero, count: Account.allCases.count)
    /// Open leases: what each has reserved and not used.
    private var leases: [(number: UInt64, rest: Costs, isEnding: Bool)] = []
    /// Lines so far.
    private(set) var lines: UInt64 = 0

    func balance(_ account: Account, _ unit: BudgetUnit) -> Int64 { balances[Int(account.rawValue)][unit] }

    /// Takes the next line; returns what it does that no line may.
    mutating func take(_ entry: LedgerEntry) -> String? {
        guard entry.sequence == lines + 1 else { return "it comes after line \(lines)" }
        lines += 1
        var reserved = Costs.zero
        for posting in entry.postings {
            guard posting.amount > 0 else { return "a posting moves nothing" }
            balances[Int(posting.from.rawValue)][posting.unit] -= posting.amount
            balances[Int(posting.to.rawValue)][posting.unit] += posting.amount
            if posting.from != .grant, balance(posting.from, posting.unit) < 0 {
                return "more \(posting.unit.key) leave \(posting.from) than came"
            }
            if posting.to == .reserved { reserved[posting.unit] += posting.amount }
            if posting.from == .reserved { reserved[posting.unit] -= posting.amount }
        }
        return follow(entry.event, reserved)
    }

    /// What moved in or out of `reserved` belongs to the lease that the event names.
    private mutating func follow(_ event: LedgerEvent, _ reserved: Costs) -> String? {
        switch event {
        case .reserved(let number, _, let cost, let isEnding):
            leases.append((number, reserved, isEnding))
            return reserved == cost ? nil : "it does not reserve what it says"
        case .closed(let number), .expired(let number):
            guard let place = leases.firstIndex(where: { $0.number == number }) else { return "nothing was reserved" }
            let rest = leases.remove(at: place).rest
            return rest.adding(reserved) == .zero ? nil : "another amount goes back than is left of lease \(number)"
        case .charged(let number, _, _, _), .repeated(let number, _):
            guard let place = leases.firstIndex(where: { $0.number == number }) else { return "nothing was reserved" }
            leases[place].rest = leases[place].rest.adding(reserved) ?? .zero
            return leases[place].rest.isNonNegative ? nil : "lease \(number) pays more than it has reserved"
        default: return reserved == .zero ? nil : "a reservation moves without a lease"
        }
    }

    /// Whether the line may touch what is set aside for the ending.
    func isOfEnding(_ event: LedgerEvent) -> Bool {
        switch event {
        case .endingReserved, .limited: true
        case .reserved(_, _, _, let isEnding), .spent(_, let isEnding): isEnding
        case .charged(let number, _, _, _), .repeated(let number, _):
            leases.contains { $0.number == number && $0.isEnding }
        default: false
        }
    }
}
