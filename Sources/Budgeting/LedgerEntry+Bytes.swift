package import Terms

extension LedgerEntry {
    /// The entry as bytes: what the chain hashes and the journal keeps. Fixed-width little-endian fields.
    package var bytes: [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.integer(sequence)
        writer.integer(at)
        event.write(into: &writer)
        writer.list(postings) { writer, posting in
            writer.integer(posting.from.rawValue)
            writer.integer(posting.to.rawValue)
            writer.integer(posting.unit.rawValue)
            writer.integer(posting.amount)
        }
        return writer.bytes
    }

    /// Postings of one entry; every unit can move between few accounts.
    private static let postingLimit = 256

    /// Reads what `bytes` wrote; any bytes give an entry or an error.
    package init(reading bytes: [UInt8]) throws(ByteError) {
        var reader = ByteReader(bytes)
        sequence = try reader.integer()
        at = try reader.integer()
        event = try LedgerEvent(reading: &reader)
        postings = try reader.list(limit: Self.postingLimit) { reader throws(ByteError) in
            guard let from = Account(rawValue: try reader.integer()), let to = Account(rawValue: try reader.integer())
            else { throw .invalid("account") }
            guard let unit = BudgetUnit(rawValue: try reader.integer()) else { throw .invalid("unit") }
            let amount = try reader.integer(Int64.self)
            guard amount > 0 else { throw .invalid("amount") }
            return Posting(from: from, to: to, unit: unit, amount: amount)
        }
        try reader.finish()
    }
}

extension LedgerEvent {
    fileprivate func write(into writer: inout ByteWriter) {
        switch self {
        case .limited(let budget):
            writer.integer(UInt8(0))
            budget.write(into: &writer)
        case .endingReserved(let costs):
            writer.integer(UInt8(1))
            costs.write(into: &writer)
        case .reserved(let lease, let steps, let cost, let isEnding):
            writer.integer(UInt8(2))
            writer.integer(lease)
            writer.integer(Int64(steps.lowerBound))
            writer.integer(Int64(steps.upperBound))
            cost.write(into: &writer)
            writer.bool(isEnding)
        case .charged(let lease, let step, let cost, let overhead):
            writer.integer(UInt8(3))
            writer.integer(lease)
            writer.integer(Int64(step))
            cost.write(into: &writer)
            overhead.write(into: &writer)
        case .spent(let overhead, let isEnding):
            writer.integer(UInt8(4))
            overhead.write(into: &writer)
            writer.bool(isEnding)
        case .closed(let lease): writeLease(5, lease, into: &writer)
        case .expired(let lease): writeLease(6, lease, into: &writer)
        case .reconciled(let lease, let used):
            writeLease(7, lease, into: &writer)
            used.write(into: &writer)
        case .covered(let step):
            writer.integer(UInt8(8))
            writer.integer(Int64(step))
        case .rewound(let step):
            writer.integer(UInt8(9))
            writer.integer(Int64(step))
        case .warned(let units):
            writer.integer(UInt8(10))
            writer.list(units) { $0.integer($1.rawValue) }
        case .inherited(let position, let costs):
            writer.integer(UInt8(11))
            writer.integer(Int64(position))
            costs.write(into: &writer)
        case .repeated(let lease, let cost):
            writeLease(12, lease, into: &writer)
            cost.write(into: &writer)
        case .metered(let method):
            writer.integer(UInt8(13))
            writer.integer(method.rawValue)
        }
    }

    private func writeLease(_ kind: UInt8, _ lease: UInt64, into writer: inout ByteWriter) {
        writer.integer(kind)
        writer.integer(lease)
    }

    fileprivate init(reading reader: inout ByteReader) throws(ByteError) {
        let kind = try reader.integer(UInt8.self)
        switch kind {
        case 0: self = .limited(try Budget(reading: &reader))
        case 1: self = .endingReserved(try Costs(reading: &reader))
        case 2:
            let lease = try reader.integer(UInt64.self)
            let first = try Self.step(&reader)
            let last = try Self.step(&reader)
            guard first <= last else { throw .invalid("steps") }
            let cost = try Costs(reading: &reader)
            self = .reserved(lease: lease, steps: first...last, cost: cost, isEnding: try reader.bool())
        case 3:
            let lease = try reader.integer(UInt64.self)
            let step = try Self.step(&reader)
            let cost = try Costs(reading: &reader)
            self = .charged(lease: lease, step: step, cost: cost, overhead: try Costs(reading: &reader))
        case 4:
            let overhead = try Costs(reading: &reader)
            self = .spent(overhead: overhead, isEnding: try reader.bool())
        case 5: self = .closed(lease: try reader.integer())
        case 6: self = .expired(lease: try reader.integer())
        case 7:
            let lease = try reader.integer(UInt64.self)
            self = .reconciled(lease: lease, used: try Costs(reading: &reader))
        case 8: self = .covered(through: try Self.step(&reader))
        case 9: self = .rewound(to: try Self.step(&reader))
        case 10:
            self = .warned(
                try reader.list(limit: BudgetUnit.allCases.count) { reader throws(ByteError) in
                    guard let unit = BudgetUnit(rawValue: try reader.integer()) else { throw .invalid("unit") }
                    return unit
                })
        case 11:
            let position = try Self.step(&reader)
            self = .inherited(position: position, costs: try Costs(reading: &reader))
        case 12:
            let lease = try reader.integer(UInt64.self)
            self = .repeated(lease: lease, cost: try Costs(reading: &reader))
        case 13:
            guard let method = EnergyMethod(rawValue: try reader.integer()) else { throw .invalid("energy method") }
            self = .metered(method)
        default: throw .invalid("event")
        }
        guard isWellFormed else { throw .invalid("event") }
    }

    private static func step(_ reader: inout ByteReader) throws(ByteError) -> Step {
        let step = Int(try reader.integer(Int64.self))
        guard step >= 0 else { throw .invalid("step") }
        return step
    }
}

extension Costs {
    func write(into writer: inout ByteWriter) {
        for unit in BudgetUnit.allCases { writer.integer(self[unit]) }
    }

    init(reading reader: inout ByteReader) throws(ByteError) {
        self = .zero
        for unit in BudgetUnit.allCases { self[unit] = try reader.integer() }
    }
}

extension Budget {
    /// Limits as amounts with 0 for none, the currency (empty = none), the warning level.
    func write(into writer: inout ByteWriter) {
        for unit in BudgetUnit.allCases { writer.integer(self[unit] ?? 0) }
        writer.string(currency ?? "")
        writer.integer(warnAt)
    }

    init(reading reader: inout ByteReader) throws(ByteError) {
        var limits: [Int64] = []
        for _ in BudgetUnit.allCases { limits.append(try reader.integer()) }
        let currency = try reader.string(limit: 3)
        let warnAt = try reader.integer(Int64.self)
        guard limits.allSatisfy({ $0 >= 0 }), (1...1_000_000).contains(warnAt) else { throw .invalid("budget") }
        guard currency.isEmpty || Quantity.isCurrency(currency) else { throw .invalid("currency") }
        self.init(currency: currency.isEmpty ? nil : currency, warnAt: warnAt)
        for (unit, limit) in zip(BudgetUnit.allCases, limits) where limit > 0 { self[unit] = limit }
    }
}
