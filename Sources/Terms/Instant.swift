/// A point on one machine's boot clock, in nanoseconds; only differences mean anything.
package struct Instant: Sendable, Hashable, Comparable {
    /// Nanoseconds since an arbitrary start, never negative.
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }
    package static func + (left: Instant, right: Span) -> Instant {
        Instant(nanoseconds: left.nanoseconds + right.nanoseconds)
    }
    package static func - (left: Instant, right: Instant) -> Span {
        Span(nanoseconds: left.nanoseconds - right.nanoseconds)
    }
}

/// A length of time in whole nanoseconds.
package struct Span: Sendable, Hashable, Comparable {
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static func seconds(_ count: Int64) -> Span { Span(nanoseconds: count * 1_000_000_000) }
    package static func milliseconds(_ count: Int64) -> Span { Span(nanoseconds: count * 1_000_000) }
    package static let zero = Span(nanoseconds: 0)

    /// The length in seconds, for display only.
    package var seconds: Double { Double(nanoseconds) / 1e9 }

    package static func < (left: Span, right: Span) -> Bool { left.nanoseconds < right.nanoseconds }
    package static func + (left: Span, right: Span) -> Span { Span(nanoseconds: left.nanoseconds + right.nanoseconds) }
    package static func - (left: Span, right: Span) -> Span { Span(nanoseconds: left.nanoseconds - right.nanoseconds) }
    package static func * (left: Span, right: Int64) -> Span { Span(nanoseconds: left.nanoseconds * right) }
}
