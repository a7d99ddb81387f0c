import Foundation
import StorageShell
import Testing

/// One suite for the real file system and its twin.
@Suite struct FileSystemTests {
    enum Twin: CaseIterable { case real, faulty }

    /// Runs a check on a file system and a folder of its own.
    private func on(_ twin: Twin, _ check: (any FileSystem, String) throws -> Void) throws {
        switch twin {
        case .real:
            let folder = try TemporaryFolder()
            try check(POSIXFileSystem(), folder.path)
        case .faulty:
            let disk = FaultyFileSystem()
            _ = try disk.makeFolder("/folder")
            try check(disk, "/folder")
        }
    }

    @Test(arguments: Twin.allCases) func `files are made once, read whole, and listed in byte order`(_ twin: Twin)
        throws
    {
        try on(twin) { files, folder in
            for name in ["b", "a", "Z", "ab"] {
                try files.writeNew(folder + "/" + name, bytes: Array(name.utf8), mode: 0o600)
            }

            #expect(throws: FileError.exists(path: folder + "/a")) {
                try files.writeNew(folder + "/a", bytes: [1], mode: 0o600)
            }
            #expect(try files.list(folder) == ["Z", "a", "ab", "b"])
            #expect(try files.contents(folder + "/ab", limit: 2) == Array("ab".utf8))
            #expect(throws: FileError.tooLarge(path: folder + "/ab", limit: 1)) {
                try files.contents(folder + "/ab", limit: 1)
            }
            #expect(throws: FileError.missing(path: folder + "/x")) { try files.contents(folder + "/x", limit: 1) }
            #expect(try files.status(folder + "/ab")?.size == 2)
            #expect(try files.status(folder)?.kind == .folder)
            #expect(try files.status(folder + "/x") == nil)
        }
    }

    /// Sizes around disk blocks, memory on and off their bounds: past the system's cache or through it.
    @Test(arguments: [4095, 1 << 18, (1 << 18) + 1, (4 << 20) - 4096, (4 << 20) - 20, 4 << 20], [0, 64])
    func `large files hold what was written, however the disk wants it handed over`(_ size: Int, _ shift: Int) throws {
        let folder = try TemporaryFolder()
        let disk = POSIXFileSystem()
        func memory(_ count: Int) -> UnsafeMutableRawBufferPointer {
            UnsafeMutableRawBufferPointer(
                rebasing: UnsafeMutableRawBufferPointer.allocate(byteCount: (4 << 20) + 8192, alignment: 4096)[
                    shift..<shift + count])
        }
        let (bytes, back, tooSmall) = (memory(size), memory(4 << 20), memory(4095))
        defer { for buffer in [bytes, back, tooSmall] { (buffer.baseAddress! - shift).deallocate() } }
        for place in 0..<size { bytes[place] = UInt8(truncatingIfNeeded: place &* 2_654_435_761 >> 7) }

        try disk.writeNew(folder("a"), UnsafeRawBufferPointer(bytes), mode: 0o600)

        for fromDisk in [false, true] {
            back.initializeMemory(as: UInt8.self, repeating: 0)
            #expect(try disk.read(folder("a"), into: back, fromDisk: fromDisk) == size)
            #expect(back[0..<size].elementsEqual(bytes))
            let exact = UnsafeMutableRawBufferPointer(rebasing: back[0..<size])
            exact.initializeMemory(as: UInt8.self, repeating: 0)
            #expect(try disk.read(folder("a"), into: exact, fromDisk: fromDisk) == size)
            #expect(exact.elementsEqual(bytes))
            guard size > 4095 else { continue }
            #expect(throws: FileError.tooLarge(path: folder("a"), limit: 4095)) {
                try disk.read(folder("a"), into: tooSmall, fromDisk: fromDisk)
            }
        }
    }

    @Test(arguments: Twin.allCases) func `renaming replaces only when asked to`(_ twin: Twin) throws {
        try on(twin) { files, folder in
            try files.writeNew(folder + "/a", bytes: [1], mode: 0o400)
            try files.writeNew(folder + "/b", bytes: [2], mode: 0o400)

            #expect(throws: FileError.exists(path: folder + "/b")) {
                try files.rename(folder + "/a", to: folder + "/b", replacing: false)
            }
            #expect(try files.contents(folder + "/b", limit: 9) == [2])
            try files.rename(folder + "/a", to: folder + "/b", replacing: true)
            #expect(try files.contents(folder + "/b", limit: 9) == [1])
            try files.rename(folder + "/b", to: folder + "/c", replacing: false)
            #expect(try files.list(folder) == ["c"])
            try files.remove(folder + "/c")
            #expect(throws: FileError.missing(path: folder + "/c")) { try files.remove(folder + "/c") }
        }
    }

    @Test(arguments: Twin.allCases) func `appending, cutting and folders`(_ twin: Twin) throws {
        try on(twin) { files, folder in
            let file = try files.openForAppending(folder + "/log")
            try files.append([1, 2, 3], to: file)
            try files.truncate(file, to: 1)
            try files.append([4], to: file)
            try files.sync(file)
            files.close(file)
            #expect(try files.contents(folder + "/log", limit: 9) == [1, 4])

            #expect(try files.makeFolder(folder + "/x"))
            #expect(try !files.makeFolder(folder + "/x"))
            try files.makeFolders(folder + "/x/y/z")
            #expect(try files.list(folder + "/x") == ["y"])
            try files.syncFolder(folder + "/x")
            #expect(throws: FileError.self) { try files.removeFolder(folder + "/x") }
            try files.removeFolder(folder + "/x/y/z")
            #expect(try files.list(folder + "/x/y").isEmpty)
            #expect(try files.space(folder).total > 0)
        }
    }

    @Test(arguments: Twin.allCases) func `a folder is locked by one at a time`(_ twin: Twin) throws {
        try on(twin) { files, folder in
            var lock: DirectoryLock? = try files.lock(folder)
            #expect(lock != nil)
            #expect { try files.lock(folder) } throws: { error in
                guard case FileError.locked(folder, _) = error else { return false }
                return true
            }
            lock = nil
            _ = try files.lock(folder)
        }
    }

    @Test(arguments: Twin.allCases) func `atomic replacement shows the whole new content and leaves nothing beside it`(
        _ twin: Twin
    ) throws {
        try on(twin) { files, folder in
            try AtomicFile.write(folder + "/f", [1, 2], fileSystem: files)
            try files.writeNew(folder + "/.f.tmp", bytes: [9, 9, 9], mode: 0o600)
            try AtomicFile.write(folder + "/f", [3], fileSystem: files)
            #expect(try files.contents(folder + "/f", limit: 9) == [3])
            #expect(try files.list(folder) == ["f"])
        }
    }

    @Test func `a reserve holds room until it is asked for, and leaves nothing behind`() throws {
        let folder = try TemporaryFolder()
        let path = folder("reserve")
        func size() throws -> Int? { try POSIXFileSystem().status(path)?.size }
        do {
            let reserve = SpaceReserve(folder: folder("."), bytes: 5000)
            #expect(!reserve.release())
            #expect(reserve.hold())
            #expect(reserve.hold())
            #expect(try size() == 5000)
            #expect(reserve.release())
            #expect(try size() == nil)
            // What a killed process was making.
            try Data(count: 7).write(to: URL(fileURLWithPath: path))
            #expect(reserve.hold())
            #expect(try size() == 5000)
        }
        #expect(try size() == nil)

        let full = FaultyFileSystem()
        _ = try full.makeFolder("/run")
        full.plan(.fail(.noSpace), at: 2)
        let none = SpaceReserve(folder: "/run", fileSystem: full)
        #expect(!none.hold())
        #expect(try full.list("/run") == [])
    }

    @Test func `the holder of a lock is told by its process id`() throws {
        let folder = try TemporaryFolder()
        let lock = try POSIXFileSystem().lock(folder.path)

        let error = #expect(throws: FileError.self) { try POSIXFileSystem().lock(folder.path) }

        #expect(error == .locked(path: folder.path, holder: Int(getpid())))
        #expect(error?.description.contains("process \(getpid())") == true)
        withExtendedLifetime(lock) {}
    }

    @Test func `links are not followed`() throws {
        let folder = try TemporaryFolder()
        let files = POSIXFileSystem()
        try files.writeNew(folder("real"), bytes: [1], mode: 0o600)
        #expect(symlink(folder("real"), folder("link")) == 0)

        #expect(throws: FileError.notRegular(path: folder("link"))) { try files.contents(folder("link"), limit: 9) }
        #expect(throws: FileError.notRegular(path: folder("link"))) { try files.openForAppending(folder("link")) }
        #expect(try files.status(folder("link"))?.kind == .other)
    }

    @Test func `a power cut loses what was not synced and a failed sync is never mended by another`() throws {
        let disk = FaultyFileSystem()
        _ = try disk.makeFolder("/f")
        try disk.syncFolder("/")
        let file = try disk.create("/f/a", mode: 0)
        try disk.syncFolder("/f")
        try disk.append([1, 2], to: file)
        disk.plan(.fail(.inputOutput), at: 1)
        #expect(throws: FileError.self) { try disk.sync(file) }
        try disk.sync(file)
        #expect(disk.bytes("/f/a") == [1, 2])

        disk.cutPower(.lost)

        #expect(disk.bytes("/f/a") == [])
    }
}
