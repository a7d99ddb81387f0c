import Hashing
import Mappings
import Terms

/// A mapped file that is computed with where it lies, and the digest that its bytes had when it was mapped.
final class FileGuard: Sendable {
    private let file: MappedFile
    private let digest: Digest
    private let watch: FileWatch<FileState>

    var path: String { file.path }

    init(_ file: MappedFile, digest: Digest) {
        (self.file, self.digest) = (file, digest)
        watch = file.watch()
    }

    /// False when somebody has written to the file since the last call, and as long as it holds other bytes: what was
    /// read meanwhile may be anything. A call of the system; where that tells of a change, all is read.
    func isIntact() -> Bool {
        watch.isIntact(file.descriptor, state: file.wholeState) { Digest.sha256(of: file.bytes) == digest }
    }
}
