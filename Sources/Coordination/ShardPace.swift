package import Terms

/// How long a worker takes for one shard of its job, smoothed over its newest steps, and what that lets expect.
package struct ShardPace: Sendable, Equatable {
    /// Time of one shard; nil until one was computed.
    package private(set) var usual: Span?

    package init() {}

    /// So many shards took that long; weight ¼ on the newest.
    package mutating func note(_ span: Span, shards: Int) {
        guard shards > 0 else { return }
        let one = max(1, min(span, Self.longest).nanoseconds / Int64(shards))
        usual = Span(nanoseconds: usual.map { ($0.nanoseconds * 3 + one) / 4 } ?? one)
    }

    /// A shard was given up after that long: all that shows is that it takes no less.
    package mutating func note(atLeast span: Span) {
        if span > usual ?? .zero { note(span, shards: 1) }
    }

    /// No shard is believed to take longer.
    static let longest = Span.seconds(3600)

    /// What a shard is expected to take after it has taken `elapsed`: the rest of the usual time. One that takes a
    /// quarter longer than that is no usual one, and is expected to take as long again as it has.
    func left(after elapsed: Span) -> Span {
        guard let usual else { return elapsed }
        return elapsed * 4 < usual * 5 ? max(.zero, usual - elapsed) : min(elapsed, Self.longest)
    }

    /// How many of `waiting` shards to give away so that both are done soonest: to somebody who takes `theirs` for
    /// each, by somebody who takes `own` and is busy for `busy` first. The fewest of those that are equally good.
    static func share(of waiting: Int, own: Span, theirs: Span, busy: Span) -> Int {
        func end(_ given: Int) -> Span { max(theirs * Int64(given), busy + own * Int64(waiting - given)) }
        var best = 0
        for given in 0...max(0, waiting) where end(given) < end(best) { best = given }
        return best
    }

    /// Whether a shard that will take `left` still is worth computing a second time by somebody who takes `theirs`:
    /// sums have to travel, too, and nobody knows the future that well.
    static func isWorthRepeating(left: Span, theirs: Span) -> Bool { left * 4 > theirs * 5 }
}
