import CSystem
import Hashing
import Terms

/// A mapped file that is computed with where it lies: says whether its bytes are still those that were verified. One
/// caller at a time.
///
/// While it lives, a file that somebody shortens reads as zeros from the missing bytes on and ends no process.
final class FileGuard: @unchecked Sendable {
    private let mapping: MappedFile
    private let digest: Digest
    /// What the mapping is known by where zeros stand in for its pages; nil = nowhere.
    private let number: Int32?
    /// When the bytes were last known to be right.
    private var state: FileState
    private var losses: UInt32 = 0

    var path: String { mapping.path }

    /// - Parameter digest: of the file's bytes; they had it when `mapping` was made.
    init(_ mapping: MappedFile, digest: Digest) {
        (self.mapping, self.digest) = (mapping, digest)
        state = mapping.firstState
        let number = mapping.bytes.baseAddress.map { csys_guard_mapping($0, UInt64(mapping.bytes.count)) } ?? -1
        self.number = number < 0 ? nil : number
    }

    deinit { if let number { csys_forget_mapping(number) } }

    /// False when somebody has written to the file since the last call, and as long as it holds other bytes: what was
    /// read meanwhile may be anything. A call of the system; where that tells of a change, all is read.
    func isIntact() -> Bool {
        let lost = number.map(csys_lost_pages) ?? 0
        guard let now = mapping.state, now.size == mapping.bytes.count else { return false }
        if now == state, lost == losses { return true }
        mapping.restore()
        if Digest.sha256(of: mapping.bytes) == digest, mapping.state == now, number.map(csys_lost_pages) ?? 0 == lost {
            (state, losses) = (now, lost)
        }
        return false
    }
}
