import Hashing
package import Terms

/// What became of many simulated clusters.
package struct SimulationSummary: Sendable {
    package private(set) var seeds = 0
    package private(set) var events = 0
    package private(set) var faults = 0
    /// Shards that were issued to a second member because the first one was late.
    package private(set) var reissues = 0
    /// Results with a failure, in the order they came.
    package private(set) var failed: [SimulationResult] = []
    private var hasher = SHA256Hasher()

    package init() {}

    /// Counts one more result; the order matters to `traceDigest`.
    package mutating func add(_ result: SimulationResult) {
        seeds += 1
        events += result.events
        faults += result.faults
        reissues += result.reissues
        if result.failure != nil { failed.append(result) }
        hasher.update(result.traceDigest.bytes)
    }

    /// SHA-256 over the trace digests of all results in order.
    package var traceDigest: Digest { hasher.finish() }
}
