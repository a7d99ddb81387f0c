/// A process that can join, named by 16 random bytes that it keeps across restarts.
package struct NodeID: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package static func < (left: NodeID, right: NodeID) -> Bool { (left.high, left.low) < (right.high, right.low) }

    /// The first eight hexadecimal digits, enough for people.
    package var description: String { Self.hex(high, digits: 16).prefix(8).description }

    /// All 32 hexadecimal digits.
    package var hex: String { Self.hex(high, digits: 16) + Self.hex(low, digits: 16) }

    private static func hex(_ value: UInt64, digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}

/// A job's number in its coordinator's journal, from 1.
package struct JobID: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var number: UInt32
    package init(_ number: UInt32) { self.number = number }
    package static func < (left: JobID, right: JobID) -> Bool { left.number < right.number }
    package var description: String { "\(number)" }
}

/// The version of a job's membership, +1 at every change; 0 = nobody yet.
package struct Generation: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var number: UInt32
    package init(_ number: UInt32) { self.number = number }
    package var next: Generation { Generation(number + 1) }
    package static func < (left: Generation, right: Generation) -> Bool { left.number < right.number }
    package var description: String { "\(number)" }
}

/// Optimizer updates done: state `s` is the state after `s` updates, step `s` leads from state s−1 to state s.
package typealias Step = Int
