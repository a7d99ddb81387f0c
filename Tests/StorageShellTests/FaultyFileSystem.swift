import StorageShell
import Synchronization
import Terms

/// A disk in memory that forgets what was not made durable, and fails or dies at any chosen call.
///
/// Stricter than any real one: a name is durable only after a sync of its folder, a rename counts in each folder apart,
/// and after a failed sync of a file no later sync of that file writes anything.
final class FaultyFileSystem: FileSystem {
    /// What happens at the chosen changing call.
    enum Fault: Sendable {
        /// The process or machine stops in the middle of (a write is half done) or after the call; then nothing works.
        case stop(Moment)
        /// The call fails once.
        case fail(FileFailure)
        /// Every call that needs space fails from here on.
        case full
    }
    enum Moment: Sendable { case amid, after }
    enum FileFailure: Sendable, CaseIterable { case inputOutput, noSpace }

    /// What a power cut leaves of what was not durable.
    enum PowerCut: Sendable {
        case lost, kept, torn
        /// Each name and each file drawn by itself.
        case mixed(UInt64)
    }

    struct File {
        var content: [UInt8] = []
        var durable: [UInt8]?
        /// What was changed at places since the last sync, in order; nil = a file that is only appended to. See
        /// `+Places`.
        var changes: [Change]?
        /// A sync failed: the pages count as clean, though they are lost.
        var isPoisoned = false
        var modified = 1_000
    }
    enum Node: Equatable {
        case file(Int)
        case folder
    }
    struct Folder {
        var names: [String: Node] = [:]
        var durable: [String: Node] = [:]
    }
    struct State {
        var files: [Int: File] = [:]
        var folders: [String: Folder] = ["": Folder()]
        var nextFile = 1
        var open: [Int32: Int] = [:]
        var nextOpen: Int32 = 3
        var locked: Set<String> = []
        var calls = 0
        var faultAt = 0
        var fault: Fault?
        var isDead = false
        var isFull = false
        /// A file's last bit is another one as soon as it has its last name.
        var rots = false
        /// Files that were read past the system's cache.
        var diskReads = 0
        /// New files get this time.
        var clock = 1_000
    }
    let state: Mutex<State>

    init() { state = Mutex(State()) }
    private init(_ state: State) { self.state = Mutex(state) }

    // MARK: Steering

    /// An independent disk with the same content; nothing open, no fault.
    func copy() -> FaultyFileSystem {
        var state = state.withLock { $0 }
        Self.restart(&state)
        return FaultyFileSystem(state)
    }

    /// Changing calls so far.
    var calls: Int { state.withLock { $0.calls } }

    /// Plans a fault for the `call`-th changing call from now, counted from 1.
    func plan(_ fault: Fault, at call: Int) {
        state.withLock { state in
            state.calls = 0
            state.faultAt = call
            state.fault = fault
        }
    }

    /// True when the planned fault has not come.
    var isFaultPending: Bool { state.withLock { $0.fault != nil } }

    func clearFaults() {
        state.withLock { state in
            state.fault = nil
            state.isFull = false
        }
    }

    /// New and changed files get this time, seconds.
    func setClock(_ seconds: Int) { state.withLock { $0.clock = seconds } }

    /// The process is gone, the machine goes on: nothing is lost, nothing became durable.
    func kill() { state.withLock { Self.restart(&$0) } }

    /// The machine is gone and back.
    func cutPower(_ cut: PowerCut) {
        state.withLock { state in
            var draws: UInt64 = 0
            func draw(_ bound: UInt64) -> UInt64 {
                guard case .mixed(let seed) = cut else { return 0 }
                draws += 1
                return Philox.mix(seed << 32 | draws) % bound
            }
            var after = State()
            after.nextFile = state.nextFile
            after.clock = state.clock
            var ids: [Int] = []
            var waiting = [""]
            while let path = waiting.popLast() {
                let folder = state.folders[path] ?? Folder()
                var names: [String: Node] = [:]
                for name in Set(folder.names.keys).union(folder.durable.keys).sorted() {
                    let (now, safe) = (folder.names[name], folder.durable[name])
                    let keeps =
                        switch cut {
                        case .kept, .torn: true
                        case .lost: false
                        case .mixed: now == safe || draw(2) == 0
                        }
                    guard let node = keeps ? now : safe else { continue }
                    names[name] = node
                    if case .file(let id) = node { ids.append(id) } else { waiting.append(path + "/" + name) }
                }
                after.folders[path] = Folder(names: names, durable: names)
            }
            for id in Set(ids).sorted() {
                guard var file = state.files[id] else { continue }
                let safe = file.durable ?? []
                if let changes = file.changes {
                    file.content = Change.left(of: safe, changes, by: cut, draw)
                    file.changes = []
                } else if file.durable != file.content {
                    let torn =
                        Array(file.content.prefix(file.content.count / 2))
                        + [UInt8](repeating: 0, count: file.content.count - file.content.count / 2)
                    file.content =
                        switch cut {
                        case .kept: file.isPoisoned ? safe : file.content
                        case .lost: safe
                        case .torn: torn
                        case .mixed: [safe, file.isPoisoned ? safe : file.content, torn][Int(draw(3))]
                        }
                }
                file.durable = file.content
                file.isPoisoned = false
                after.files[id] = file
            }
            state = after
        }
    }

    /// Every file's path, ascending.
    var allFiles: [String] {
        state.withLock { state in
            state.folders.keys.sorted().flatMap { path in
                (state.folders[path]?.names ?? [:]).filter { $0.value != .folder }.keys.sorted().map { path + "/" + $0 }
            }.sorted()
        }
    }

    func bytes(_ path: String) -> [UInt8] {
        state.withLock { state in Self.file(path, state).flatMap { state.files[$0]?.content } ?? [] }
    }

    /// Changes a file behind everybody's back.
    func overwrite(_ path: String, _ bytes: [UInt8]) {
        state.withLock { state in
            guard let id = Self.file(path, state) else { return }
            state.files[id]?.content = bytes
            state.files[id]?.durable = bytes
        }
    }

    // MARK: FileSystem

    func makeFolder(_ path: String) throws(FileError) -> Bool {
        try change(path, .makeFolder, needsSpace: true) { state throws(FileError) in
            let (parent, name) = Self.split(path)
            guard state.folders[parent] != nil else { throw .missing(path: path) }
            guard state.folders[parent]?.names[name] == nil else { return false }
            state.folders[parent]?.names[name] = .folder
            state.folders[path] = Folder()
            return true
        }
    }

    func create(_ path: String, mode: UInt32) throws(FileError) -> OpenFile {
        try change(path, .create, needsSpace: true) { state throws(FileError) in
            try Self.create(path, &state, mustBeNew: true)
        }
    }

    func openForAppending(_ path: String) throws(FileError) -> OpenFile {
        try change(path, .open, needsSpace: true) { state throws(FileError) in
            try Self.create(path, &state, mustBeNew: false)
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, to file: OpenFile) throws(FileError) {
        let bytes = Array(bytes)
        try change(
            file.path, .write, needsSpace: true,
            amid: { state in
                if let id = state.open[file.number] { state.files[id]?.content += bytes.prefix(bytes.count / 2) }
            },
            { state throws(FileError) in
                guard let id = state.open[file.number] else {
                    throw .failed(operation: .write, path: file.path, code: 9)
                }
                state.files[id]?.content += bytes
                state.files[id]?.modified = state.clock
            })
    }

    func truncate(_ file: OpenFile, to size: Int) throws(FileError) {
        try change(file.path, .truncate) { state throws(FileError) in
            guard let id = state.open[file.number], let count = state.files[id]?.content.count else {
                throw .failed(operation: .truncate, path: file.path, code: 9)
            }
            state.files[id]?.content.removeLast(max(0, count - size))
        }
    }

    func sync(_ file: OpenFile) throws(FileError) {
        try change(
            file.path, .sync,
            amid: { state in
                if !state.isDead, let id = state.open[file.number] { state.files[id]?.failSync() }
            },
            { state throws(FileError) in
                guard let id = state.open[file.number] else {
                    throw .failed(operation: .sync, path: file.path, code: 9)
                }
                state.files[id]?.sync()
            })
    }

    func close(_ file: OpenFile) { state.withLock { $0.open[file.number] = nil } }

    func rename(_ path: String, to newPath: String, replacing: Bool) throws(FileError) {
        try change(newPath, .rename, needsSpace: true) { state throws(FileError) in
            let (from, fromName) = Self.split(path)
            let (to, toName) = Self.split(newPath)
            guard let node = state.folders[from]?.names[fromName] else { throw .missing(path: path) }
            guard state.folders[to] != nil else { throw .missing(path: newPath) }
            guard replacing || state.folders[to]?.names[toName] == nil else { throw .exists(path: newPath) }
            state.folders[from]?.names[fromName] = nil
            state.folders[to]?.names[toName] = node
            if state.rots, case .file(let id) = node, let last = state.files[id]?.content.indices.last {
                state.files[id]?.content[last] ^= 1
            }
        }
    }

    func remove(_ path: String) throws(FileError) {
        try change(path, .remove) { state throws(FileError) in
            let (parent, name) = Self.split(path)
            guard case .file = state.folders[parent]?.names[name] else { throw .missing(path: path) }
            state.folders[parent]?.names[name] = nil
        }
    }

    func removeFolder(_ path: String) throws(FileError) {
        try change(path, .remove) { state throws(FileError) in
            let (parent, name) = Self.split(path)
            guard let folder = state.folders[path] else { throw .missing(path: path) }
            guard folder.names.isEmpty else { throw .failed(operation: .remove, path: path, code: 39) }
            state.folders[parent]?.names[name] = nil
            state.folders[path] = nil
        }
    }

    func syncFolder(_ path: String) throws(FileError) {
        try change(path, .syncFolder) { state throws(FileError) in
            guard let names = state.folders[path == "/" ? "" : path]?.names else { throw .missing(path: path) }
            state.folders[path == "/" ? "" : path]?.durable = names
        }
    }

    func list(_ folder: String) throws(FileError) -> [String] {
        try look(folder) { state throws(FileError) in
            guard let names = state.folders[folder]?.names.keys else { throw .missing(path: folder) }
            return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        }
    }

    func status(_ path: String) throws(FileError) -> FileStatus? {
        try look(path) { state throws(FileError) in
            if path == "/" { return FileStatus(kind: .folder, size: 0, modifiedUnixSeconds: 0) }
            let (parent, name) = Self.split(path)
            switch state.folders[parent]?.names[name] {
            case nil: return nil
            case .folder: return FileStatus(kind: .folder, size: 0, modifiedUnixSeconds: 0)
            case .file(let id):
                let file = state.files[id] ?? File()
                return FileStatus(kind: .file, size: file.content.count, modifiedUnixSeconds: file.modified)
            }
        }
    }

    func read(_ path: String, into buffer: UnsafeMutableRawBufferPointer, fromDisk: Bool) throws(FileError) -> Int {
        let content = try look(path) { state throws(FileError) in
            guard let id = Self.file(path, state), let file = state.files[id] else { throw .missing(path: path) }
            if fromDisk { state.diskReads += 1 }
            return file.content
        }
        guard content.count <= buffer.count else { throw .tooLarge(path: path, limit: buffer.count) }
        buffer.copyBytes(from: content)
        return content.count
    }

    func space(_ path: String) throws(FileError) -> DiskSpace {
        try look(path) { state throws(FileError) in DiskSpace(available: state.isFull ? 0 : 1 << 30, total: 1 << 30) }
    }

    func lock(_ folder: String) throws(FileError) -> DirectoryLock {
        try look(folder) { state throws(FileError) in
            guard state.locked.insert(folder).inserted else { throw .locked(path: folder, holder: 1) }
        }
        return DirectoryLock { self.state.withLock { _ = $0.locked.remove(folder) } }
    }

    // MARK: Private

    private static func restart(_ state: inout State) {
        state.open = [:]
        state.locked = []
        state.isDead = false
        state.isFull = false
        state.fault = nil
    }

    static func split(_ path: String) -> (folder: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return ("", path) }
        return (String(path[..<slash]), String(path[path.index(after: slash)...]))
    }

    private static func file(_ path: String, _ state: State) -> Int? {
        let (parent, name) = split(path)
        if case .file(let id) = state.folders[parent]?.names[name] { return id }
        return nil
    }

    private static func create(_ path: String, _ state: inout State, mustBeNew: Bool) throws(FileError) -> OpenFile {
        let (parent, name) = split(path)
        guard state.folders[parent] != nil else { throw .missing(path: path) }
        let number = state.nextOpen
        if let id = file(path, state) {
            guard !mustBeNew else { throw .exists(path: path) }
            state.open[number] = id
        } else {
            state.files[state.nextFile] = File(modified: state.clock)
            state.folders[parent]?.names[name] = .file(state.nextFile)
            state.open[number] = state.nextFile
            state.nextFile += 1
        }
        state.nextOpen += 1
        return OpenFile(path: path, number: number)
    }

    func look<Value>(
        _ path: String, _ body: (inout State) throws(FileError) -> Value
    ) throws(FileError) -> Value {
        let result: Result<Value, FileError> = state.withLock { state in
            if state.isDead { return .failure(.failed(operation: .status, path: path, code: 5)) }
            do throws(FileError) { return .success(try body(&state)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Counts a changing call and lets the planned fault have its way.
    func change<Value>(
        _ path: String, _ operation: FileOperation, needsSpace: Bool = false, amid: (inout State) -> Void = { _ in },
        _ body: (inout State) throws(FileError) -> Value
    ) throws(FileError) -> Value {
        try look(path) { state throws(FileError) in
            state.calls += 1
            guard state.fault != nil, state.calls == state.faultAt, let fault = state.fault else {
                if state.isFull, needsSpace { throw .noSpace(path: path) }
                return try body(&state)
            }
            state.fault = nil
            let broken = FileError.failed(operation: operation, path: path, code: 5)
            switch fault {
            case .stop(let moment):
                state.isDead = true
                switch moment {
                case .amid: amid(&state)
                case .after: _ = try body(&state)
                }
                throw broken
            case .fail(let failure):
                amid(&state)
                switch failure {
                case .inputOutput: throw broken
                case .noSpace: throw .noSpace(path: path)
                }
            case .full:
                state.isFull = true
                if needsSpace { throw .noSpace(path: path) }
                return try body(&state)
            }
        }
    }
}
