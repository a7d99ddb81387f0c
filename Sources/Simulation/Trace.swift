import Hashing
import Terms

/// A fingerprint of everything that happened, in order: two runs of one seed must agree on it.
struct Trace {
    private var hasher = SHA256Hasher()
    private var buffer: [UInt8] = []
    private static let bufferBytes = 1 << 14

    /// Notes that `what` happened to `whom` at `time`, with the bytes that came along.
    mutating func note(_ time: Instant, what: UInt8, whom: Int, _ bytes: [UInt8] = []) {
        withUnsafeBytes(of: time.nanoseconds.littleEndian) { buffer.append(contentsOf: $0) }
        buffer.append(what)
        buffer.append(UInt8(truncatingIfNeeded: whom))
        buffer.append(contentsOf: bytes)
        if buffer.count >= Self.bufferBytes { flush() }
    }

    private mutating func flush() {
        hasher.update(buffer)
        buffer.removeAll(keepingCapacity: true)
    }

    mutating func finish() -> Digest {
        flush()
        return hasher.finish()
    }
}
