import Budgeting
package import Coordination
import Hashing
package import StorageShell
package import Terms

/// The core's facts in the journal, and from time to time what they add up to, so that a start reads that and the few
/// entries behind it, however long a run is.
///
/// Entries stay: the ledgers' lines are looked at one by one, and `fsck` walks all. So this saves no space, only time;
/// it is the whole core that is kept, not one job's part, because then a start has one thing to read and there is
/// nothing to merge. It replaces the one before, and comes after so many bytes of entries as make it worth writing:
/// what is read behind it is bounded by half of its own size, or by half a megabyte.
package struct CoreJournal {
    package let journal: any Journal
    /// Bytes of entries since the newest snapshot, and the size of that.
    private var bytesSince = 0
    private var size = 0
    /// How far the entries were walked that the newest snapshot stands for; nil = there are none, or all were.
    private var past: ChainWalk?

    /// Bytes of entries behind a snapshot that are not worth another one.
    package static let leastBytes = 1 << 19
    /// What SQLite takes as one value, with room to spare.
    private static let mostBytes = 1 << 29

    /// Old entries that a start walks before it goes on.
    private let walkedAtStart: Int
    /// Those that are walked between two turns of the loop, a millisecond's worth.
    private static let walkedBetween = 1 << 9

    /// - Parameter walkedAtStart: so many old entries are walked before a start goes on; the usual number takes some tens
    ///   of milliseconds.
    package init(_ journal: any Journal, walkedAtStart: Int = 1 << 14) {
        self.journal = journal
        self.walkedAtStart = walkedAtStart
    }

    /// Makes entries durable, `core` being what they led to.
    package mutating func append(_ entries: [Coordination.JournalEntry], of core: Coordinator) throws(StorageError) {
        let stored = entries.map(Self.stored)
        var bytes = bytesSince + stored.reduce(0) { $0 + Self.bytes($1) }
        if bytes >= max(Self.leastBytes, size / 2) {
            let snapshot = core.snapshot()
            if snapshot.count <= Self.mostBytes {
                let named = stored + [Self.stored(.snapshot(Digest.sha256(of: snapshot)))]
                do throws(StorageError) {
                    try journal.append(named, settings: [], snapshot: snapshot)
                    return (bytesSince, size) = (0, snapshot.count)
                } catch {
                    // It only saves time: on a full disk the entries alone may still find room.
                    guard error.isFullDisk else { throw error }
                }
            } else {
                // Tried again when there are half as many new ones.
                (bytes, size) = (0, snapshot.count)
            }
        }
        try journal.append(stored)
        bytesSince = bytes
    }

    /// Gives a new core what the journal says; returns how many entries were read for it.
    ///
    /// A snapshot that is damaged, or of another release, is passed over: the entries say the same.
    @discardableResult
    package mutating func restore(_ core: inout Coordinator, at now: Instant) throws -> Int {
        let found = try Self.restore(&core, from: journal, at: now)
        (bytesSince, size) = (found.bytes, found.size)
        past = ChainWalk(through: found.first - 1)
        try walkPast(atMost: walkedAtStart)
        return found.count
    }

    /// True while old entries are still to be walked: a snapshot stood for them, so that the start did not wait for it.
    package var hasPast: Bool { past != nil }

    /// Walks on through the entries that a snapshot has stood for. Throws at one that does not fit the chain: a journal
    /// that somebody has changed is not gone on with.
    package mutating func walkPast() throws(StorageError) { try walkPast(atMost: Self.walkedBetween) }

    private mutating func walkPast(atMost count: Int) throws(StorageError) {
        guard var walk = past else { return }
        try journal.walk(&walk, atMost: count)
        past = walk.isOver ? nil : walk
    }

    /// Takes in what the journal says; `first` = the entry that it was read from.
    private static func restore(
        _ core: inout Coordinator, from journal: any JournalReading, at now: Instant
    ) throws -> (first: Int, count: Int, bytes: Int, size: Int) {
        if let snapshot = try journal.snapshot(), var early = try? Self.core(core, snapshot, at: now) {
            let (count, digest, bytes) = try replay(&early, journal, from: snapshot.sequence, at: now)
            if digest == Digest.sha256(of: snapshot.bytes) {
                core = early
                return (snapshot.sequence, count, bytes, snapshot.bytes.count)
            }
        }
        let (count, _, bytes) = try replay(&core, journal, from: 1, at: now)
        return (1, count, bytes, 0)
    }

    /// What the journal gives, read as a start would read it.
    package struct Recollection {
        package fileprivate(set) var core: Coordinator
        /// Entries that were read.
        package fileprivate(set) var read = 0
        /// What does not follow from what is before it, a sentence; nil = nothing.
        package fileprivate(set) var fault: String?

        /// Whether it is the ledger that `run` has.
        func agrees(on run: JobRun) -> Bool {
            guard fault == nil, let own = core.job(run.id) else { return false }
            return own.ledger?.head == run.ledger?.head && own.ledger?.spent == run.ledger?.spent
                && own.ledger?.reserved == run.ledger?.reserved && run.ledger?.conservationFault == nil
        }
    }

    /// Reads the newest snapshot and what stands behind it: the ledgers' chains are held against the one, and walked in
    /// the other. Throws when entries can't be read; a line of a ledger that does not follow is told.
    package static func recall(_ journal: any JournalReading) throws -> Recollection {
        var found = Recollection(core: Coordinator(epoch: 0, dataEndpoint: ""))
        do { found.read = try restore(&found.core, from: journal, at: Instant(nanoseconds: 0)).count } catch let fault
            as DescriptionError
        { found.fault = fault.problem }
        return found
    }

    private static func core(_ new: Coordinator, _ snapshot: JournalSnapshot, at now: Instant) throws -> Coordinator {
        var core = new
        try core.restore(snapshot: snapshot.bytes, at: now)
        return core
    }

    /// Replays what stands behind a snapshot; `digest` is what the first entry says that the snapshot has.
    private static func replay(
        _ core: inout Coordinator, _ journal: any JournalReading, from first: Int, at now: Instant
    ) throws -> (count: Int, digest: Digest?, bytes: Int) {
        var (count, digest, size): (Int, Digest?, Int) = (0, nil, 0)
        var failure: (any Error)?
        try journal.replay(from: first) { _, stored in
            guard failure == nil else { return }
            count += 1
            size += bytes(stored)
            do {
                let entry = try entry(stored)
                if count == 1, case .snapshot(let value) = entry { digest = value }
                try core.restore(entry, at: now)
            } catch { failure = error }
        }
        if let failure { throw failure }
        return (count, digest, size)
    }

    /// Reads an entry of the core back.
    static func entry(_ stored: StorageShell.JournalEntry) throws -> Coordination.JournalEntry {
        do {
            return try Coordination.JournalEntry(job: stored.job, kind: Int(stored.kind), payload: stored.payload)
        } catch {
            throw DeskError(description: "the journal holds an entry that this release can't read: \(error)")
        }
    }

    private static func stored(_ entry: Coordination.JournalEntry) -> StorageShell.JournalEntry {
        StorageShell.JournalEntry(job: entry.job, kind: UInt16(entry.kind), payload: entry.encoded())
    }

    /// What an entry takes on the disk, about.
    private static func bytes(_ entry: StorageShell.JournalEntry) -> Int { entry.payload.count + 48 }
}
