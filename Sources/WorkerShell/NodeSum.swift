package import Collectives
import Kernels
import Synchronization

/// The gradient sum over one node of the reduction tree, or a slice of it. Its memory goes back to its pool with it.
///
/// Written by one thread, then handed on and only read; libzmq may hold it until it has sent it.
package final class NodeSum: @unchecked Sendable {
    package var shards: ShardRange
    /// Sum of −log p over the trained tokens of `shards`.
    package var lossSum: Double
    let buffer: FloatBuffer
    private let pool: BufferPool

    package init(shards: ShardRange, lossSum: Double, from pool: BufferPool) {
        self.shards = shards
        self.lossSum = lossSum
        self.pool = pool
        buffer = pool.take()
    }

    deinit { pool.give(buffer) }

    /// Its first element.
    package var pointer: UnsafeMutablePointer<Float> { buffer.pointer }
}

/// Buffers of one size, kept for the next step instead of being freed.
package final class BufferPool: Sendable {
    /// Elements of each buffer.
    let count: Int
    private let free = Mutex<[FloatBuffer]>([])

    package init(count: Int) { self.count = count }

    func take() -> FloatBuffer { free.withLock { $0.popLast() } ?? FloatBuffer(count: count) }

    func give(_ buffer: FloatBuffer) { free.withLock { $0.append(buffer) } }
}
