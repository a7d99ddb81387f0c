import Collectives
import Terms
import Testing

@Suite struct PartitionTests {
    @Test(arguments: [0, 1, 4095, 4096, 4097, 100_000, 1_000_001], 1...9)
    func `slices tile the parameters on block bounds`(parameters: Int, members: Int) {
        let slices = Partition.slices(parameters: parameters, members: members)

        #expect(slices.count == members)
        #expect(slices.first?.lowerBound == 0 && slices.last?.upperBound == parameters)
        for (left, right) in zip(slices, slices.dropFirst()) {
            #expect(left.upperBound == right.lowerBound)
            #expect(left.upperBound % Partition.block == 0 || left.upperBound == parameters)
        }
        let blocks = slices.map { ($0.count + Partition.block - 1) / Partition.block }
        #expect(blocks.max()! - blocks.min()! <= 1)
    }

    @Test func `equal workers get equal intervals`() {
        #expect(
            Partition.intervals(shards: 8, rates: [1, 1, 1, 1])
                == [ShardRange(0, 2), ShardRange(2, 4), ShardRange(4, 6), ShardRange(6, 8)])
        #expect(Partition.intervals(shards: 8, rates: [5]) == [ShardRange(0, 8)])
        #expect(Partition.intervals(shards: 5, rates: [1, 1]).map(\.count) == [3, 2])
    }

    @Test func `a worker twice as fast gets twice the shards`() {
        #expect(Partition.intervals(shards: 9, rates: [2, 1]).map(\.count) == [6, 3])
        #expect(Partition.intervals(shards: 8, rates: [1, 3]).map(\.count) == [2, 6])
    }

    @Test func `no other cut would finish sooner`() {
        let random = Philox(seed: 4, purpose: .probe)
        for trial in 0..<200 {
            let members = 1 + Int(random.below(3, UInt64(trial * 8)))
            let rates = (0..<members).map { 0.1 + random.uniform(UInt64(trial * 8 + 1 + $0)) }
            let shards = Int(random.below(9, UInt64(trial * 8 + 7)))
            let counts = Partition.intervals(shards: shards, rates: rates).map(\.count)
            let finish = zip(counts, rates).map { Double($0) / $1 }.max()!
            #expect(finish <= bestFinish(shards, rates[...]) + 1e-9)
        }
    }

    /// The finish time of the best cut, by trying all.
    private func bestFinish(_ shards: Int, _ rates: ArraySlice<Double>) -> Double {
        guard let rate = rates.first else { return shards == 0 ? 0 : .infinity }
        return (0...shards).map { max(Double($0) / rate, bestFinish(shards - $0, rates.dropFirst())) }.min()!
    }

    @Test func `rates that are no speeds do not break the cut`() {
        for rates in [[0, 1], [-1, 1], [.nan, 1], [.infinity, 1], [.nan, .nan]] as [[Double]] {
            let intervals = Partition.intervals(shards: 6, rates: rates)
            #expect(intervals.map(\.count).reduce(0, +) == 6)
            #expect(intervals[0].lower == 0 && intervals[0].upper == intervals[1].lower && intervals[1].upper == 6)
        }
        #expect(Partition.intervals(shards: 6, rates: [.nan, 1]).map(\.count) == [0, 6])
        #expect(Partition.intervals(shards: 0, rates: [1, 1]).allSatisfy { $0.isEmpty })
    }
}
