import Checkpoints
import Synchronization

/// A folder of checkpoints: write-once objects, manifests that name them, and publishing as the one moment that counts.
///
/// Order of every commit: objects durable, their names durable, manifest durable, its name durable (the commit point),
/// then hints (HEAD, events). Whoever finds the folder at any instant, also after a power cut, finds every published
/// checkpoint whole. One process writes (it holds the folder's lock), any number may read.
package final class CheckpointStore: Sendable {
    package let root: String
    package let fileSystem: any FileSystem
    package let objects: ObjectStore
    private let lock: DirectoryLock?
    /// One publication, pruning or pinning at a time; also remembers what was verified since the store was opened.
    let state = Mutex(State())

    struct State {
        /// Health by manifest digest in hexadecimal.
        var health: [String: RetentionCandidate.Health] = [:]
    }

    /// The store's own staging folder; foreign writers use names of their own.
    static let stagingName = "store"

    /// True when opened for writing.
    package var isWritable: Bool { lock != nil }

    private init(root: String, fileSystem: any FileSystem, threads: Int, lock: DirectoryLock?) {
        self.root = root
        self.fileSystem = fileSystem
        self.lock = lock
        objects = ObjectStore(root: root, fileSystem: fileSystem, staging: Self.stagingName, threads: threads)
    }

    /// Opens for writing: takes the folder's lock, makes what is missing, sweeps staged leftovers of a crash, cuts torn
    /// ends of event logs, and keeps damaged ones beside new ones.
    package static func open(
        _ root: String, fileSystem: any FileSystem = POSIXFileSystem(), threads: Int = 8
    ) throws(StorageError) -> CheckpointStore {
        try disk(fileSystem.makeFolders(root))
        let store = CheckpointStore(
            root: root, fileSystem: fileSystem, threads: threads, lock: try disk(fileSystem.lock(root)))
        // FORMAT comes first and is durable before anything else is made: runs without it were not made by us.
        let format = try disk(fileSystem.status(store.path(RepositoryLayout.format)))
        let runs = try disk(fileSystem.status(store.path(RepositoryLayout.runs)))
        if format == nil, runs == nil {
            try disk(
                AtomicFile.write(
                    store.path(RepositoryLayout.format), Array(RepositoryLayout.formatText.utf8), fileSystem: fileSystem
                ))
        }
        try store.checkFormat()
        let staging = RepositoryLayout.staging(stagingName)
        for folder in [RepositoryLayout.objects, RepositoryLayout.runs, RepositoryLayout.staging, staging] {
            _ = try disk(fileSystem.makeFolder(store.path(folder)))
        }
        try disk(fileSystem.syncFolder(root))
        try store.sweepStaging()
        for run in try store.runs() { try store.repairEvents(run) }
        return store
    }

    /// Opens for reading: takes no lock and changes nothing.
    package static func openReading(
        _ root: String, fileSystem: any FileSystem = POSIXFileSystem(), threads: Int = 8
    ) throws(StorageError) -> CheckpointStore {
        let store = CheckpointStore(root: root, fileSystem: fileSystem, threads: threads, lock: nil)
        try store.checkFormat()
        return store
    }

    /// For verifying, which looks at `FORMAT` itself.
    static func unchecked(_ root: String, fileSystem: any FileSystem, threads: Int) -> CheckpointStore {
        CheckpointStore(root: root, fileSystem: fileSystem, threads: threads, lock: nil)
    }

    /// Runs that have a folder here, ascending by name.
    package func runs() throws(StorageError) -> [String] {
        let folder = path(RepositoryLayout.runs)
        guard try disk(fileSystem.status(folder)) != nil else { return [] }
        return try disk(fileSystem.list(folder)).filter(RepositoryLayout.isRunName)
    }

    /// Space on the disk that holds the store.
    package func space() throws(StorageError) -> DiskSpace { try disk(fileSystem.space(root)) }

    /// The absolute path of a place in the layout.
    func path(_ relative: String) -> String { root + "/" + relative }

    /// Throws unless the store was opened for writing.
    func requireWritable() throws(StorageError) {
        guard isWritable else { throw .readOnly(path: root) }
    }

    /// Throws unless `FORMAT` is exactly what this version writes.
    func checkFormat() throws(StorageError) {
        let path = path(RepositoryLayout.format)
        guard try disk(fileSystem.status(path)) != nil else { throw .unknownFormat(path: root, found: "") }
        let found = String(decoding: try disk(fileSystem.contents(path, limit: 256)), as: UTF8.self)
        guard found.utf8.elementsEqual(RepositoryLayout.formatText.utf8) else {
            throw .unknownFormat(path: root, found: String(found.prefix(40)))
        }
    }

    /// Removes what earlier writers of this name had staged; none of it was ever named.
    private func sweepStaging() throws(StorageError) {
        let folder = path(RepositoryLayout.staging(Self.stagingName))
        for name in try disk(fileSystem.list(folder)) { try disk(fileSystem.remove(folder + "/" + name)) }
    }
}

/// Turns what the file system throws into this module's error.
func disk<Value>(_ body: @autoclosure () throws(FileError) -> Value) throws(StorageError) -> Value {
    do throws(FileError) { return try body() } catch { throw .file(error) }
}
