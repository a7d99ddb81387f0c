/// Ids in memory that grows and is used again: what encoders append to. For one thread at a time.
package final class TokenBuffer {
    private var start: UnsafeMutablePointer<Int32>
    private var used = 0
    private var capacity: Int

    /// An empty buffer with room for some ids.
    package init(capacity: Int = 4096) {
        precondition(capacity > 0, "a buffer has room for something")
        start = .allocate(capacity: capacity)
        self.capacity = capacity
    }

    deinit { start.deallocate() }

    /// How many ids there are.
    package var count: Int { used }

    /// The ids; valid until the next change.
    package var ids: UnsafeBufferPointer<Int32> { UnsafeBufferPointer(start: start, count: used) }

    /// The last id, nil when there is none.
    package var last: Int32? { used > 0 ? start[used - 1] : nil }

    /// Makes room for `more` ids.
    @inline(__always)
    package func reserve(_ more: Int) { if capacity - used < more { grow(more) } }

    @inline(never)
    private func grow(_ more: Int) {
        capacity = max(2 * capacity, used + more)
        let larger = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
        larger.update(from: start, count: used)
        start.deallocate()
        start = larger
    }

    /// Appends one id.
    @inline(__always)
    package func append(_ id: Int32) {
        reserve(1)
        start[used] = id
        used += 1
    }

    /// Appends ids that lie elsewhere.
    package func append(_ ids: UnsafeBufferPointer<Int32>) {
        guard let base = ids.baseAddress, !ids.isEmpty else { return }
        reserve(ids.count)
        (start + used).update(from: base, count: ids.count)
        used += ids.count
    }

    /// Appends ids.
    package func append(_ ids: [Int32]) { ids.withUnsafeBufferPointer { append($0) } }

    /// Appends the same id several times.
    package func append(repeating id: Int32, count more: Int) {
        reserve(more)
        (start + used).update(repeating: id, count: more)
        used += more
    }

    /// Appends a copy of ids of this buffer.
    package func append(own range: Range<Int>) {
        reserve(range.count)
        (start + used).update(from: start + range.lowerBound, count: range.count)
        used += range.count
    }

    /// Appends up to seven ids by copying all seven places.
    @inline(__always)
    func append(_ ids: UnsafeRawPointer, upToSeven more: Int) {
        reserve(7)
        UnsafeMutableRawPointer(start + used).copyMemory(from: ids, byteCount: 28)
        used += more
    }

    /// Forgets all ids from `end` on.
    package func truncate(to end: Int) {
        precondition(end >= 0 && end <= used, "a buffer is cut inside its ids")
        used = end
    }

    /// Removes ids from the middle.
    package func remove(_ range: Range<Int>) {
        let behind = used - range.upperBound
        (start + range.lowerBound).update(from: start + range.upperBound, count: behind)
        used -= range.count
    }
}
