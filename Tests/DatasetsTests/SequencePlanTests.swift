import Terms
import Testing

@testable import Datasets

@Suite struct SequencePlanTests {
    @Test func `a selection takes exactly its number, whatever the seed`() {
        for seed in UInt64(0)..<20 {
            for (count, total) in [(0, 5), (5, 5), (1, 1000), (333, 1000), (0, 0)] {
                var selection = Selection(count: count, of: total, random: Philox(seed: seed, purpose: .split))
                let chosen = (0..<total).filter { _ in selection.next() }
                #expect(chosen.count == count)
            }
        }
    }

    @Test func `a selection is fair`() {
        var times = [Int](repeating: 0, count: 10)
        for seed in UInt64(0)..<2000 {
            var selection = Selection(count: 3, of: 10, random: Philox(seed: seed, purpose: .split))
            for place in times.indices where selection.next() { times[place] += 1 }
        }
        // Each of ten is chosen with chance 0.3: 600 of 2000, give or take five standard deviations (20.5).
        #expect(times.allSatisfy { abs($0 - 600) < 103 })
    }

    @Test func `no sample is lost and none is in both sections`() throws {
        let lengths = (0..<100).map { UInt32(1 + $0 % 9) }
        for packing in [true, false] {
            let plan = SequencePlan(
                lengths: lengths, partsEnd: [40, 100], weights: [1, 1],
                settings: DatasetSettings(cutoffLength: 10, packing: packing, validation: .fraction(0.13)))
            let (train, validation) = try plan.tables()

            #expect(validation.documents.count == 13)
            #expect((train.documents + validation.documents).sorted() == (0..<100).map(UInt32.init))
        }
    }

    @Test func `whole weights repeat whole passes`() throws {
        let plan = SequencePlan(
            lengths: [1, 1, 1], partsEnd: [2, 3], weights: [2, 1], settings: DatasetSettings(packing: false))

        #expect(try plan.tables().train.documents == [0, 1, 0, 1, 2])
    }

    @Test func `settings that leave nothing to train on are refused`() {
        for size in [ValidationSize.count(3), .count(9), .count(-1), .fraction(1), .fraction(-0.5), .fraction(0.99)] {
            let plan = SequencePlan(
                lengths: [1, 1, 1], partsEnd: [3], weights: [1], settings: DatasetSettings(validation: size))
            #expect(throws: DatasetError.self, "\(size)") { try plan.tables() }
        }
        let starved = SequencePlan(lengths: [1, 1], partsEnd: [2], weights: [0.1], settings: DatasetSettings())
        #expect(throws: DatasetError.self) { try starved.tables() }
    }

    @Test func `TRL's best-fit vectors`() {
        // trl tests/test_data_utils.py, TestPackDatasetBfd: these fill rows of four.
        let expected = SequenceTable(starts: [0, 2, 3], documents: [0, 2, 1])
        #expect(Packing.bestFit(lengths: [3, 4, 1], capacity: 4) == expected)
        #expect(Packing.bestFit(lengths: [2, 4, 2], capacity: 4) == expected)
    }
}
