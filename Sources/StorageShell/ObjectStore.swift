import Checkpoints
import Glibc
import Hashing
import Synchronization
package import Terms

/// The immutable chunks below `objects/`: written once, named by their SHA-256, read back only after hashing.
///
/// Safe to use from several threads. A name appears only after the bytes are durable; the name itself is durable after
/// `syncFolders`, which publishing a manifest calls.
package final class ObjectStore: Sendable {
    package let root: String
    package let fileSystem: any FileSystem
    /// How many files are worked on at once.
    package let threads: Int
    private let stagingFolder: String
    private let counter = Mutex(0)
    /// Whether `close` removes the staging folder.
    private let isBeside: Bool
    private let pending = Mutex<Set<Digest>>([])
    /// Memory to read objects back into, kept for the next one.
    private let spare = Mutex<[PageBuffer]>([])

    /// What `put` found.
    package enum Outcome: Sendable, Equatable {
        case written
        /// The same bytes were there.
        case found
        /// Other bytes were there under this name: a damaged object, now replaced.
        case repaired
    }

    /// Which objects are read from the disk again when they were written.
    package enum ReadingBack: Sendable {
        case none
        /// One in twenty, drawn by their digests.
        case sample
        case all

        func includes(_ digest: Digest) -> Bool {
            switch self {
            case .none: false
            case .sample: digest.bytes[31] < 13
            case .all: true
            }
        }
    }

    /// Objects below `root`; `staging` names this writer's own folder in `tmp`, which its opener makes.
    package convenience init(root: String, fileSystem: any FileSystem, staging: String, threads: Int = 8) {
        self.init(root, fileSystem, staging, threads, isBeside: false)
    }

    private init(_ root: String, _ fileSystem: any FileSystem, _ staging: String, _ threads: Int, isBeside: Bool) {
        self.root = root
        self.fileSystem = fileSystem
        self.threads = threads
        self.isBeside = isBeside
        stagingFolder = root + "/" + RepositoryLayout.staging(staging)
    }

    /// A writer beside the one that holds the store's lock, with a staging folder of its own, empty at first.
    package static func beside(
        _ root: String, staging: String, fileSystem: any FileSystem = POSIXFileSystem()
    ) throws(StorageError) -> ObjectStore {
        let store = ObjectStore(root, fileSystem, staging, 1, isBeside: true)
        do throws(FileError) {
            if try !fileSystem.makeFolder(store.stagingFolder) {
                for name in try fileSystem.list(store.stagingFolder) {
                    try fileSystem.remove(store.stagingFolder + "/" + name)
                }
            }
        } catch { throw .file(error) }
        return store
    }

    /// Ends a writer beside the store.
    package func close() {
        precondition(isBeside, "the store's own staging folder stays")
        try? fileSystem.removeFolder(stagingFolder)
    }

    /// Objects put by this process that no published manifest names yet; pruning spares them.
    package var pendingObjects: Set<Digest> { pending.withLock { $0 } }

    /// Ends the protection of objects whose save was published or given up.
    package func forget(_ digests: some Sequence<Digest>) {
        pending.withLock { $0.subtract(digests) }
    }

    /// Stores 1 byte to 4 MiB under their digest, which a caller may have computed already; the content is durable on
    /// return.
    ///
    /// An object that is read back is compared with `bytes`: then it is known to be right without hashing it once more.
    @discardableResult
    package func put(
        _ bytes: UnsafeRawBufferPointer, named known: Digest? = nil, readingBack: ReadingBack = .none
    ) throws(StorageError) -> (digest: Digest, outcome: Outcome) {
        precondition((1...RepositoryLayout.chunkLimit).contains(bytes.count), "an object has 1 byte to 4 MiB")
        let digest = known ?? Digest.sha256(of: bytes)
        _ = pending.withLock { $0.insert(digest) }
        do throws(FileError) {
            let outcome = try store(bytes, digest)
            // One that was found was compared already.
            guard readingBack.includes(digest), outcome != .found else { return (digest, outcome) }
            if try same(path(digest), bytes) == true { return (digest, outcome) }
        } catch { throw .file(error) }
        throw .damaged(path: path(digest), problem: "reads back other bytes than were written")
    }

    /// Stores `count` pieces on several threads, waiting for the disk in all of them at once; digests in order.
    ///
    /// `piece(index, use)` hands the bytes of a piece to `use` and keeps them unchanged until that returns.
    package func putAll(
        _ count: Int, piece: @Sendable (Int, (UnsafeRawBufferPointer) -> Void) -> Void
    ) throws(StorageError) -> [Digest] {
        let results = Mutex<[Digest?]>(Array(repeating: nil, count: count))
        try ParallelLoop.run(count, threads: threads) { (index) throws(StorageError) in
            var result: Result<Digest, StorageError>?
            piece(index) { bytes in
                do throws(StorageError) { result = .success(try self.put(bytes).digest) } catch {
                    result = .failure(error)
                }
            }
            guard let digest = try result?.get() else { preconditionFailure("a piece hands over its bytes once") }
            results.withLock { $0[index] = digest }
        }
        return results.withLock { $0 }.compactMap { $0 }
    }

    /// True when an object of this name and size is there; its bytes are not looked at.
    package func has(_ digest: Digest, length: Int) throws(StorageError) -> Bool {
        let path = path(digest)
        do throws(FileError) {
            guard let status = try fileSystem.status(path) else { return false }
            return status.kind == .file && status.size == length
        } catch { throw .file(error) }
    }

    /// Reads an object of exactly `buffer.count` bytes and hashes it; `.damaged` when it is not what its name promises.
    package func read(
        _ digest: Digest, into buffer: UnsafeMutableRawBufferPointer, fromDisk: Bool = false
    ) throws(StorageError) {
        let path = path(digest)
        let count: Int
        do throws(FileError) { count = try fileSystem.read(path, into: buffer, fromDisk: fromDisk) } catch {
            switch error {
            case .tooLarge:
                throw .damaged(path: path, problem: "has more than the \(buffer.count) bytes it should have")
            case .missing: throw .missingObjects(count: 1, first: digest)
            default: throw .file(error)
            }
        }
        guard count == buffer.count else {
            throw .damaged(path: path, problem: "has \(count) bytes instead of \(buffer.count)")
        }
        let found = Digest.sha256(of: UnsafeRawBufferPointer(buffer))
        guard found == digest else { throw .damaged(path: path, problem: "its bytes have the digest \(found)") }
    }

    /// Makes the names of these objects durable, whoever wrote them.
    package func syncFolders(of digests: some Sequence<Digest>) throws(StorageError) {
        let folders = Set(digests.map { root + "/" + RepositoryLayout.objectFolder($0) }).sorted()
        guard !folders.isEmpty else { return }
        do throws(FileError) {
            try ParallelLoop.run(folders.count, threads: threads) { (index) throws(FileError) in
                try fileSystem.syncFolder(folders[index])
            }
            try fileSystem.syncFolder(root + "/" + RepositoryLayout.objects)
        } catch { throw .file(error) }
    }

    /// The file of an object.
    package func path(_ digest: Digest) -> String { root + "/" + RepositoryLayout.object(digest) }

    private func store(_ bytes: UnsafeRawBufferPointer, _ digest: Digest) throws(FileError) -> Outcome {
        let path = path(digest)
        let known = try same(path, bytes)
        if known == true { return .found }
        let number = counter.withLock { count in
            count += 1
            return count
        }
        let temporary = stagingFolder + "/\(number)"
        try fileSystem.writeNew(temporary, bytes, mode: 0o444)
        do throws(FileError) {
            if known == nil { _ = try fileSystem.makeFolder(root + "/" + RepositoryLayout.objectFolder(digest)) }
            return try name(temporary, path, bytes, replacing: known == false)
        } catch {
            try? fileSystem.remove(temporary)
            throw error
        }
    }

    /// Gives a staged file its name; when another writer was first, its bytes decide.
    private func name(
        _ temporary: String, _ path: String, _ bytes: UnsafeRawBufferPointer, replacing: Bool
    ) throws(FileError) -> Outcome {
        do throws(FileError) {
            try fileSystem.rename(temporary, to: path, replacing: replacing)
            return replacing ? .repaired : .written
        } catch .exists {
            if try same(path, bytes) == true {
                try fileSystem.remove(temporary)
                return .found
            }
            try fileSystem.rename(temporary, to: path, replacing: true)
            return .repaired
        }
    }

    /// Whether the file holds these bytes; nil when there is none.
    ///
    /// Training is deterministic: after a fallback it makes the very objects again of which one was found damaged. So
    /// an object that is there is not believed by its name, it is read.
    private func same(_ path: String, _ bytes: UnsafeRawBufferPointer) throws(FileError) -> Bool? {
        guard let status = try fileSystem.status(path) else { return nil }
        guard status.kind == .file, status.size == bytes.count else { return false }
        let buffer = spare.withLock { $0.popLast() } ?? PageBuffer()
        defer { spare.withLock { $0.append(buffer) } }
        // No more than whole blocks that hold something: beyond them the system would fill with zeros.
        let room = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[0..<(bytes.count + 4095) / 4096 * 4096])
        // A file that can't be read is as useless as one with other bytes.
        guard let count = try? fileSystem.read(path, into: room, fromDisk: true), count == bytes.count else {
            return false
        }
        return memcmp(buffer.bytes.baseAddress!, bytes.baseAddress!, count) == 0
    }

    /// Room for an object, on page bounds: what reads past the system's cache needs that.
    private final class PageBuffer: @unchecked Sendable {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: RepositoryLayout.chunkLimit, alignment: 4096)
        deinit { bytes.deallocate() }
    }
}
