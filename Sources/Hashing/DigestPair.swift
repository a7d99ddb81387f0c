import CHashing
package import Terms

extension Digest {
    /// Whether this processor has instructions for SHA-256.
    private static let hasInstructions = ch_has_sha256() == 1

    /// The SHA-256 of two pieces of raw memory, at 1.6 times the rate of one after the other where the processor has
    /// instructions for it.
    package static func sha256(
        of first: UnsafeRawBufferPointer, and second: UnsafeRawBufferPointer
    ) -> (first: Digest, second: Digest) {
        guard hasInstructions else { return (sha256(of: first), sha256(of: second)) }
        let (one, two) = (HashState(first), HashState(second))
        let both = min(first.count, second.count) / HashState.block
        if both > 0, let start = first.baseAddress, let other = second.baseAddress {
            let states: [UnsafeMutablePointer<UInt32>?] = [one.words, two.words]
            let data: [UnsafePointer<UInt8>?] = [start, other].map { $0.assumingMemoryBound(to: UInt8.self) }
            ch_sha256_two(states, data, both)
        }
        return (one.finish(after: both), two.finish(after: both))
    }
}

/// The state of one message that is worked on block by block (FIPS 180-4, §5.3.3 and §6.2).
private final class HashState {
    /// Bytes.
    static let block = 64
    /// H0…H7.
    let words = UnsafeMutablePointer<UInt32>.allocate(capacity: 8)
    private let message: UnsafeRawBufferPointer

    init(_ message: UnsafeRawBufferPointer) {
        self.message = message
        let start: [UInt32] = [
            0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
        ]
        for (place, word) in start.enumerated() { words[place] = word }
    }

    deinit { words.deallocate() }

    /// Works in all but the first `done` blocks, and the padding (§5.1.1); the digest.
    func finish(after done: Int) -> Digest {
        let whole = message.count / Self.block
        if done < whole {
            work(UnsafeRawBufferPointer(rebasing: message[(done * Self.block)..<(whole * Self.block)]))
        }
        var tail = Array(message[(whole * Self.block)...])
        tail.append(0x80)
        while tail.count % Self.block != Self.block - 8 { tail.append(0) }
        withUnsafeBytes(of: (UInt64(message.count) * 8).bigEndian) { tail += $0 }
        tail.withUnsafeBytes(work)
        let bytes = (0..<8).flatMap { place in withUnsafeBytes(of: words[place].bigEndian) { Array($0) } }
        guard let digest = Digest(bytes: bytes) else { preconditionFailure("SHA-256 always yields 32 bytes.") }
        return digest
    }

    private func work(_ blocks: UnsafeRawBufferPointer) {
        guard let start = blocks.baseAddress else { return }
        ch_sha256(words, start.assumingMemoryBound(to: UInt8.self), blocks.count / Self.block)
    }
}
