import Terms

/// What will happen when, earliest first; ties are broken by a number that the caller draws.
///
/// A binary heap of plain keys; the bodies lie still in slots.
struct EventQueue<Body> {
    private struct Key {
        var time: Int64
        var tie: UInt64
        var slot: Int

        func isBefore(_ other: Key) -> Bool { time != other.time ? time < other.time : tie < other.tie }
    }

    private var heap: [Key] = []
    private var bodies: [Body?] = []
    private var free: [Int] = []

    var isEmpty: Bool { heap.isEmpty }
    var count: Int { heap.count }

    mutating func push(_ body: Body, at time: Instant, tie: UInt64) {
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            bodies[slot] = body
        } else {
            slot = bodies.count
            bodies.append(body)
        }
        heap.append(Key(time: time.nanoseconds, tie: tie, slot: slot))
        rise(heap.count - 1)
    }

    mutating func pop() -> (time: Instant, body: Body)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        guard let body = bodies[first.slot] else { preconditionFailure("a slot in the heap holds a body") }
        bodies[first.slot] = nil
        free.append(first.slot)
        return (Instant(nanoseconds: first.time), body)
    }

    private mutating func rise(_ start: Int) {
        heap.withUnsafeMutableBufferPointer { heap in
            let key = heap[start]
            var place = start
            while place > 0 {
                let above = (place - 1) / 2
                guard key.isBefore(heap[above]) else { break }
                heap[place] = heap[above]
                place = above
            }
            heap[place] = key
        }
    }

    private mutating func sink() {
        heap.withUnsafeMutableBufferPointer { heap in
            let key = heap[0]
            var place = 0
            while true {
                var below = 2 * place + 1
                guard below < heap.count else { break }
                if below + 1 < heap.count, heap[below + 1].isBefore(heap[below]) { below += 1 }
                guard heap[below].isBefore(key) else { break }
                heap[place] = heap[below]
                place = below
            }
            heap[place] = key
        }
    }
}
