import Terms
import Testing

@Suite struct PhiloxTests {
    /// Random123 1.14, tests/kat_vectors, `philox4x32 10`: counter, key, result.
    ///
    /// The seeds are those whose key comes out as the vector's: the inverse of `Philox.mix`, less the purpose's share.
    static let known: [(seed: UInt64, counter: UInt64, stream: UInt64, words: [UInt32])] = [
        (0 &- 0x9E37_79B9_7F4A_7C15 &* 8, 0, 0, [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]),
        (0xDDDE_36E4_0017_CD18, .max, .max, [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]),
        (
            0x4FCE_BECE_7CFE_6B69, 0x85A3_08D3_243F_6A88, 0x0370_7344_1319_8A2E,
            [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]
        ),
    ]

    @Test(arguments: known)
    func `the published known answers come out`(known: (seed: UInt64, counter: UInt64, stream: UInt64, words: [UInt32]))
    {
        let words = Philox(seed: known.seed, purpose: .probe, stream: known.stream).words(known.counter)

        #expect([words.0, words.1, words.2, words.3] == known.words)
    }

    @Test func `the finaliser is the one of SplitMix64`() {
        // The first output of the published generator with seed 0.
        #expect(Philox.mix(0x9E37_79B9_7F4A_7C15) == 0xE220_A839_7B1D_CDAF)
        // FNV-1a of "a" is af63dc4c8601ec8c.
        #expect(Philox.stream(named: "a") == Philox.mix(0xAF63_DC4C_8601_EC8C))
    }

    @Test func `every purpose, stream, seed and counter has draws of its own`() {
        var seen: Set<UInt64> = []
        for seed in 0..<4 {
            for purpose in [RandomPurpose.shuffle, .split, .dropout, .identity] {
                for stream in 0..<4 {
                    let random = Philox(seed: UInt64(seed), purpose: purpose, stream: UInt64(stream))
                    for counter in 0..<16 { seen.insert(random.bits(UInt64(counter))) }
                }
            }
        }

        #expect(seen.count == 4 * 4 * 4 * 16)
    }

    @Test func `uniform draws fill the unit interval evenly`() {
        let random = Philox(seed: 1, purpose: .probe)
        let draws = (0..<4000).map { random.uniform(UInt64($0)) }

        #expect(draws.allSatisfy { (0..<1).contains($0) })
        for tenth in 0..<10 {
            let count = draws.count { Int($0 * 10) == tenth }
            #expect((320...480).contains(count), "\(count) of 4000 draws in tenth \(tenth)")
        }
    }

    @Test func `a bounded draw stays below its bound and reaches every value`() {
        let random = Philox(seed: 2, purpose: .probe)
        let draws = (0..<1000).map { random.below(7, UInt64($0)) }

        #expect(Set(draws) == Set(0..<7))
        #expect((0..<50).allSatisfy { random.below(1, $0) == 0 })
        #expect((0..<50).allSatisfy { random.below(.max, $0) < .max })
    }
}
