import Budgeting
import Testing

@Suite struct EnergyCounterTests {
    @Test func `what is used between readings adds up, also when the counter begins again`() {
        var counter = EnergyCounter(range: 999)
        for reading: UInt64 in [900, 950, 20, 20, 999, 0] { counter.note(reading) }

        // 50, then 49 to the end of the range, one step to 0 and 20 more, then 979, then one step.
        #expect(counter.microjoules == 50 + 70 + 0 + 979 + 1)
    }

    @Test func `the first reading counts nothing, and one beyond the range is none`() {
        var counter = EnergyCounter(range: 100)
        counter.note(70)
        #expect(counter.microjoules == 0)
        counter.note(101)
        counter.note(80)
        #expect(counter.microjoules == 10)
    }

    @Test func `a counter of the full width does not run over`() {
        var counter = EnergyCounter(range: .max)
        for reading: UInt64 in [1, 0, .max, 0] { counter.note(reading) }
        #expect(counter.microjoules == .max)
    }
}
