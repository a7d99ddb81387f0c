#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The few file calls that the data layer makes, with errors as sentences.
enum FileCalls {
    /// The text of the calling thread's last error number.
    static var lastError: String { String(cString: strerror(errno)) }

    static func openForReading(_ path: String) throws(DatasetError) -> Int32 {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path: path, reason: lastError) }
        return descriptor
    }

    /// Reads up to `buffer.count` bytes; 0 = end of file.
    static func read(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, path: String
    ) throws(DatasetError) -> Int {
        while true {
            #if canImport(Glibc)
                let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            #else
                let count = Musl.read(descriptor, buffer.baseAddress, buffer.count)
            #endif
            if count >= 0 { return count }
            guard errno == EINTR else { throw .unreadable(path: path, reason: lastError) }
        }
    }

    /// Reads from `offset` until the buffer is full or the file ends; the number of bytes read.
    static func read(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: Int, path: String
    ) throws(DatasetError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = pread(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw .unreadable(path: path, reason: lastError)
            }
            done += count
        }
        return done
    }

    /// Writes all of `bytes` at the descriptor's position, or at `offset` when it is given.
    static func write(
        _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int? = nil, path: String
    ) throws(DatasetError) {
        var done = 0
        while done < bytes.count {
            let rest = bytes.baseAddress! + done
            #if canImport(Glibc)
                let count =
                    offset.map { pwrite(descriptor, rest, bytes.count - done, $0 + done) }
                    ?? Glibc.write(descriptor, rest, bytes.count - done)
            #else
                let count =
                    offset.map { pwrite(descriptor, rest, bytes.count - done, off_t($0 + done)) }
                    ?? Musl.write(descriptor, rest, bytes.count - done)
            #endif
            if count < 0 {
                if errno == EINTR { continue }
                throw .unwritable(path: path, reason: lastError)
            }
            done += count
        }
    }

    /// Bytes of a file; nil when it can't be asked.
    static func size(of descriptor: Int32) -> Int? {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? Int(status.st_size) : nil
    }

    /// Size and time of the last change of an open file, nil when the system doesn't say: equal while nobody writes to
    /// it.
    static func stamp(of descriptor: Int32) -> FileStamp? {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        return FileStamp(
            size: Int(status.st_size), seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
    }

    /// What a write to a file changes.
    struct FileStamp: Equatable {
        let size: Int
        let seconds: Int
        let nanoseconds: Int
    }

    /// Whether a path leads to a folder.
    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Whether a path leads to anything.
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The paths of the files in a folder, hidden ones left out, in byte order of their names.
    static func files(inFolder path: String) throws(DatasetError) -> [String] {
        guard let folder = opendir(path) else { throw .unreadable(path: path, reason: lastError) }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        let prefix = path.hasSuffix("/") ? path : path + "/"
        names.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let paths = names.map { prefix + $0 }.filter { !isFolder($0) }
        guard !paths.isEmpty else { throw .unreadable(path: path, reason: "the folder holds no files") }
        return paths
    }

    /// Makes a finished file `temporary` appear as `path` and durable: fsync, rename, fsync of the folder.
    static func publish(_ descriptor: Int32, temporary: String, as path: String) throws(DatasetError) {
        guard fsync(descriptor) == 0, rename(temporary, path) == 0 else {
            throw .unwritable(path: path, reason: lastError)
        }
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let handle = open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { throw .unwritable(path: path, reason: lastError) }
        defer { close(handle) }
        guard fsync(handle) == 0 else { throw .unwritable(path: path, reason: lastError) }
    }
}
