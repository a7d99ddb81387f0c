/// How shards and parameters are divided among the members of a generation. Scheduling only: no cut here changes a
/// result.
package enum Partition {
    /// Elements to which slices of the flat parameter vector are aligned; also the block of the norm and digest sums.
    package static let block = 4096

    /// Cuts `0 ..< parameters` into one contiguous slice a member, aligned to `block`, as equal as possible.
    package static func slices(parameters: Int, members: Int) -> [Range<Int>] {
        precondition(members > 0, "slices need a member")
        let blocks = (parameters + block - 1) / block
        return (0..<members).map { member in
            let lower = min(parameters, blocks * member / members * block)
            let upper = min(parameters, blocks * (member + 1) / members * block)
            return lower..<upper
        }
    }

    /// Cuts the shards `0 ..< shards` into one contiguous interval a member in proportion to `rates`.
    ///
    /// Minimises the finish time of the slowest member first (largest remainder on the ideal shares, then moves single
    /// shards while that helps). Members may get nothing when there are more of them than shards.
    ///
    /// - Parameter rates: shards per second or any common multiple; a member without a measurement passes 1.
    package static func intervals(shards: Int, rates: [Double]) -> [ShardRange] {
        precondition(!rates.isEmpty, "intervals need a member")
        var counts = [Int](repeating: 0, count: rates.count)
        let usable = rates.map { $0.isFinite && $0 > 0 ? $0 : 1e-9 }
        // Each shard goes to the member that would finish it first; ties to the lower rank, so the result is unique.
        for _ in 0..<shards {
            var best = 0
            for member in 1..<max(1, rates.count)
            where
                Double(counts[member] + 1) / usable[member] < Double(counts[best] + 1) / usable[best]
            {
                best = member
            }
            counts[best] += 1
        }
        var lower = 0
        return counts.map { count in
            defer { lower += count }
            return ShardRange(lower, lower + count)
        }
    }
}
