import Glibc

/// The machine's own file system.
package struct POSIXFileSystem: FileSystem {
    package init() {}

    package func makeFolder(_ path: String) throws(FileError) -> Bool {
        if mkdir(path, 0o700) == 0 { return true }
        if errno == EEXIST { return false }
        throw Self.error(.makeFolder, path)
    }

    package func create(_ path: String, mode: UInt32) throws(FileError) -> OpenFile {
        let number = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode_t(mode))
        guard number >= 0 else { throw Self.error(.create, path) }
        return OpenFile(path: path, number: number)
    }

    package func openForAppending(_ path: String) throws(FileError) -> OpenFile {
        let number = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, mode_t(0o644))
        guard number >= 0 else { throw Self.error(.open, path) }
        return OpenFile(path: path, number: number)
    }

    package func write(_ bytes: UnsafeRawBufferPointer, to file: OpenFile) throws(FileError) {
        guard let base = bytes.baseAddress else { return }
        var done = try writeDirectly(bytes, to: file)
        while done < bytes.count {
            let count = Glibc.write(file.number, base + done, bytes.count - done)
            if count < 0 {
                if errno == EINTR { continue }
                throw Self.error(.write, file.path)
            }
            done += count
        }
    }

    /// Writes the whole disk blocks of a large piece past the system's cache, which would copy them and push out what
    /// others need; returns how many bytes that were: 0 where memory, file or disk do not allow it.
    private func writeDirectly(_ bytes: UnsafeRawBufferPointer, to file: OpenFile) throws(FileError) -> Int {
        let whole = bytes.count / DirectTransfer.block * DirectTransfer.block
        guard whole >= DirectTransfer.least, let transfer = DirectTransfer(file.number, bytes.baseAddress!) else {
            return 0
        }
        defer { transfer.end() }
        var done = 0
        while done < whole {
            let count = Glibc.write(file.number, bytes.baseAddress! + done, whole - done)
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EINVAL { return done }
                throw Self.error(.write, file.path)
            }
            done += count
            // What is left begins inside a block now.
            if count % DirectTransfer.block != 0 { return done }
        }
        return done
    }

    package func truncate(_ file: OpenFile, to size: Int) throws(FileError) {
        guard ftruncate(file.number, off_t(size)) == 0 else { throw Self.error(.truncate, file.path) }
    }

    package func sync(_ file: OpenFile) throws(FileError) {
        // Not even EINTR is tried again: after any failure the pages may be marked clean although they are lost.
        guard fsync(file.number) == 0 else { throw Self.error(.sync, file.path) }
    }

    package func close(_ file: OpenFile) { _ = Glibc.close(file.number) }

    package func rename(_ path: String, to newPath: String, replacing: Bool) throws(FileError) {
        if replacing {
            guard Glibc.rename(path, newPath) == 0 else { throw Self.error(.rename, newPath) }
            return
        }
        // A second name can't replace anything, which a plain rename would. A crash in between leaves both names, of
        // one and the same file, and the staged one is swept.
        if link(path, newPath) != 0 {
            guard errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK else { throw Self.error(.rename, newPath) }
            // A disk without second names: look, then rename; callers lock the folder against other writers.
            if try status(newPath) != nil { throw .exists(path: newPath) }
            guard Glibc.rename(path, newPath) == 0 else { throw Self.error(.rename, newPath) }
            return
        }
        guard unlink(path) == 0 else { throw Self.error(.rename, path) }
    }

    package func remove(_ path: String) throws(FileError) {
        guard unlink(path) == 0 else { throw Self.error(.remove, path) }
    }

    package func removeFolder(_ path: String) throws(FileError) {
        guard rmdir(path) == 0 else { throw Self.error(.remove, path) }
    }

    package func syncFolder(_ path: String) throws(FileError) {
        let number = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw Self.error(.syncFolder, path) }
        defer { _ = Glibc.close(number) }
        guard fsync(number) == 0 else { throw Self.error(.syncFolder, path) }
    }

    package func space(_ path: String) throws(FileError) -> DiskSpace {
        var info = statvfs()
        guard statvfs(path, &info) == 0 else { throw Self.error(.space, path) }
        func bytes(_ blocks: UInt) -> Int {
            Int(clamping: blocks.multipliedReportingOverflow(by: info.f_frsize).partialValue)
        }
        return DiskSpace(available: bytes(UInt(info.f_bavail)), total: bytes(UInt(info.f_blocks)))
    }

    static func error(_ operation: FileOperation, _ path: String) -> FileError {
        switch errno {
        case ENOENT: .missing(path: path)
        case EEXIST: .exists(path: path)
        case ENOSPC, EDQUOT: .noSpace(path: path)
        case ELOOP: .notRegular(path: path)
        case let code: .failed(operation: operation, path: path, code: code)
        }
    }
}
