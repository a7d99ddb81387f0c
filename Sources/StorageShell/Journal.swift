import Hashing
package import Terms

/// One fact of the coordinator, opaque to the journal.
package struct JournalEntry: Sendable, Equatable {
    /// The job it is about; number 0 = about none.
    package var job: JobID
    /// The caller's own number for the payload's format.
    package var kind: UInt16
    /// At most 1 MiB; large things belong into the checkpoint store.
    package var payload: [UInt8]

    /// Bytes of the largest payload.
    package static let payloadLimit = 1 << 20

    package init(job: JobID, kind: UInt16, payload: [UInt8]) {
        self.job = job
        self.kind = kind
        self.payload = payload
    }
}

/// A value to be stored under a key in the same transaction as entries; nil deletes.
package struct JournalSetting: Sendable, Equatable {
    package var key: String
    package var value: String?
    package init(_ key: String, _ value: String?) {
        self.key = key
        self.value = value
    }
}

/// What can be read of a journal. Entries are numbered from 1 without gaps.
package protocol JournalReading: AnyObject, Sendable {
    /// The newest snapshot, and the number of the last entry in it; nil when there is none.
    func snapshot() throws(StorageError) -> JournalSnapshot?
    /// Calls `body` for every entry with a number of at least `first`, in order, checking the chain from it on; what is
    /// before is believed. `body` does not use the journal.
    func replay(from first: Int, _ body: (Int, JournalEntry) -> Void) throws(StorageError)
}

/// An append-only, hash-chained list of entries that survives a power cut, with a small table of texts beside it.
///
/// What `append` returned from is durable; what it threw from is not there.
package protocol Journal: JournalReading {
    /// The number of this start: greater than that of any earlier start, durable before the journal was handed out.
    var epoch: Int { get }
    /// The number of the newest entry, 0 when there is none.
    var lastSequence: Int { get }
    /// Adds all entries and settings in one durable transaction, or nothing; returns the number of the newest entry.
    ///
    /// - Parameter snapshot: what all entries to the last of these add up to; replaces the one before. nil = it stays.
    @discardableResult
    func append(
        _ entries: [JournalEntry], settings: [JournalSetting], snapshot: [UInt8]?
    ) throws(StorageError) -> Int
    /// Walks the chain on from where `walk` stands, over at most `count` entries; throws at the first that does not fit.
    func walk(_ walk: inout ChainWalk, atMost count: Int) throws(StorageError)
    /// The text under a key, nil when there is none.
    func value(_ key: String) throws(StorageError) -> String?
    /// All keys and their texts, ascending by key bytes.
    func values() throws(StorageError) -> [JournalSetting]
    /// Makes this start's number greater than `seen`, durably: somebody out there has met a later start than this
    /// journal knows, so this journal is an old copy.
    func raiseEpoch(above seen: Int) throws(StorageError)
}

/// What a journal's entries add up to, opaque to the journal and outside of its chain: an entry should hold its digest.
package struct JournalSnapshot: Sendable, Equatable {
    /// The number of the last entry in it.
    package var sequence: Int
    package var bytes: [UInt8]
}

/// How far the entries were walked that a start from a snapshot has believed.
package struct ChainWalk: Sendable, Equatable {
    /// The last entry that was found to fit, 0 = none, and the chain's hash there.
    var sequence = 0
    var hash = JournalChain.start
    /// The last entry to walk.
    package let end: Int

    /// A walk that begins before the first entry and ends after entry `end`.
    package init(through end: Int) { self.end = end }

    /// Nothing is left to walk.
    package var isOver: Bool { sequence >= end }
}

extension Journal {
    @discardableResult
    package func append(_ entries: [JournalEntry]) throws(StorageError) -> Int { try append(entries, settings: []) }

    @discardableResult
    package func append(_ entries: [JournalEntry], settings: [JournalSetting]) throws(StorageError) -> Int {
        try append(entries, settings: settings, snapshot: nil)
    }
}

extension JournalReading {
    package func replay(_ body: (Int, JournalEntry) -> Void) throws(StorageError) { try replay(from: 1, body) }
}

/// The hash chain: each entry's hash covers the one before, so that no entry can change, vanish or move unseen.
enum JournalChain {
    /// The hash before the first entry.
    static let start = Digest.sha256(of: "drover-journal 1")

    /// SHA-256 over the previous hash, then number (u64), job (u32), kind (u16) and payload (u32 length, bytes).
    static func next(_ previous: Digest, sequence: Int, _ entry: JournalEntry) -> Digest {
        var head = ByteWriter(capacity: 64)
        head.raw(previous.bytes)
        head.integer(UInt64(sequence))
        head.integer(entry.job.number)
        head.integer(entry.kind)
        head.integer(UInt32(entry.payload.count))
        var hasher = SHA256Hasher()
        hasher.update(head.bytes)
        hasher.update(entry.payload)
        return hasher.finish()
    }
}
