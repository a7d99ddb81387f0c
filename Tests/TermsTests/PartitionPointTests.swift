import Terms
import Testing

@Suite struct PartitionPointTests {
    @Test func `the first place behind all that come before is found, in ranges of any length and start`() {
        for start in [-5, 0, 7] {
            for count in 0..<20 {
                for first in start...start + count {
                    let range = start..<start + count
                    #expect(range.partitionPoint { $0 < first } == first)
                }
            }
        }
    }

    @Test func `the middle of a huge range is no overflow`() {
        #expect((Int.max - 2..<Int.max).partitionPoint { $0 < .max - 1 } == .max - 1)
    }
}
