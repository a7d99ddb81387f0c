import Budgeting
package import Terms

/// What a job has used in measured units, added up over all its generations and all lives of the coordinator.
///
/// It runs while the job holds a generation, and stands while it waits for workers or rests. The ledger in the journal
/// is at most one lease behind it, so a crash forgets no more than that.
package struct Meter: Sendable, Equatable {
    /// Time with a generation.
    package private(set) var wall: Span
    /// The same times the threads of its members, in microseconds: nanoseconds would run over within a month.
    package private(set) var coreMicroseconds: Int
    /// What its members drew meanwhile.
    var energy: EnergyTally
    private var readAt: Instant?

    /// Goes on from what a ledger says is spent.
    init(spent: Costs = .zero) {
        wall = .milliseconds(min(spent.wallClock, Self.mostMilliseconds))
        coreMicroseconds = Int(min(spent.coreTime, Self.mostMilliseconds)) * 1000
        energy = EnergyTally(millijoules: spent.energy)
    }

    /// Thirty-five years.
    private static let mostMilliseconds: Int64 = 1 << 40

    /// Counts the time since the last reading for a generation of so many threads that draws so much; nil = there is
    /// none.
    mutating func read(threads: Int?, milliwatts: Int64 = 0, _ now: Instant) {
        if let threads, let readAt {
            let span = max(0, Int((now - readAt).nanoseconds))
            wall = wall + Span(nanoseconds: Int64(span))
            coreMicroseconds += span / 1000 * threads + span % 1000 * threads / 1000
            energy.add(milliwatts: milliwatts, for: Span(nanoseconds: Int64(span)))
        }
        readAt = threads == nil ? nil : now
    }

    /// Leaves so much of the time since the last reading out: nobody was there to use it.
    mutating func skip(_ span: Span) { readAt = readAt.map { $0 + span } }

    var wallMilliseconds: Int64 { wall.nanoseconds / 1_000_000 }
    var coreMilliseconds: Int64 { Int64(coreMicroseconds / 1000) }
}
