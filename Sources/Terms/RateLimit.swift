/// Lets one event through in each stretch of time and counts the others: for logs that strangers could fill.
package struct RateLimit: Sendable {
    private let pause: Span
    private var opensAt: Instant?
    private var silenced = 0

    /// - Parameter pause: the shortest time between two that are let through.
    package init(pause: Span) { self.pause = pause }

    /// How many were held back since the last one that was let through; nil when this one is held back too.
    package mutating func admit(at now: Instant) -> Int? {
        if let opensAt, now < opensAt {
            silenced += 1
            return nil
        }
        opensAt = now + pause
        defer { silenced = 0 }
        return silenced
    }
}
