package import Terms

/// What is wrong with a ledger's stored entries.
package enum LedgerError: Error, Equatable, CustomStringConvertible {
    /// The entries do not begin with limits, or not with sequence 1.
    case noBeginning
    /// This entry's event was refused, or made other postings than it says.
    case differs(sequence: UInt64)

    /// What is wrong, and where.
    package var description: String {
        switch self {
        case .noBeginning: "the ledger does not begin with its first limits; its journal is incomplete"
        case .differs(let sequence): "entry \(sequence) of the ledger does not follow from the entries before it"
        }
    }
}

extension Ledger {
    /// Computes the chain digests of entries that have none: `sha256(digest before, entry bytes)`, 32 zero bytes first.
    ///
    /// - Returns: the entries just sealed with their digests, for the journal.
    package mutating func seal(_ sha256: ([UInt8]) -> Digest) -> [(entry: LedgerEntry, digest: Digest)] {
        let first = digests.count
        for entry in entries[first...] {
            digests.append(sha256(Self.link(digests.last ?? forgottenDigest, entry)))
        }
        return (first..<entries.count).map { (entries[$0], digests[$0]) }
    }

    /// True when every sealed entry that is kept has the digest its bytes and its predecessor give.
    package func verifyChain(_ sha256: ([UInt8]) -> Digest) -> Bool {
        var previous = forgottenDigest
        for (entry, digest) in zip(entries, digests) {
            guard sha256(Self.link(previous, entry)) == digest else { return false }
            previous = digest
        }
        return true
    }

    /// Drops the sealed entries from memory; the journal has them.
    package mutating func forget() {
        guard let last = digests.last else { return }
        forgotten += UInt64(digests.count)
        forgottenDigest = last
        entries.removeFirst(digests.count)
        digests = []
    }

    /// The digest of the newest sealed entry; nil before the first.
    package var head: Digest? { digests.last ?? forgottenDigest }

    private static func link(_ previous: Digest?, _ entry: LedgerEntry) -> [UInt8] {
        (previous?.bytes ?? [UInt8](repeating: 0, count: 32)) + entry.bytes
    }

    /// The ledger that stored entries describe; every posting is made anew and compared.
    package static func replay(_ entries: [LedgerEntry]) throws(LedgerError) -> Ledger {
        var ledger: Ledger?
        for entry in entries { try extend(&ledger, by: entry) }
        guard let ledger else { throw .noBeginning }
        return ledger
    }

    /// Takes in the next stored entry; nil = it is the first. After an error the ledger is of no use.
    package static func extend(_ ledger: inout Ledger?, by entry: LedgerEntry) throws(LedgerError) {
        if ledger == nil {
            guard case .limited(let budget) = entry.event else { throw .noBeginning }
            ledger = Ledger(budget, at: entry.at)
        } else {
            let isGood = entry.event.isWellFormed && ledger?.apply(entry.event, at: entry.at) == nil
            guard isGood else { throw .differs(sequence: entry.sequence) }
        }
        guard ledger?.entries.last == entry else { throw .differs(sequence: entry.sequence) }
    }
}
