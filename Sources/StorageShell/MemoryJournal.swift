import Synchronization
import Terms

/// A journal that lives in memory: the twin of `SQLiteJournal` for tests and for runs that keep nothing.
package final class MemoryJournal: Journal {
    /// What outlives one opening: the disk's place.
    package final class Medium: Sendable {
        fileprivate let content = Mutex(Content())
        package init() {}
    }

    fileprivate struct Content {
        var entries: [(entry: JournalEntry, hash: Digest)] = []
        var values: [(key: String, value: String)] = []
        var snapshot: JournalSnapshot?
        var epoch = 0
        var isOpen = false
    }

    private let medium: Medium

    /// Opens a medium; `.locked` while another journal has it open.
    package init(_ medium: Medium = Medium()) throws(StorageError) {
        self.medium = medium
        try medium.content.withLock { content throws(StorageError) in
            guard !content.isOpen else { throw .file(.locked(path: "memory", holder: nil)) }
            content.isOpen = true
            content.epoch += 1
        }
    }

    deinit { medium.content.withLock { $0.isOpen = false } }

    package var epoch: Int { medium.content.withLock { $0.epoch } }
    package var lastSequence: Int { medium.content.withLock { $0.entries.count } }

    package func append(
        _ entries: [JournalEntry], settings: [JournalSetting], snapshot: [UInt8]?
    ) throws(StorageError) -> Int {
        medium.content.withLock { content in
            for entry in entries {
                precondition(entry.payload.count <= JournalEntry.payloadLimit, "a journal entry has at most 1 MiB")
                let previous = content.entries.last?.hash ?? JournalChain.start
                let hash = JournalChain.next(previous, sequence: content.entries.count + 1, entry)
                content.entries.append((entry, hash))
            }
            for setting in settings {
                content.values.removeAll { $0.key == setting.key }
                if let value = setting.value { content.values.append((setting.key, value)) }
            }
            if let snapshot { content.snapshot = JournalSnapshot(sequence: content.entries.count, bytes: snapshot) }
            return content.entries.count
        }
    }

    package func snapshot() throws(StorageError) -> JournalSnapshot? { medium.content.withLock { $0.snapshot } }

    package func replay(from first: Int, _ body: (Int, JournalEntry) -> Void) throws(StorageError) {
        let entries = medium.content.withLock { $0.entries }
        guard first - 1 < entries.count else { return }
        var previous = first > 1 ? entries[first - 2].hash : JournalChain.start
        for (index, (entry, hash)) in entries.enumerated().dropFirst(first - 1) {
            guard JournalChain.next(previous, sequence: index + 1, entry) == hash else {
                throw .journalDamaged(path: "memory", problem: "entry \(index + 1) does not fit the chain")
            }
            previous = hash
            body(index + 1, entry)
        }
    }

    package func walk(_ walk: inout ChainWalk, atMost count: Int) throws(StorageError) {
        let entries = medium.content.withLock { $0.entries }
        let last = min(walk.end, walk.sequence + count, entries.count)
        for index in walk.sequence..<max(walk.sequence, last) {
            let (entry, hash) = entries[index]
            guard JournalChain.next(walk.hash, sequence: index + 1, entry) == hash else {
                throw .journalDamaged(path: "memory", problem: "entry \(index + 1) does not fit the chain")
            }
            (walk.sequence, walk.hash) = (index + 1, hash)
        }
    }

    package func value(_ key: String) throws(StorageError) -> String? {
        medium.content.withLock { content in content.values.first { $0.key == key }?.value }
    }

    package func values() throws(StorageError) -> [JournalSetting] {
        medium.content.withLock { $0.values }
            .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            .map { JournalSetting($0.key, $0.value) }
    }

    package func raiseEpoch(above seen: Int) throws(StorageError) {
        medium.content.withLock { $0.epoch = max($0.epoch, seen + 1) }
    }
}
