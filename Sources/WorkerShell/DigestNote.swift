import Glibc
import Hashing
import ModelFiles
package import Terms

/// The SHA-256 of a file too large to be read at every start, kept beside it as `FILE.sha256` with what the file system
/// said when it was taken. It is believed as long as nobody has written to the file since.
package enum DigestNote {
    private static func place(_ path: String) -> String { path + ".sha256" }

    /// The noted digest of an unchanged file; nil = the file must be read.
    package static func known(_ path: String) -> Digest? {
        guard let bytes = try? Disk.read(place(path), limit: 4096), let state = try? FileState(path: path).contents
        else {
            return nil
        }
        let words = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        return words.count == 2 && words[1] == state ? Digest(hex: String(words[0])) : nil
    }

    /// The digest of a file: the noted one, or read now and noted.
    package static func digest(of path: String) throws -> Digest {
        if let known = known(path) { return known }
        let before = try FileState(path: path)
        let digest = try FileCache.digest(ofFile: path)
        if try FileState(path: path) == before { write(digest, before) }
        return digest
    }

    /// Gives a file that is never written to again a second name on the same disk, with its note; does nothing where
    /// that can't be.
    package static func share(_ path: String, as name: String) {
        guard link(path, name) == 0, let digest = known(path), let state = try? FileState(path: name) else { return }
        write(digest, state)
    }

    /// Gives a file another name on the same disk, its note too.
    static func rename(_ path: String, to name: String) throws {
        _ = Glibc.rename(place(path), place(name))
        guard Glibc.rename(path, name) == 0 else {
            throw LoadProblem(description: "can't store \(name): \(String(cString: strerror(errno)))")
        }
    }

    /// A note that can't be written only costs the next start the reading.
    private static func write(_ digest: Digest, _ state: FileState) {
        try? Disk.write(Array("\(digest.hex) \(state.contents)\n".utf8), to: place(state.path))
    }
}
