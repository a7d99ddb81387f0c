package import Collectives
package import Terms
package import Wire

extension Roster {
    /// The shards of a member in a step: in the generation's first one whoever holds sums keeps them.
    package func shards(of rank: Int, in step: Step) -> [ShardRange] {
        step == Step(clamping: target) + 1 ? members[rank].firstShards : [members[rank].shards]
    }

    /// Of the others the one that owes `rank` most shards of a step, when that one holds the sums over `held`; at a
    /// later `turn` the next one after it; nil = nobody owes any.
    package func late(in step: Step, holding held: [ShardRange], at rank: Int, turn: Int) -> NodeID? {
        func missing(_ rank: Int) -> Int {
            shards(of: rank, in: step).reduce(0) { count, range in
                count
                    + (range.lower..<range.upper).count { shard in
                        !held.contains { $0.lower <= shard && shard < $0.upper }
                    }
            }
        }
        let others = members.indices.filter { $0 != rank }.map { (rank: $0, missing: missing($0)) }
        let late = others.filter { $0.missing > 0 }.sorted { ($1.missing, $0.rank) < ($0.missing, $1.rank) }
        return late.isEmpty ? nil : members[late[turn % late.count].rank].node
    }
}
