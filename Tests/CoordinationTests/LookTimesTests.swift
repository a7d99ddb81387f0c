import Terms
import Testing

@testable import Coordination

@Suite struct LookTimesTests {
    @Test func `whatever is set, what is due and what comes next is as a walk through all would say`() {
        var (looks, plain) = (LookTimes(), [Int64](repeating: .max, count: 7))
        var dice: UInt64 = 88_172_645_463_325_252
        func roll(_ sides: UInt64) -> Int64 {
            dice ^= dice << 13
            dice ^= dice >> 7
            dice ^= dice << 17
            return Int64(dice % sides)
        }
        for _ in 0..<5000 {
            let (index, value) = (Int(roll(7)), roll(3) == 0 ? nil : Instant(nanoseconds: roll(20)))
            looks.set(index, value)
            plain[index] = value?.nanoseconds ?? .max
            let now = Instant(nanoseconds: roll(20))
            #expect(looks.due(now) == plain.indices.filter { plain[$0] <= now.nanoseconds })
            #expect(looks.next(after: now) == plain.filter { $0 > now.nanoseconds }.min() ?? .max)
        }
    }

    @Test func `with nothing set nothing is due`() {
        let looks = LookTimes()
        #expect(looks.due(Instant(nanoseconds: .max - 1)).isEmpty && looks.next(after: Instant(nanoseconds: 0)) == .max)
    }
}
