/// The merge rules: an ordered pair of ids → its rank and the id of what it becomes.
///
/// Open addressing, 8 bytes a slot: left id (21 bits), right id (21 bits), rule number (22 bits). A miss, the usual
/// case, costs one load. Rules are numbered by ascending rank; ranks repeat where a token can be made in several ways,
/// or scores of a SentencePiece model are equal.
struct PairTable: Sendable {
    private var slots: [UInt64]
    private let shift: UInt64
    /// Rule number → rank.
    private let ranks: [UInt32]
    /// Rule number → id of the merged token.
    private let results: [UInt32]
    /// True when rule numbers serve as ranks, because no two rules have one rank.
    private let hasDistinctRanks: Bool
    /// Rule numbers stay below this; the highest value marks a free slot.
    static let ruleLimit = (1 << 22) - 1

    /// One merge: `left` and `right` in this order become `result`.
    struct Rule {
        var left: UInt32
        var right: UInt32
        var rank: UInt32
        var result: UInt32
    }

    /// A table of rules in ascending order of rank; of two rules for one pair the later wins.
    init(_ rules: [Rule]) {
        precondition(rules.count < Self.ruleLimit, "more merge rules than a slot can number")
        var bits: UInt64 = 4
        while 1 << bits < rules.count * 2 { bits += 1 }
        shift = 64 - bits
        slots = Array(repeating: .max, count: 1 << bits)
        ranks = rules.map(\.rank)
        results = rules.map(\.result)
        hasDistinctRanks = zip(rules, rules.dropFirst()).allSatisfy { $0.rank < $1.rank }
        for (number, rule) in rules.enumerated() {
            let key = Self.key(rule.left, rule.right)
            var position = Int(truncatingIfNeeded: Self.hash(key) >> shift)
            while slots[position] != .max, slots[position] >> 22 != key {
                position = (position + 1) & (slots.count - 1)
            }
            slots[position] = key << 22 | UInt64(number)
        }
    }

    /// All rules that count, in no order that means anything.
    var rules: [Rule] {
        slots.filter { $0 != .max }.map { slot in
            let number = Int(slot & 0x3F_FFFF)
            return Rule(
                left: UInt32(slot >> 43), right: UInt32(slot >> 22 & 0x1F_FFFF), rank: ranks[number],
                result: results[number])
        }
    }

    @inline(__always)
    private static func key(_ left: UInt32, _ right: UInt32) -> UInt64 { UInt64(left) << 21 | UInt64(right) }

    @inline(__always)
    private static func hash(_ key: UInt64) -> UInt64 { key &* 0x9E37_79B9_7F4A_7C15 }

    /// Calls `body` with a view whose look-ups skip reference counting and bounds checks.
    @inline(__always)
    func withView<Result>(_ body: (View) -> Result) -> Result {
        slots.withUnsafeBufferPointer { slots in
            ranks.withUnsafeBufferPointer { ranks in
                results.withUnsafeBufferPointer { results in
                    body(
                        View(
                            slots: slots.baseAddress!, mask: slots.count - 1, shift: shift, ranks: ranks,
                            results: results,
                            hasDistinctRanks: hasDistinctRanks))
                }
            }
        }
    }

    /// Unmanaged access to the table, valid inside `withView`.
    struct View {
        fileprivate let slots: UnsafePointer<UInt64>
        fileprivate let mask: Int
        fileprivate let shift: UInt64
        fileprivate let ranks: UnsafeBufferPointer<UInt32>
        fileprivate let results: UnsafeBufferPointer<UInt32>
        fileprivate let hasDistinctRanks: Bool

        /// The number that orders the merge of a pair among all merges, `UInt32.max` when the pair doesn't merge.
        @inline(__always)
        func rank(_ left: UInt32, _ right: UInt32) -> UInt32 {
            let rule = rule(left, right)
            return hasDistinctRanks || rule == .max ? rule : ranks[Int(rule)]
        }

        /// What a pair whose rank is `rank` becomes.
        @inline(__always)
        func result(_ left: UInt32, _ right: UInt32, rank: UInt32) -> UInt32 {
            results[Int(hasDistinctRanks ? rank : rule(left, right))]
        }

        @inline(__always)
        private func rule(_ left: UInt32, _ right: UInt32) -> UInt32 {
            let key = PairTable.key(left, right)
            var position = Int(truncatingIfNeeded: PairTable.hash(key) >> shift)
            while true {
                let slot = slots[position]
                if slot >> 22 == key { return UInt32(truncatingIfNeeded: slot & 0x3F_FFFF) }
                if slot == .max { return .max }
                position = (position + 1) & mask
            }
        }
    }
}
