/// Counter-based random numbers: Philox4x32-10.
///
/// A draw is a pure function of (seed, stream, counter); there is no state to save, to advance or to lose.
/// Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11, §3.3 and table 2.
package struct Philox: Sendable, Equatable {
    private let key: (UInt32, UInt32)
    private let stream: UInt64

    package static func == (left: Philox, right: Philox) -> Bool {
        left.key == right.key && left.stream == right.stream
    }

    /// Draws for one purpose; the purposes are listed in `RandomPurpose`.
    package init(seed: UInt64, purpose: RandomPurpose, stream: UInt64 = 0) {
        let mixed = Philox.mix(seed &+ 0x9E37_79B9_7F4A_7C15 &* UInt64(purpose.rawValue))
        key = (UInt32(truncatingIfNeeded: mixed), UInt32(truncatingIfNeeded: mixed >> 32))
        self.stream = stream
    }

    /// Four independent 32-bit words for `counter`.
    package func words(_ counter: UInt64) -> (UInt32, UInt32, UInt32, UInt32) {
        var (a, b) = (UInt32(truncatingIfNeeded: counter), UInt32(truncatingIfNeeded: counter >> 32))
        var (c, d) = (UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32))
        var (k0, k1) = key
        for _ in 0..<10 {
            let p0 = UInt64(a) &* 0xD251_1F53
            let p1 = UInt64(c) &* 0xCD9E_8D57
            (a, b, c, d) = (
                UInt32(truncatingIfNeeded: p1 >> 32) ^ b ^ k0, UInt32(truncatingIfNeeded: p1),
                UInt32(truncatingIfNeeded: p0 >> 32) ^ d ^ k1, UInt32(truncatingIfNeeded: p0)
            )
            k0 = k0 &+ 0x9E37_79B9
            k1 = k1 &+ 0xBB67_AE85
        }
        return (a, b, c, d)
    }

    /// 64 uniform bits for `counter`.
    package func bits(_ counter: UInt64) -> UInt64 {
        let (a, b, _, _) = words(counter)
        return UInt64(a) | UInt64(b) << 32
    }

    /// A uniform double in [0, 1), 53 bits.
    package func uniform(_ counter: UInt64) -> Double { Double(bits(counter) >> 11) * 0x1p-53 }

    /// A uniform integer in `0 ..< bound` (bound > 0); bias below 2⁻³² for any bound up to 2³².
    package func below(_ bound: UInt64, _ counter: UInt64) -> UInt64 {
        precondition(bound > 0, "a random draw needs a positive bound")
        return bits(counter).multipliedFullWidth(by: bound).high
    }

    /// SplitMix64's finaliser: spreads nearby seeds over the key space.
    package static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    /// A stream number for a module name: FNV-1a over its bytes, then mixed.
    package static func stream(named name: String) -> UInt64 {
        mix(name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
    }
}

/// What a random draw is for; each purpose has draws of its own.
package enum RandomPurpose: UInt32, Sendable {
    case shuffle = 1
    case split = 2
    case initialWeights = 3
    case adapterWeights = 4
    case dropout = 5
    case sampling = 6
    case mixing = 7
    case probe = 8
    case simulation = 9
    case identity = 10
    case excerpt = 11
}
