import Budgeting
import Terms
import Testing

@Suite struct EnergyTallyTests {
    @Test func `times too short for a millijoule add up`() {
        var tally = EnergyTally()
        for _ in 0..<3_000 { tally.add(milliwatts: 7, for: Span(nanoseconds: 333_333)) }
        // 7 mW for 0.999999 s.
        #expect(tally.millijoules == 6)
        tally.add(milliwatts: 7, for: Span(nanoseconds: 1_000))
        #expect(tally.millijoules == 7)
    }

    @Test func `what was too much is taken away again, down to nothing`() {
        var tally = EnergyTally(millijoules: 10)
        tally.add(milliwatts: -3, for: .milliseconds(2_500))
        #expect(tally.millijoules == 2)
        tally.add(milliwatts: 1, for: .milliseconds(500))
        #expect(tally.millijoules == 3)
        tally.add(milliwatts: -1000, for: .seconds(1))
        #expect(tally.millijoules == 0)
    }

    @Test func `no power and no time is too large to be added`() {
        var tally = EnergyTally(millijoules: .max)
        for _ in 0..<100 { tally.add(milliwatts: .max, for: Span(nanoseconds: .max)) }
        #expect(tally.millijoules > 1 << 50)
        tally.add(milliwatts: .min, for: Span(nanoseconds: .max))
        #expect(tally.millijoules == 0)
        tally.add(milliwatts: .max, for: Span(nanoseconds: 1))
        #expect(tally.millijoules == Int64.max / 1_000_000_000)
    }
}
