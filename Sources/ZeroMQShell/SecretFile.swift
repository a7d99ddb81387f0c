import Foundation

/// A secret key in a file that nobody but its owner can read.
package enum SecretFile {
    /// The pair whose secret half stands in the file; made and made durable at the first call.
    package static func pair(at path: String) throws -> CurveKeyPair {
        if let pair = try read(path) { return pair }
        let pair = try CurveKeyPair.generate()
        // A crash half-way leaves no key file, so that the next start makes one.
        let growing = path + ".new"
        let descriptor = open(growing, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw problem(path, String(cString: strerror(errno))) }
        defer { close(descriptor) }
        let text = Array((pair.secretText + "\n").utf8)
        guard write(descriptor, text, text.count) == text.count, fsync(descriptor) == 0, rename(growing, path) == 0
        else {
            throw problem(path, String(cString: strerror(errno)))
        }
        return pair
    }

    /// The pair in the file, nil when there is none; refuses a file that others could have read or written.
    package static func read(_ path: String) throws -> CurveKeyPair? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        if descriptor < 0, errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw problem(path, String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else {
            throw problem(path, "it must belong to this user with mode 0600; if others could read it, remove it")
        }
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        let text = String(decoding: buffer.prefix(max(0, count)).filter { $0 != 0x0A }, as: UTF8.self)
        guard let pair = try? CurveKeyPair(secretText: text) else { throw problem(path, "it holds no key") }
        return pair
    }

    private static func problem(_ path: String, _ reason: String) -> SecretFileError {
        SecretFileError(description: "the key file \(path): \(reason)")
    }
}

/// A key file that can't be used.
package struct SecretFileError: Error, Equatable, CustomStringConvertible {
    package let description: String
}
