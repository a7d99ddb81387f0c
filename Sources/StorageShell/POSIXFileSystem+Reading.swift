import Glibc

extension POSIXFileSystem {
    package func list(_ folder: String) throws(FileError) -> [String] {
        guard let stream = opendir(folder) else { throw Self.error(.list, folder) }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw Self.error(.list, folder) }
                break
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    package func status(_ path: String) throws(FileError) -> FileStatus? {
        var info = stat()
        guard lstat(path, &info) == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw Self.error(.status, path)
        }
        return FileStatus(
            kind: Self.kind(info), size: Int(info.st_size), modifiedUnixSeconds: Int(info.st_mtim.tv_sec))
    }

    package func read(
        _ path: String, into buffer: UnsafeMutableRawBufferPointer, fromDisk: Bool
    ) throws(FileError) -> Int {
        let number = Glibc.open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard number >= 0 else { throw Self.error(.open, path) }
        defer { _ = Glibc.close(number) }
        var info = stat()
        guard fstat(number, &info) == 0 else { throw Self.error(.status, path) }
        guard Self.kind(info) == .file else { throw .notRegular(path: path) }
        guard info.st_size <= buffer.count else { throw .tooLarge(path: path, limit: buffer.count) }
        var done = 0
        if fromDisk {
            done = try readDirectly(path, number, into: buffer)
            if done == 0 { _ = posix_fadvise(number, 0, 0, POSIX_FADV_DONTNEED) }
        }
        while done < buffer.count {
            let count = Glibc.read(number, buffer.baseAddress! + done, buffer.count - done)
            if count == 0 { return done }
            if count < 0 {
                if errno == EINTR { continue }
                throw Self.error(.read, path)
            }
            done += count
        }
        var extra: UInt8 = 0
        guard Glibc.read(number, &extra, 1) == 0 else { throw .tooLarge(path: path, limit: buffer.count) }
        return done
    }

    /// Reads the beginning of an open file past the system's cache; returns how many bytes that were: 0 where memory,
    /// size or disk do not allow it.
    private func readDirectly(
        _ path: String, _ number: Int32, into buffer: UnsafeMutableRawBufferPointer
    ) throws(FileError) -> Int {
        let whole = buffer.count / DirectTransfer.block * DirectTransfer.block
        guard whole >= DirectTransfer.least, let transfer = DirectTransfer(number, buffer.baseAddress!) else {
            return 0
        }
        defer { transfer.end() }
        while true {
            let count = Glibc.read(number, buffer.baseAddress!, whole)
            if count >= 0 { return count }
            if errno == EINVAL { return 0 }
            guard errno == EINTR else { throw Self.error(.read, path) }
        }
    }

    package func lock(_ folder: String) throws(FileError) -> DirectoryLock {
        let number = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw Self.error(.lock, folder) }
        if flock(number, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            defer { _ = Glibc.close(number) }
            if code == EWOULDBLOCK { throw .locked(path: folder, holder: Self.holder(of: number)) }
            throw .failed(operation: .lock, path: folder, code: code)
        }
        return DirectoryLock { _ = Glibc.close(number) }
    }

    private static func kind(_ info: stat) -> FileStatus.Kind {
        switch info.st_mode & S_IFMT {
        case S_IFREG: .file
        case S_IFDIR: .folder
        default: .other
        }
    }

    /// The process that locks an open folder, as the kernel's lock table tells it; nil when it does not.
    private static func holder(of number: Int32) -> Int? {
        var info = stat()
        guard fstat(number, &info) == 0 else { return nil }
        let table = Glibc.open("/proc/locks", O_RDONLY | O_CLOEXEC)
        guard table >= 0 else { return nil }
        defer { _ = Glibc.close(table) }
        var text: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        while text.count < 1 << 20 {
            let count = Glibc.read(table, &piece, piece.count)
            guard count > 0 else { break }
            text += piece[..<count]
        }
        // The device number as glibc packs it: minor in bits 0–7 and 20–31, major in bits 8–19 and 32–63.
        let device = UInt64(info.st_dev)
        let major = device >> 8 & 0xFFF | device >> 32 & ~0xFFF
        let minor = device & 0xFF | device >> 12 & ~0xFF
        func hex(_ value: UInt64) -> String { (value < 16 ? "0" : "") + String(value, radix: 16) }
        let wanted = hex(major) + ":" + hex(minor & 0xFFFF_FFFF) + ":\(info.st_ino)"
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count >= 6, words[1] == "FLOCK", words[5] == wanted { return Int(words[4]) }
        }
        return nil
    }
}
