import Collectives
import Recipes
import Terms
import Testing

@testable import Simulation

@Suite struct EventQueueTests {
    @Test func `what is earlier comes first, ties go by their number`() {
        var dice = Dice(seed: 1)
        var queue = EventQueue<Int>()
        var expected: [(time: Int64, tie: UInt64, body: Int)] = []
        for body in 0..<500 {
            let entry = (time: Int64(dice.below(40)), tie: dice.bits(), body: body)
            expected.append(entry)
            queue.push(body, at: Instant(nanoseconds: entry.time), tie: entry.tie)
        }
        expected.sort { ($0.time, $0.tie) < ($1.time, $1.tie) }

        var order: [Int] = []
        while let (_, body) = queue.pop() { order.append(body) }

        #expect(order == expected.map(\.body))
    }

    @Test func `slots are used again`() {
        var queue = EventQueue<String>()
        for round in 0..<50 {
            queue.push("a\(round)", at: Instant(nanoseconds: Int64(round)), tie: 1)
            queue.push("b\(round)", at: Instant(nanoseconds: Int64(round)), tie: 2)
            #expect(queue.pop()?.body == "a\(round)")
            #expect(queue.pop()?.body == "b\(round)")
        }
        #expect(queue.isEmpty && queue.pop() == nil)
    }
}

@Suite struct DiceTests {
    @Test func `the same seed throws the same numbers`() {
        var one = Dice(seed: 9)
        var two = Dice(seed: 9)
        var other = Dice(seed: 10)
        let thrown = (0..<50).map { _ in one.bits() }

        #expect(thrown == (0..<50).map { _ in two.bits() })
        #expect(thrown != (0..<50).map { _ in other.bits() })
        #expect(Set(thrown).count == 50)
    }

    @Test func `numbers stay in their range and reach its ends`() {
        var dice = Dice(seed: 2)
        let thrown = (0..<400).map { _ in dice.within(3...6) }

        #expect(Set(thrown) == [3, 4, 5, 6])
        #expect((0..<100).allSatisfy { _ in !dice.chance(0) })
        #expect((0..<100).allSatisfy { _ in dice.chance(1000) })
    }
}

@Suite struct ReferenceTests {
    @Test func `sums are neither commutative nor associative`() {
        let leaves = (0..<3).map { Reference.leaf($0, state: 5, tag: 6) }

        #expect(Reference.add(leaves[0], leaves[1]) != Reference.add(leaves[1], leaves[0]))
        #expect(
            Reference.add(Reference.add(leaves[0], leaves[1]), leaves[2])
                != Reference.add(leaves[0], Reference.add(leaves[1], leaves[2])))
    }

    @Test func `a state depends on every step before it`() {
        let reference = Reference(
            StoryTests.job(),
            index: .init(tokens: Array(repeating: 3, count: 24), trained: Array(repeating: 2, count: 24)))

        #expect(Set((0...12).map { reference.digest($0) }).count == 13)
        #expect(
            reference.line(3).root
                == Reference.sum(of: reference.tree.root, state: reference.digest(2), tag: reference.line(3).tag))
    }
}
