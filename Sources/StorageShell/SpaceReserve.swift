/// Room on a disk that is held for the one moment when there is no other: to write down that work stops for want of it.
///
/// A plain file of zeros, which goes with this object at the latest. One that a killed process left is taken over.
package final class SpaceReserve: Sendable {
    private let path: String
    private let bytes: Int
    private let fileSystem: any FileSystem

    /// A reserve in `folder`, which exists; nothing is held yet.
    package init(folder: String, bytes: Int = 2 << 20, fileSystem: any FileSystem = POSIXFileSystem()) {
        path = folder + "/reserve"
        self.bytes = bytes
        self.fileSystem = fileSystem
    }

    deinit { release() }

    /// Holds the room; false where the disk has none to hold.
    @discardableResult
    package func hold() -> Bool {
        if (try? fileSystem.status(path))??.size == bytes { return true }
        release()
        do throws(FileError) {
            let file = try fileSystem.create(path, mode: 0o600)
            defer { fileSystem.close(file) }
            try fileSystem.append([UInt8](repeating: 0, count: bytes), to: file)
            return true
        } catch {
            release()
            return false
        }
    }

    /// Gives the room back to whoever writes next; false when none was held.
    @discardableResult
    package func release() -> Bool { (try? fileSystem.remove(path)) != nil }
}
