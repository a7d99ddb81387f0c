/// Replaces a file as a whole: at every instant, also after a power cut, its name shows the old content or the new.
package enum AtomicFile {
    /// Writes `bytes` beside `path`, makes them durable, renames over `path`, makes the folder durable.
    ///
    /// `staging` is where the file grows, on the same disk; by default a hidden name in the same folder. One writer a
    /// path at a time.
    package static func write(
        _ path: String, _ bytes: [UInt8], mode: UInt32 = 0o644, staging: String? = nil,
        fileSystem: any FileSystem = POSIXFileSystem()
    ) throws(FileError) {
        let folder = POSIXFileSystem.parent(of: path)
        let name = path.split(separator: "/").last.map { String($0) } ?? path
        let temporary = staging ?? folder + "/." + name + ".tmp"
        // What a crash left there was never named, so nobody needs it.
        if try fileSystem.status(temporary) != nil { try fileSystem.remove(temporary) }
        try fileSystem.writeNew(temporary, bytes: bytes, mode: mode)
        do throws(FileError) {
            try fileSystem.rename(temporary, to: path, replacing: true)
        } catch {
            try? fileSystem.remove(temporary)
            throw error
        }
        try fileSystem.syncFolder(folder)
    }
}
