package import Terms

/// A ledger between two entries as bytes: what its entries add up to, without the entries. Fixed-width little-endian.
extension Ledger {
    /// Writes the balances and where the chain stands; every entry must be sealed and forgotten.
    package func write(into writer: inout ByteWriter) {
        precondition(entries.isEmpty, "a ledger is written between two entries")
        writer.integer(forgotten)
        writer.raw(forgottenDigest?.bytes ?? [UInt8](repeating: 0, count: 32))
        writer.integer(UInt64(postingsCount))
        state.budget.write(into: &writer)
        for balance in state.balances { balance.write(into: &writer) }
        writer.integer(Int64(state.position))
        writer.list(state.leases) { writer, lease in
            writer.integer(lease.number)
            writer.integer(Int64(lease.steps.lowerBound))
            writer.integer(Int64(lease.steps.upperBound))
            lease.remaining.write(into: &writer)
            writer.bool(lease.isEnding)
        }
        for segments in [state.atRisk, state.covered] {
            writer.list(segments) { writer, segment in
                writer.integer(Int64(segment.first))
                writer.integer(Int64(segment.last))
                segment.costs.write(into: &writer)
            }
        }
        writer.list(state.presumptions) { writer, presumption in
            writer.integer(presumption.lease)
            presumption.lost.write(into: &writer)
        }
        writer.list(state.warned) { $0.integer($1.rawValue) }
        writer.list(state.energyMethods) { $0.integer($1.rawValue) }
    }

    private static let listLimit = 1 << 24

    /// Reads what `write` wrote; a state that breaks the ledger's rules is an error, any bytes are safe.
    package init(reading reader: inout ByteReader) throws(ByteError) {
        let forgotten: UInt64 = try reader.integer()
        let digest = Digest(bytes: try reader.raw(32))
        guard let postings = Int(exactly: try reader.integer(UInt64.self)), forgotten > 0 else {
            throw .invalid("ledger")
        }
        var state = LedgerState(budget: try Budget(reading: &reader))
        for index in state.balances.indices { state.balances[index] = try Costs(reading: &reader) }
        state.position = try Self.step(&reader)
        state.leases = try reader.list(limit: Self.listLimit) { reader throws(ByteError) in
            let number: UInt64 = try reader.integer()
            let (first, last) = (try Self.step(&reader), try Self.step(&reader))
            guard first <= last else { throw .invalid("lease") }
            let remaining = try Costs(reading: &reader)
            return Lease(number: number, steps: first...last, remaining: remaining, isEnding: try reader.bool())
        }
        state.atRisk = try Self.segments(&reader)
        state.covered = try Self.segments(&reader)
        state.presumptions = try reader.list(limit: Self.listLimit) { reader throws(ByteError) in
            LedgerState.Presumption(lease: try reader.integer(), lost: try Costs(reading: &reader))
        }
        state.warned = try reader.list(limit: BudgetUnit.allCases.count) { reader throws(ByteError) in
            guard let unit = BudgetUnit(rawValue: try reader.integer()) else { throw .invalid("unit") }
            return unit
        }
        state.energyMethods = try reader.list(limit: EnergyMethod.allCases.count) { reader throws(ByteError) in
            guard let method = EnergyMethod(rawValue: try reader.integer()) else { throw .invalid("energy method") }
            return method
        }
        guard state.conservationFault == nil else { throw .invalid("ledger") }
        self.init(state, forgotten: forgotten, digest: digest, postings: postings)
    }

    private static func segments(_ reader: inout ByteReader) throws(ByteError) -> [LedgerState.Segment] {
        try reader.list(limit: listLimit) { reader throws(ByteError) in
            let (first, last) = (try step(&reader), try step(&reader))
            guard first <= last else { throw .invalid("segment") }
            return LedgerState.Segment(first: first, last: last, costs: try Costs(reading: &reader))
        }
    }

    private static func step(_ reader: inout ByteReader) throws(ByteError) -> Step {
        guard let step = Int(exactly: try reader.integer(Int64.self)), (0...1 << 48).contains(step) else {
            throw .invalid("step")
        }
        return step
    }
}
