import Collectives
import Terms
import Testing

@Suite struct StepWindowTests {
    @Test func `it takes sums of its own step, of the one before and of the two after`() {
        var window = StepWindow<Int>(target: 10)
        #expect((8...14).filter { window.takes($0, tag: 1) } == [11, 12])

        window.move(to: 12)
        #expect((9...16).filter { window.takes($0, tag: 1) } == [11, 12, 13, 14])
    }

    @Test func `it never moves back`() {
        var window = StepWindow<Int>(target: 0)
        window.move(to: 5)
        window.move(to: 3)

        #expect(window.newest == 5)
    }

    @Test func `it lets go the sums of steps before the last one`() {
        var window = StepWindow<Int>(target: 0)
        for step in 1...4 {
            window.move(to: step)
            let place = window.place(of: step, tag: 7) { step * 100 }
            window[place] += 1
        }

        #expect((1...4).map { window.sums(of: $0, tag: 7) } == [nil, nil, 301, 401])
        #expect(window.sums(of: 4, tag: 8) == nil)
    }

    @Test func `whoever names many recipes of a step can't fill the memory`() {
        var window = StepWindow<Int>(target: 0)
        for tag in UInt64(0)..<20 where window.takes(1, tag: tag) { _ = window.place(of: 1, tag: tag) { 0 } }

        #expect((UInt64(0)..<20).filter { window.takes(1, tag: $0) } == Array(0..<8))
    }
}
