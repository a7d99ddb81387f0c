import Glibc
import Mappings

/// A whole file of a model, mapped, and the open file itself.
final class MappedFile: Sendable {
    let path: String
    private let file: OpenFile
    private let mapping: FileMapping
    /// When it was opened.
    private let firstState: FileState

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
    /// The open file.
    var descriptor: Int32 { file.descriptor }

    /// The state now; nil when the file has another size, or the system doesn't say.
    func wholeState() -> FileState? {
        guard let state = try? FileState(file), state.size == bytes.count else { return nil }
        return state
    }

    /// A watch over the bytes since the file was opened.
    func watch() -> FileWatch<FileState> { FileWatch(mapping, from: firstState) }

    /// Refuses what was read so far when the file has become shorter.
    func requireWhole() throws(ModelFileError) {
        guard mapping.losses == 0, wholeState() != nil else { throw .shortened(path: path) }
    }

    /// Tells the system that the bytes of `range` won't be needed again soon: their pages need not stay in memory.
    func release(_ range: Range<Int>) { mapping.giveBack(range) }
}
