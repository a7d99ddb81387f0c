internal import Kernels

/// Keys and values of the tokens seen so far, per block `[capacity, Hkv, hd]`.
final class KeyValueCache {
    /// Tokens it has room for.
    let capacity: Int
    /// Tokens stored in every block.
    private(set) var length = 0
    private let rowWidth: Int
    private let layers: Int
    private let buffer: FloatBuffer

    init(_ configuration: DecoderConfiguration, capacity: Int) {
        self.capacity = capacity
        rowWidth = configuration.keyValueWidth
        layers = configuration.layers
        buffer = FloatBuffer(count: 2 * configuration.layers * capacity * configuration.keyValueWidth)
    }

    func keys(_ layer: Int) -> UnsafeMutablePointer<Float> { buffer.pointer + layer * capacity * rowWidth }
    func values(_ layer: Int) -> UnsafeMutablePointer<Float> { buffer.pointer + (layers + layer) * capacity * rowWidth }

    /// Puts the keys and values of `rows` new tokens behind those stored; `advance` makes them count.
    func store(_ layer: Int, _ heads: HeadRows, rows: Int) {
        precondition(length + rows <= capacity, "the cache has room for \(capacity) tokens")
        for row in 0..<rows {
            let at = (length + row) * rowWidth
            (keys(layer) + at).update(from: heads.key + row * heads.keyValueStride, count: rowWidth)
            (values(layer) + at).update(from: heads.value + row * heads.keyValueStride, count: rowWidth)
        }
    }

    func advance(by rows: Int) { length += rows }

    /// Forgets all tokens from `length` on.
    func truncate(to length: Int) { self.length = min(self.length, length) }
}
