import Recipes
import Testing

@Suite struct PermutationTests {
    @Test(arguments: [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 64, 65, 100, 255, 256, 257, 1000])
    func `every element comes exactly once`(count: Int) {
        for epoch in 0..<3 {
            let permutation = Permutation(count: count, seed: 42, epoch: epoch)
            #expect((0..<count).map { permutation[$0] }.sorted() == Array(0..<count))
        }
    }

    @Test func `every epoch and every seed has an order of its own`() {
        func order(_ seed: UInt64, _ epoch: Int) -> [Int] {
            let permutation = Permutation(count: 50, seed: seed, epoch: epoch)
            return (0..<50).map { permutation[$0] }
        }

        let orders = [order(1, 0), order(1, 1), order(1, 2), order(2, 0), order(2, 1)]

        #expect(Set(orders).count == 5)
        #expect(orders.allSatisfy { $0 != Array(0..<50) })
        #expect(order(1, 1) == order(1, 1))
    }

    @Test func `the order is the one of record`() {
        // Changing it would change every training run: this is a contract with checkpoints that exist. Computed apart
        // from this code.
        let permutation = Permutation(count: 10, seed: 42, epoch: 0)

        #expect((0..<10).map { permutation[$0] } == [7, 1, 9, 6, 8, 4, 3, 5, 0, 2])
    }

    @Test func `places are spread evenly`() {
        // Where element 0 of a fifth lands, over many seeds: no tenth may be starved.
        var tally = [Int](repeating: 0, count: 10)
        for seed in 0..<2000 { tally[Permutation(count: 1000, seed: UInt64(seed), epoch: 0)[3] / 100] += 1 }

        #expect(tally.allSatisfy { (130...270).contains($0) }, "\(tally)")
    }

    @Test func `a position far out is as quick as the first`() {
        let permutation = Permutation(count: 1 << 40, seed: 7, epoch: 3)

        #expect((0..<(1 << 40)).contains(permutation[(1 << 40) - 1]))
        #expect(permutation[0] != permutation[1])
    }
}
