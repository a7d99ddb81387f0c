import GRDBSQLite
import StorageShell
import Synchronization

/// A `FaultyFileSystem` as SQLite sees it: a virtual file system of SQLite's, under a name of its own, whose every
/// open, write, cut, sync and removal is one of the disk's changing calls.
///
/// Does what SQLite's own for this system does: the first sync of a log makes its name durable too; the index of the
/// log lives in memory that a restart clears.
final class FaultyDatabaseDisk {
    /// SQLite's name for it.
    let name: String
    private let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
    private let text: UnsafeMutablePointer<CChar>

    private static let numbers = Atomic<Int>(0)

    init(_ disk: FaultyFileSystem) {
        name = "faulty\(Self.numbers.add(1, ordering: .relaxed).newValue)"
        let bytes = Array(name.utf8CString)
        text = .allocate(capacity: bytes.count)
        text.initialize(from: bytes, count: bytes.count)
        vfs.initialize(to: Self.functions)
        vfs.pointee.zName = UnsafePointer(text)
        vfs.pointee.pAppData = Unmanaged.passRetained(disk).toOpaque()
        let code = sqlite3_vfs_register(vfs, 0)
        precondition(code == SQLITE_OK, "a file system can be made known to SQLite at any time")
    }

    deinit {
        sqlite3_vfs_unregister(vfs)
        if let disk = vfs.pointee.pAppData { Unmanaged<FaultyFileSystem>.fromOpaque(disk).release() }
        vfs.deallocate()
        text.deallocate()
    }

    // MARK: The file system's functions

    private static func disk(_ vfs: UnsafeMutablePointer<sqlite3_vfs>?) -> FaultyFileSystem? {
        (vfs?.pointee.pAppData).map { Unmanaged<FaultyFileSystem>.fromOpaque($0).takeUnretainedValue() }
    }

    private static var functions: sqlite3_vfs {
        var vfs = sqlite3_vfs()
        vfs.iVersion = 2
        vfs.szOsFile = Int32(MemoryLayout<DatabaseFile.Slot>.size)
        vfs.mxPathname = 512
        vfs.xOpen = { vfs, path, slot, flags, outFlags in
            DatabaseFile.slot(slot)?.pointee.base.pMethods = nil
            guard let disk = FaultyDatabaseDisk.disk(vfs), let path else { return SQLITE_CANTOPEN }
            outFlags?.pointee = flags
            return code(SQLITE_CANTOPEN) { () throws(FileError) in
                let name = String(cString: path)
                let isNew = try disk.status(name) == nil
                guard !isNew || flags & SQLITE_OPEN_CREATE != 0 else { throw .missing(path: name) }
                let isLog = flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL) != 0
                let file = DatabaseFile(disk, try disk.openForAppending(name), syncsFolder: isNew && isLog)
                DatabaseFile.slot(slot)?.pointee.file = Unmanaged.passRetained(file)
                DatabaseFile.slot(slot)?.pointee.base.pMethods = UnsafePointer(DatabaseFile.methods)
            }
        }
        vfs.xDelete = { vfs, path, syncsFolder in
            guard let disk = FaultyDatabaseDisk.disk(vfs), let path else { return SQLITE_IOERR }
            return code(SQLITE_IOERR) { () throws(FileError) in
                let name = String(cString: path)
                guard try disk.status(name) != nil else { return }
                try disk.remove(name)
                if syncsFolder != 0 { try disk.syncFolder(FaultyFileSystem.parent(of: name)) }
            }
        }
        vfs.xAccess = { vfs, path, _, result in
            guard let disk = FaultyDatabaseDisk.disk(vfs), let path else { return SQLITE_IOERR }
            return code(SQLITE_IOERR) { () throws(FileError) in
                let status = try disk.status(String(cString: path))
                result?.pointee = status.map { $0.size > 0 } == true ? 1 : 0
            }
        }
        vfs.xFullPathname = { _, path, count, out in
            let bytes = path.map { String(cString: $0).utf8CString } ?? []
            guard let out, !bytes.isEmpty, bytes.count <= Int(count) else { return SQLITE_CANTOPEN }
            for (place, byte) in bytes.enumerated() { out[place] = byte }
            return SQLITE_OK
        }
        vfs.xRandomness = { _, count, out in
            for index in 0..<Int(count) { out?[index] = CChar(truncatingIfNeeded: index &* 37 &+ 11) }
            return count
        }
        vfs.xSleep = { _, microseconds in microseconds }
        vfs.xCurrentTime = { _, result in
            result?.pointee = 2_460_000.5
            return SQLITE_OK
        }
        vfs.xCurrentTimeInt64 = { _, result in
            result?.pointee = 212_544_043_200_000
            return SQLITE_OK
        }
        vfs.xGetLastError = { _, _, _ in 0 }
        return vfs
    }
}

/// SQLite's code for what the disk did.
private func code(_ failure: Int32, _ body: () throws(FileError) -> Void) -> Int32 {
    do throws(FileError) {
        try body()
        return SQLITE_OK
    } catch {
        if case .noSpace = error { return SQLITE_FULL }
        return failure
    }
}

/// One file that SQLite has open.
private final class DatabaseFile {
    /// What SQLite reserves memory for.
    struct Slot {
        var base: sqlite3_file
        var file: Unmanaged<DatabaseFile>?
    }

    let disk: FaultyFileSystem
    let file: OpenFile
    /// Its name is made durable with its first sync.
    var syncsFolder: Bool
    /// The log's index, in pieces.
    var index: [UnsafeMutableRawPointer] = []

    init(_ disk: FaultyFileSystem, _ file: OpenFile, syncsFolder: Bool) {
        self.disk = disk
        self.file = file
        self.syncsFolder = syncsFolder
    }

    deinit {
        for piece in index { piece.deallocate() }
        disk.close(file)
    }

    static func slot(_ pointer: UnsafeMutablePointer<sqlite3_file>?) -> UnsafeMutablePointer<Slot>? {
        pointer.map { UnsafeMutableRawPointer($0).assumingMemoryBound(to: Slot.self) }
    }

    private static func of(_ pointer: UnsafeMutablePointer<sqlite3_file>?) -> DatabaseFile? {
        slot(pointer)?.pointee.file?.takeUnretainedValue()
    }

    /// Extended results: what was being done when it failed.
    private enum Failure {
        static let read = SQLITE_IOERR | 1 << 8
        static let shortRead = SQLITE_IOERR | 2 << 8
        static let write = SQLITE_IOERR | 3 << 8
        static let sync = SQLITE_IOERR | 4 << 8
        static let truncate = SQLITE_IOERR | 6 << 8
        static let status = SQLITE_IOERR | 7 << 8
    }
    /// A write that is cut off harms nothing beside it, as SQLite takes it for granted everywhere.
    private static let powerSafeOverwrite: Int32 = 0x1000

    /// Set up once, never changed.
    nonisolated(unsafe) static let methods: UnsafeMutablePointer<sqlite3_io_methods> = {
        let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        methods.initialize(to: sqlite3_io_methods())
        methods.pointee.iVersion = 2
        setFile(&methods.pointee)
        setIndex(&methods.pointee)
        return methods
    }()

    private static func setFile(_ methods: inout sqlite3_io_methods) {
        methods.xClose = { pointer in
            DatabaseFile.slot(pointer)?.pointee.file?.release()
            DatabaseFile.slot(pointer)?.pointee.file = nil
            return SQLITE_OK
        }
        methods.xRead = { pointer, buffer, count, place in
            guard let file = DatabaseFile.of(pointer) else { return Failure.read }
            let whole = UnsafeMutableRawBufferPointer(start: buffer, count: Int(count))
            var found = 0
            let code = code(Failure.read) { () throws(FileError) in
                found = try file.disk.read(file.file, at: Int(place), into: whole)
            }
            guard code == SQLITE_OK, found < Int(count) else { return code }
            UnsafeMutableRawBufferPointer(rebasing: whole[found...]).initializeMemory(as: UInt8.self, repeating: 0)
            return Failure.shortRead
        }
        methods.xWrite = { pointer, bytes, count, place in
            guard let file = DatabaseFile.of(pointer) else { return Failure.write }
            return code(Failure.write) { () throws(FileError) in
                try file.disk.write(
                    UnsafeRawBufferPointer(start: bytes, count: Int(count)), to: file.file, at: Int(place))
            }
        }
        methods.xTruncate = { pointer, size in
            guard let file = DatabaseFile.of(pointer) else { return Failure.truncate }
            return code(Failure.truncate) { () throws(FileError) in try file.disk.resize(file.file, to: Int(size)) }
        }
        methods.xSync = { pointer, _ in
            guard let file = DatabaseFile.of(pointer) else { return Failure.sync }
            return code(Failure.sync) { () throws(FileError) in
                try file.disk.sync(file.file)
                guard file.syncsFolder else { return }
                file.syncsFolder = false
                try file.disk.syncFolder(FaultyFileSystem.parent(of: file.file.path))
            }
        }
        methods.xFileSize = { pointer, size in
            guard let file = DatabaseFile.of(pointer) else { return Failure.status }
            return code(Failure.status) { () throws(FileError) in size?.pointee = Int64(try file.disk.size(file.file)) }
        }
        methods.xLock = { _, _ in SQLITE_OK }
        methods.xUnlock = { _, _ in SQLITE_OK }
        methods.xCheckReservedLock = { _, result in
            result?.pointee = 0
            return SQLITE_OK
        }
        methods.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
        methods.xSectorSize = { _ in 4096 }
        methods.xDeviceCharacteristics = { _ in DatabaseFile.powerSafeOverwrite }
    }

    private static func setIndex(_ methods: inout sqlite3_io_methods) {
        methods.xShmMap = { pointer, number, size, extends, result in
            guard let file = DatabaseFile.of(pointer) else { return SQLITE_IOERR }
            while file.index.count <= Int(number), extends != 0 {
                let piece = UnsafeMutableRawPointer.allocate(byteCount: Int(size), alignment: 16)
                piece.initializeMemory(as: UInt8.self, repeating: 0, count: Int(size))
                file.index.append(piece)
            }
            result?.pointee = Int(number) < file.index.count ? file.index[Int(number)] : nil
            return SQLITE_OK
        }
        methods.xShmLock = { _, _, _, _ in SQLITE_OK }
        methods.xShmBarrier = { _ in }
        methods.xShmUnmap = { pointer, _ in
            guard let file = DatabaseFile.of(pointer) else { return SQLITE_OK }
            for piece in file.index { piece.deallocate() }
            file.index = []
            return SQLITE_OK
        }
    }
}
