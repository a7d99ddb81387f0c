import Hashing
import Terms

/// A mapped file that is computed with where it lies: says whether its bytes are still those that were verified. One
/// caller at a time.
final class FileGuard: @unchecked Sendable {
    private let mapping: MappedFile
    private let digest: Digest
    /// When the bytes were last known to be right.
    private var state: FileState
    private var losses: UInt32 = 0

    var path: String { mapping.path }

    /// - Parameter digest: of the file's bytes; they had it when `mapping` was made.
    init(_ mapping: MappedFile, digest: Digest) {
        (self.mapping, self.digest) = (mapping, digest)
        state = mapping.firstState
    }

    /// False when somebody has written to the file since the last call, and as long as it holds other bytes: what was
    /// read meanwhile may be anything. A call of the system; where that tells of a change, all is read.
    func isIntact() -> Bool {
        let lost = mapping.losses
        guard let now = mapping.state, now.size == mapping.bytes.count else { return false }
        if now == state, lost == losses { return true }
        mapping.restore()
        if Digest.sha256(of: mapping.bytes) == digest, mapping.state == now, mapping.losses == lost {
            (state, losses) = (now, lost)
        }
        return false
    }
}
