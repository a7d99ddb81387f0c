import Glibc
import Mappings

/// A whole file of a model, mapped, and the open file itself.
final class MappedFile: Sendable {
    let path: String
    private let file: OpenFile
    private let mapping: FileMapping
    /// When it was opened.
    let firstState: FileState

    /// Maps the regular file at `path`.
    init(path: String, advice: String) throws(ModelFileError) {
        file = try OpenFile.reading(path, advice: advice)
        firstState = try FileState(file)
        guard let mapping = FileMapping(descriptor: file.descriptor, count: firstState.size) else {
            throw .system(path: path, operation: "map", code: errno)
        }
        (self.path, self.mapping) = (path, mapping)
    }

    /// The bytes, valid as long as this object lives.
    var bytes: UnsafeRawBufferPointer { mapping.bytes }
    /// The state now; nil when the system doesn't say.
    var state: FileState? { try? FileState(file) }
    /// How often zeros had to stand in for bytes that the file no longer has.
    var losses: UInt32 { mapping.losses }

    /// Refuses what was read so far when the file has become shorter.
    func requireWhole() throws(ModelFileError) {
        guard losses == 0, state?.size == bytes.count else { throw .shortened(path: path) }
    }

    /// Tells the system that the bytes of `range` won't be needed again soon: their pages need not stay in memory.
    func release(_ range: Range<Int>) { mapping.giveBack(range) }

    /// Maps the file's own pages again where others stand in for them.
    func restore() { mapping.restore(file.descriptor) }
}
