import StorageShell

/// Files that are read and changed at any place, as a database does it: what a power cut leaves is chosen change by
/// change, because the system writes pages back in any order.
extension FaultyFileSystem {
    enum Change {
        case bytes([UInt8], at: Int)
        case size(Int)
    }

    /// Reads what there is from `place` on; returns how many bytes.
    func read(_ file: OpenFile, at place: Int, into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
        try look(file.path) { state throws(FileError) in
            guard let id = state.open[file.number] else { throw .failed(operation: .read, path: file.path, code: 9) }
            return state.files[id]?.content.withUnsafeBytes { content in
                guard place < content.count else { return 0 }
                let part = UnsafeRawBufferPointer(rebasing: content[place..<min(content.count, place + buffer.count)])
                buffer.copyMemory(from: part)
                return part.count
            } ?? 0
        }
    }

    func size(_ file: OpenFile) throws(FileError) -> Int {
        try look(file.path) { state throws(FileError) in
            guard let id = state.open[file.number] else { throw .failed(operation: .status, path: file.path, code: 9) }
            return state.files[id]?.content.count ?? 0
        }
    }

    /// Writes at a place; stopped or failed amid, the first half of it.
    func write(_ bytes: UnsafeRawBufferPointer, to file: OpenFile, at place: Int) throws(FileError) {
        try alter(
            file, .write, .bytes(Array(bytes), at: place), amid: .bytes(Array(bytes.prefix(bytes.count / 2)), at: place)
        )
    }

    /// Makes the file this long.
    func resize(_ file: OpenFile, to size: Int) throws(FileError) {
        try alter(file, .truncate, .size(size), amid: nil)
    }

    private func alter(_ file: OpenFile, _ operation: FileOperation, _ whole: Change, amid: Change?) throws(FileError) {
        try change(
            file.path, operation, needsSpace: operation == .write,
            amid: { state in
                if let amid, let id = state.open[file.number] { state.files[id]?.take(amid) }
            },
            { state throws(FileError) in
                guard let id = state.open[file.number] else {
                    throw .failed(operation: operation, path: file.path, code: 9)
                }
                state.files[id]?.take(whole)
            })
    }
}

extension FaultyFileSystem.File {
    mutating func take(_ change: FaultyFileSystem.Change) {
        change.apply(to: &content)
        if changes?.append(change) == nil { changes = [change] }
    }

    mutating func sync() {
        guard let pending = changes else {
            if !isPoisoned { durable = content }
            return
        }
        var safe = durable.take() ?? []
        for change in pending { change.apply(to: &safe) }
        durable = safe
        changes = []
    }

    /// What was not durable never becomes so by itself: the system keeps it to be read, and takes it for written.
    mutating func failSync() { if changes == nil { isPoisoned = true } else { changes = [] } }
}

extension FaultyFileSystem.Change {
    /// The content that a power cut leaves; `draw` gives a number below its argument.
    static func left(
        of safe: [UInt8], _ changes: [Self], by cut: FaultyFileSystem.PowerCut, _ draw: (UInt64) -> UInt64
    ) -> [UInt8] {
        var left = safe
        for (index, change) in changes.enumerated() {
            switch cut {
            case .lost: break
            case .kept: change.apply(to: &left)
            // All but the newest, and of that the beginning.
            case .torn: (index < changes.count - 1 ? change : change.torn).apply(to: &left)
            case .mixed:
                switch draw(4) {
                case 0: break
                case 1: change.torn.apply(to: &left)
                default: change.apply(to: &left)
                }
            }
        }
        return left
    }

    /// A third of it, which is no whole number of sectors.
    var torn: Self {
        switch self {
        case .bytes(let bytes, let place): .bytes(Array(bytes.prefix(bytes.count / 3)), at: place)
        case .size: self
        }
    }

    func apply(to content: inout [UInt8]) {
        switch self {
        case .bytes(let bytes, let place):
            let missing = place + bytes.count - content.count
            if missing > 0 { content += [UInt8](repeating: 0, count: missing) }
            content.withUnsafeMutableBytes { raw in
                guard !bytes.isEmpty else { return }
                UnsafeMutableRawBufferPointer(rebasing: raw[place..<(place + bytes.count)]).copyBytes(from: bytes)
            }
        case .size(let size):
            if size < content.count { content.removeLast(content.count - size) }
            if size > content.count { content += [UInt8](repeating: 0, count: size - content.count) }
        }
    }
}
