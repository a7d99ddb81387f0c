package import Terms

import struct Crypto.SHA256

/// SHA-256 (FIPS 180-4) fed piece by piece; how the bytes are cut into pieces never matters.
package struct SHA256Hasher: Sendable {
    private var hash = SHA256()

    /// A hasher that has seen no bytes.
    package init() {}

    /// Appends raw memory, for instance a mapped file or a tensor.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        hash.update(bufferPointer: bytes)
    }

    /// Appends bytes.
    package mutating func update(_ bytes: some Collection<UInt8>) {
        let appended: Void? = bytes.withContiguousStorageIfAvailable { storage in
            hash.update(bufferPointer: UnsafeRawBufferPointer(storage))
        }
        if appended == nil { update(Array(bytes)) }
    }

    /// Appends the UTF-8 bytes of a text, without a terminator.
    package mutating func update(utf8 text: String) {
        update(text.utf8)
    }

    /// The digest of everything appended so far; more may be appended afterwards.
    package func finish() -> Digest {
        guard let digest = Digest(bytes: Array(hash.finalize())) else {
            preconditionFailure("SHA-256 always yields 32 bytes.")
        }
        return digest
    }
}

extension Digest {
    /// The SHA-256 of raw memory.
    package static func sha256(of bytes: UnsafeRawBufferPointer) -> Digest {
        var hasher = SHA256Hasher()
        hasher.update(bytes)
        return hasher.finish()
    }

    /// The SHA-256 of bytes.
    package static func sha256(of bytes: some Collection<UInt8>) -> Digest {
        var hasher = SHA256Hasher()
        hasher.update(bytes)
        return hasher.finish()
    }

    /// The SHA-256 of the UTF-8 bytes of a text.
    package static func sha256(of text: String) -> Digest {
        sha256(of: text.utf8)
    }
}
