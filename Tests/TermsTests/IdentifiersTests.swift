import Terms
import Testing

@Suite struct IdentifiersTests {
    @Test func `a node is written with all its leading zeros`() {
        let node = NodeID(high: 0xAB, low: 1)

        #expect(node.hex == "00000000000000ab0000000000000001")
        #expect(node.description == "00000000")
        #expect(NodeID(high: .max, low: 0).hex == "ffffffffffffffff0000000000000000")
    }

    @Test func `nodes are ordered by their high half first`() {
        #expect(NodeID(high: 1, low: 9) < NodeID(high: 2, low: 0))
        #expect(NodeID(high: 1, low: 8) < NodeID(high: 1, low: 9))
        #expect(!(NodeID(high: 2, low: 0) < NodeID(high: 1, low: 9)))
    }

    @Test func `the next generation is one higher`() {
        #expect(Generation(4).next == Generation(5))
        #expect(Generation(4) < Generation(5))
    }

    @Test func `instants differ by spans`() {
        let start = Instant(nanoseconds: 5)

        #expect(start + .seconds(2) == Instant(nanoseconds: 2_000_000_005))
        #expect((start + .milliseconds(3)) - start == .milliseconds(3))
        #expect(Span.seconds(1) == .milliseconds(250) * 4)
        #expect(Span.milliseconds(1500).seconds == 1.5)
        #expect(Span.zero < .milliseconds(1))
    }
}
