/// Best-fit-decreasing packing of documents into rows of bounded length. A pure function of the lengths.
///
/// Longest document first (ties: the earlier one), each into the row with the least room that still holds it (ties: the
/// row that reached that room first), else into a new row. Afterwards documents inside a row, and rows by their first
/// document, stand in file order. O(n log capacity).
/// Source: Johnson 1973, "Near-optimal bin packing algorithms", best fit; Ding et al. 2024, arXiv:2404.10830, §3.
package enum Packing {
    /// Rows of documents; each document stands in exactly one row, no row holds more than `capacity` tokens.
    ///
    /// - Parameter lengths: tokens of each document, in `1...capacity`.
    package static func bestFit(lengths: [UInt32], capacity: Int) -> SequenceTable {
        precondition(capacity > 0, "rows hold at least one token")
        return SequenceTable(rowOfDocument: assign(lengths, capacity: capacity))
    }

    /// The row of each document, rows numbered in the order they were opened.
    private static func assign(_ lengths: [UInt32], capacity: Int) -> [UInt32] {
        var rows = RowPool(capacity: capacity)
        var rowOf = [UInt32](repeating: 0, count: lengths.count)
        for document in longestFirst(lengths, capacity: capacity) {
            let length = Int(lengths[Int(document)])
            rowOf[Int(document)] = rows.place(length)
        }
        return rowOf
    }

    /// Document numbers by falling length, equal lengths in order: a counting sort.
    private static func longestFirst(_ lengths: [UInt32], capacity: Int) -> [UInt32] {
        var starts = [Int](repeating: 0, count: capacity + 2)
        for length in lengths {
            precondition(length > 0 && length <= capacity, "a document fits its row")
            starts[capacity - Int(length) + 1] += 1
        }
        for place in 1..<starts.count { starts[place] += starts[place - 1] }
        var order = [UInt32](repeating: 0, count: lengths.count)
        for (document, length) in lengths.enumerated() {
            let place = capacity - Int(length)
            order[starts[place]] = UInt32(document)
            starts[place] += 1
        }
        return order
    }
}

/// Open rows by the room left in them.
private struct RowPool {
    private let capacity: Int
    /// First and last row with a given room, in the order in which they reached it; −1 = none.
    private var first: [Int32]
    private var last: [Int32]
    /// The row after each row among those of equal room.
    private var next: [Int32] = []
    /// A complete binary tree over rooms 0...capacity: whether any row below a node exists.
    private var occupied: [Bool]
    private let leaves: Int

    init(capacity: Int) {
        self.capacity = capacity
        first = [Int32](repeating: -1, count: capacity + 1)
        last = first
        var leaves = 1
        while leaves < capacity + 1 { leaves *= 2 }
        self.leaves = leaves
        occupied = [Bool](repeating: false, count: 2 * leaves)
    }

    /// Puts a document of `length` tokens into a row and gives the row's number.
    mutating func place(_ length: Int) -> UInt32 {
        let row: Int32
        let room: Int
        if let tightest = smallestRoom(atLeast: length) {
            room = tightest
            row = take(room: tightest)
        } else {
            room = capacity
            row = Int32(next.count)
            next.append(-1)
        }
        add(row, room: room - length)
        return UInt32(row)
    }

    private mutating func take(room: Int) -> Int32 {
        let row = first[room]
        first[room] = next[Int(row)]
        next[Int(row)] = -1
        if first[room] < 0 {
            last[room] = -1
            setOccupied(room, false)
        }
        return row
    }

    private mutating func add(_ row: Int32, room: Int) {
        // Full rows are never asked for again.
        guard room > 0 else { return }
        if last[room] < 0 {
            first[room] = row
            setOccupied(room, true)
        } else {
            next[Int(last[room])] = row
        }
        last[room] = row
    }

    private mutating func setOccupied(_ room: Int, _ value: Bool) {
        var node = leaves + room
        occupied[node] = value
        while node > 1 {
            node /= 2
            occupied[node] = occupied[2 * node] || occupied[2 * node + 1]
        }
    }

    private func smallestRoom(atLeast room: Int) -> Int? {
        var node = leaves + room
        if occupied[node] { return room }
        // Up until a right sibling holds something, then down its leftmost occupied path.
        while node > 1 {
            if node % 2 == 0, occupied[node + 1] {
                node += 1
                while node < leaves { node = occupied[2 * node] ? 2 * node : 2 * node + 1 }
                return node - leaves
            }
            node /= 2
        }
        return nil
    }
}
