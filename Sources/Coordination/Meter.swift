package import Terms

/// What a job has used in measured units, added up over all its generations and all lives of the coordinator.
///
/// It runs while the job holds a generation, and stands while it waits for workers or rests. What the journal holds of
/// it is at most one lease old, so a crash forgets no more than that.
package struct Meter: Sendable, Equatable {
    /// Time with a generation.
    package private(set) var wall = Span.zero
    /// The same times the threads of its members.
    package private(set) var cores = Span.zero
    private var readAt: Instant?

    init(wall: Span = .zero, cores: Span = .zero) {
        self.wall = wall
        self.cores = cores
    }

    /// Counts the time since the last reading for a generation of so many threads; nil = there is none.
    mutating func read(threads: Int?, _ now: Instant) {
        if let threads, let readAt {
            let span = now - readAt
            wall = wall + span
            cores = cores + span * Int64(threads)
        }
        readAt = threads == nil ? nil : now
    }

    var wallMilliseconds: Int { Int(wall.nanoseconds / 1_000_000) }
    var coreMilliseconds: Int { Int(cores.nanoseconds / 1_000_000) }
}
