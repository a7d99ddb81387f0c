import Terms
import Testing

@testable import Tokenization

@Suite struct MergeScratchTests {
    /// The definition, word for word: the lowest rank, the leftmost of equals, until no pair merges.
    static func reference(_ ids: [UInt32], _ rules: [PairTable.Rule]) -> [UInt32] {
        var ids = ids
        while true {
            var best: (rank: UInt32, at: Int, result: UInt32)?
            for at in ids.indices.dropLast() {
                guard let rule = rules.last(where: { $0.left == ids[at] && $0.right == ids[at + 1] }) else { continue }
                if best == nil || rule.rank < best!.rank { best = (rule.rank, at, rule.result) }
            }
            guard let best else { return ids }
            ids[best.at] = best.result
            ids.remove(at: best.at + 1)
        }
    }

    /// Random rules over the symbols 0..<4; each result is a new symbol, and ranks repeat when `ties`.
    static func rules(_ random: inout SplitMix, count: Int, ties: Bool) -> [PairTable.Rule] {
        var rules: [PairTable.Rule] = []
        for number in 0..<count {
            let symbols = UInt32(4 + number)
            let rank = UInt32(ties ? number / 3 : number)
            rules.append(
                PairTable.Rule(
                    left: random.below(symbols), right: random.below(symbols), rank: rank, result: symbols))
        }
        return rules
    }

    @Test(arguments: [false, true])
    func `scanning and the heap give what the definition gives`(ties: Bool) {
        var random = SplitMix(seed: ties ? 5 : 4)
        let scratch = MergeScratch(capacity: 4)
        for round in 0..<60 {
            let rules = Self.rules(&random, count: 40, ties: ties)
            let table = PairTable(rules)
            // Both sides of the length at which the heap takes over.
            for length in [1, 2, 3, 7, 30, 99, 100, 101, 140] where length < 99 || round < 6 {
                let ids = (0..<length).map { _ in random.below(4) }
                scratch.reserve(length)
                for (at, id) in ids.enumerated() { scratch.ids[at] = id }

                let kept = table.withView { scratch.merge(length, $0) }

                #expect((0..<kept).map { scratch.ids[$0] } == Self.reference(ids, rules))
            }
        }
    }

    @Test func `a text of a hundred thousand bytes without a break is merged in time`() throws {
        let merges = [("a", "a"), ("aa", "aa"), ("aaaa", "aaaa")]
        let tokenizer = try SmallTokenizer.read(SmallTokenizer.file(merges: merges))

        let ids = tokenizer.encode(String(repeating: "a", count: 100_003))

        #expect(ids.count == 12_500 + 2)
    }

    @Test func `the later of two rules for one pair counts`() {
        let table = PairTable([
            .init(left: 1, right: 2, rank: 0, result: 7), .init(left: 3, right: 4, rank: 1, result: 8),
            .init(left: 1, right: 2, rank: 2, result: 9),
        ])

        table.withView { view in
            #expect(view.rank(1, 2) == 2 && view.result(1, 2, rank: 2) == 9)
            #expect(view.rank(2, 1) == .max)
        }
    }
}

/// Random numbers for tests, the same on every machine.
struct SplitMix {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// A number in 0..<bound (SplitMix64).
    mutating func below(_ bound: UInt32) -> UInt32 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return UInt32((mixed ^ mixed >> 31) % UInt64(bound))
    }
}
