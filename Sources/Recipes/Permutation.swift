package import Terms

/// The order of the sequences in one epoch, or of other things: a bijection of `0 ..< count`, computable at any position
/// alone.
///
/// A balanced Feistel network over the smallest even number of bits that holds `count`, with Philox as round
/// function, walked along its cycle until the value falls inside. No table, no state: resuming at position
/// ten million is as quick as at ten. Source: Black & Rogaway 2002, "Ciphers with arbitrary finite domains",
/// CT-RSA, §4 (cycle walking) and §5 (generalised Feistel).
package struct Permutation: Sendable {
    private let count: UInt64
    private let halfBits: UInt64
    private let random: Philox
    private static let rounds: UInt64 = 6

    /// - Parameters:
    ///   - count: elements, > 0.
    ///   - purpose: what is ordered.
    ///   - epoch: from 0; every epoch has an order of its own.
    package init(count: Int, seed: UInt64, purpose: RandomPurpose = .shuffle, epoch: Int) {
        precondition(count > 0, "a permutation needs at least one element")
        self.count = UInt64(count)
        let bits = UInt64(64 - (UInt64(count) - 1).leadingZeroBitCount)
        halfBits = max(1, (bits + 1) / 2)
        random = Philox(seed: seed, purpose: purpose, stream: UInt64(epoch))
    }

    /// The element at `position`, both in `0 ..< count`.
    package subscript(position: Int) -> Int {
        precondition(position >= 0 && UInt64(position) < count, "position outside the permutation")
        var value = UInt64(position)
        repeat { value = once(value) } while value >= count
        return Int(value)
    }

    private func once(_ value: UInt64) -> UInt64 {
        let mask = (UInt64(1) << halfBits) - 1
        var left = value >> halfBits
        var right = value & mask
        for round in 0..<Self.rounds {
            (left, right) = (right, left ^ (random.bits(round << 40 | right) & mask))
        }
        return left << halfBits | right
    }
}
