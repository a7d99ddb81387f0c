import Terms
import Testing

@testable import Datasets

@Suite struct PackingTests {
    func rows(_ lengths: [UInt32], _ capacity: Int) -> [[Int]] {
        let table = Packing.bestFit(lengths: lengths, capacity: capacity)
        return (0..<table.count).map { table.documents(of: $0).map(Int.init) }
    }

    @Test func `documents that fill a row together share it`() {
        #expect(rows([4, 2, 3, 1], 4) == [[0], [1], [2, 3]])
        #expect(rows([3, 3, 2, 2], 5) == [[0, 2], [1, 3]])
        #expect(rows([], 5) == [])
        #expect(rows([5], 5) == [[0]])
    }

    @Test func `the tightest row that still holds a document takes it`() {
        // 6 and 5 open rows with 4 and 5 left; 4 fits best behind 6.
        #expect(rows([5, 6, 4], 10) == [[0], [1, 2]])
    }

    @Test func `the tree of rooms finds what a search of all rows finds`() {
        let random = Philox(seed: 3, purpose: .probe)
        for trial in 0..<25 {
            let capacity = 1 + Int(random.below(40, UInt64(trial)))
            let count = Int(random.below(80, UInt64(1000 + trial)))
            let lengths = (0..<count).map { place in
                1 + UInt32(random.below(UInt64(capacity), UInt64(trial * 100 + place + 5000)))
            }
            #expect(rows(lengths, capacity) == naive(lengths, capacity))
        }
    }

    /// Best fit by looking at every row.
    private func naive(_ lengths: [UInt32], _ capacity: Int) -> [[Int]] {
        let order = lengths.indices.sorted { (lengths[$1], $0) < (lengths[$0], $1) }
        var open: [(room: Int, since: Int, documents: [Int])] = []
        for (clock, document) in order.enumerated() {
            let length = Int(lengths[document])
            let best = open.indices.filter { open[$0].room >= length }
                .min { (open[$0].room, open[$0].since) < (open[$1].room, open[$1].since) }
            if let best {
                open[best] = (open[best].room - length, clock, open[best].documents + [document])
            } else {
                open.append((capacity - length, clock, [document]))
            }
        }
        return open.map { $0.documents.sorted() }.sorted { $0[0] < $1[0] }
    }

    @Test func `every document stands in one row and no row overflows`() {
        let random = Philox(seed: 4, purpose: .probe)
        let lengths = (0..<2000).map { 1 + UInt32(random.below(700, UInt64($0))) }
        let table = Packing.bestFit(lengths: lengths, capacity: 1024)

        #expect(table.documents.sorted() == lengths.indices.map(UInt32.init))
        let full = (0..<table.count).map { table.documents(of: $0).reduce(0) { $0 + Int(lengths[Int($1)]) } }
        #expect(full.allSatisfy { $0 <= 1024 })
        #expect(Double(full.reduce(0, +)) / Double(1024 * table.count) > 0.99)
    }
}
