import Terms

/// Draws exactly n of N things in one pass: Knuth, TAOCP vol. 2, §3.4.2, algorithm S, with counted draws.
struct Selection {
    private let random: Philox
    private let total: Int
    private var seen = 0
    private var left: Int

    /// - Parameter count: how many of `total` are chosen, in `0...total`.
    init(count: Int, of total: Int, random: Philox) {
        precondition(count >= 0 && count <= total, "can't choose more than there are")
        self.random = random
        self.total = total
        left = count
    }

    /// Whether the next thing is chosen.
    mutating func next() -> Bool {
        precondition(seen < total, "more things than were announced")
        let isChosen = random.uniform(UInt64(seen)) * Double(total - seen) < Double(left)
        seen += 1
        if isChosen { left -= 1 }
        return isChosen
    }
}
