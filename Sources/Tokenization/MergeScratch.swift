/// Working memory for merging the symbols of one word; grows to the longest word seen.
///
/// Two ways to the same result, the merge of the lowest rank first and the leftmost of equals: short words scan an
/// array for the lowest rank, long ones keep a heap, so that a text without a break costs n log n and not n².
final class MergeScratch {
    /// The ids of the symbols not yet merged; the caller fills `ids[0..<count]`.
    private(set) var ids: UnsafeMutablePointer<UInt32>
    private var ranks: UnsafeMutablePointer<UInt32>
    private(set) var capacity: Int
    private var previous: [Int32] = []
    private var next: [Int32] = []
    private var heap = MinHeap()

    /// The longest word, in symbols, that is merged by scanning.
    private static let scanLimit = 100

    init(capacity: Int = 256) {
        self.capacity = capacity
        ids = .allocate(capacity: capacity)
        ranks = .allocate(capacity: capacity)
    }

    deinit {
        ids.deallocate()
        ranks.deallocate()
    }

    /// Makes room for `count` symbols; what `ids` held is lost.
    func reserve(_ count: Int) {
        guard count > capacity else { return }
        ids.deallocate()
        ranks.deallocate()
        capacity = count + count / 2
        ids = .allocate(capacity: capacity)
        ranks = .allocate(capacity: capacity)
    }

    /// Merges `ids[0..<count]` in place.
    ///
    /// - Returns: how many symbols are left, at the front of `ids`.
    func merge(_ count: Int, _ pairs: PairTable.View) -> Int {
        guard count > 1 else { return count }
        for index in 0..<count - 1 { ranks[index] = pairs.rank(ids[index], ids[index + 1]) }
        return count <= Self.scanLimit ? mergeByScan(count, pairs) : mergeByHeap(count, pairs)
    }

    private func mergeByScan(_ count: Int, _ pairs: PairTable.View) -> Int {
        let ids = ids
        let ranks = ranks
        var count = count
        while count > 1 {
            var lowest = UInt32.max
            var at = 0
            for index in 0..<count - 1 where ranks[index] < lowest {
                lowest = ranks[index]
                at = index
            }
            if lowest == .max { break }
            ids[at] = pairs.result(ids[at], ids[at + 1], rank: lowest)
            count -= 1
            (ids + at + 1).update(from: ids + at + 2, count: count - at - 1)
            if at > 0 { ranks[at - 1] = pairs.rank(ids[at - 1], ids[at]) }
            guard at < count - 1 else { continue }
            (ranks + at + 1).update(from: ranks + at + 2, count: count - at - 2)
            ranks[at] = pairs.rank(ids[at], ids[at + 1])
        }
        return count
    }

    /// `ranks[i]` is the rank of symbol i with its right neighbour; an entry of the heap counts while it says the same.
    private func mergeByHeap(_ count: Int, _ pairs: PairTable.View) -> Int {
        ranks[count - 1] = .max
        previous = (0..<Int32(count)).map { $0 - 1 }
        next = (0..<Int32(count)).map { $0 + 1 }
        heap.removeAll()
        for index in 0..<count - 1 where ranks[index] != .max { heap.push(rank: ranks[index], at: index) }
        while let (rank, at) = heap.pop() {
            guard ranks[at] == rank else { continue }
            let gone = Int(next[at])
            ids[at] = pairs.result(ids[at], ids[gone], rank: rank)
            ranks[gone] = .max
            let after = Int(next[gone])
            next[at] = Int32(after)
            if after < count { previous[after] = Int32(at) }
            ranks[at] = after < count ? pairs.rank(ids[at], ids[after]) : .max
            if ranks[at] != .max { heap.push(rank: ranks[at], at: at) }
            let before = Int(previous[at])
            guard before >= 0 else { continue }
            ranks[before] = pairs.rank(ids[before], ids[at])
            if ranks[before] != .max { heap.push(rank: ranks[before], at: before) }
        }
        var kept = 0
        var at = 0
        while at < count {
            ids[kept] = ids[at]
            kept += 1
            at = Int(next[at])
        }
        return kept
    }
}

/// A binary heap of (rank, position), lowest rank first, then the lowest position.
struct MinHeap {
    /// Rank in the upper half, position in the lower.
    private var entries: [UInt64] = []

    mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

    mutating func push(rank: UInt32, at: Int) {
        let entry = UInt64(rank) << 32 | UInt64(at)
        entries.append(entry)
        entries.withUnsafeMutableBufferPointer { heap in
            var child = heap.count - 1
            while child > 0 {
                let parent = (child - 1) / 2
                guard entry < heap[parent] else { break }
                heap[child] = heap[parent]
                child = parent
            }
            heap[child] = entry
        }
    }

    mutating func pop() -> (rank: UInt32, at: Int)? {
        guard let top = entries.first, let last = entries.popLast() else { return nil }
        if !entries.isEmpty { entries.withUnsafeMutableBufferPointer { Self.sink(last, in: $0) } }
        return (UInt32(top >> 32), Int(top & 0xFFFF_FFFF))
    }

    private static func sink(_ entry: UInt64, in heap: UnsafeMutableBufferPointer<UInt64>) {
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < entry else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = entry
    }
}

extension MergeScratch {
    /// Writes the next symbol; the caller has reserved room.
    @inline(__always)
    func put(_ id: UInt32, at count: inout Int) {
        ids[count] = id
        count += 1
    }
}
