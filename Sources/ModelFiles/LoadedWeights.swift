import Glibc
package import Models

/// fp32 tensors in memory of their own, and the table that finds them by name.
///
/// The memory is one anonymous mapping, huge pages advised, every tensor at a multiple of 64 bytes; it goes with the last
/// copy of the table.
package final class LoadedWeights: @unchecked Sendable {
    package let table: WeightTable
    /// Size of the memory, bytes.
    package let byteCount: Int

    /// The memory.
    private final class Mapping: @unchecked Sendable {
        let base: UnsafeMutableRawPointer
        let count: Int

        init(count: Int) throws(ModelFileError) {
            guard let base = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                base != MAP_FAILED
            else { throw .system(path: "\(count >> 20) MiB of memory for weights", operation: "reserve", code: errno) }
            madvise(base, count, MADV_HUGEPAGE)
            (self.base, self.count) = (base, count)
        }

        deinit { munmap(base, count) }
    }

    /// Makes room for `tensors` and has `fill` write each of them, in the order given.
    package init(
        _ tensors: [TensorDescription],
        fill: (Int, UnsafeMutablePointer<Float>) throws(ModelFileError) -> Void
    ) throws(ModelFileError) {
        var offsets: [Int] = []
        var total = 0
        for tensor in tensors {
            offsets.append(total)
            total += (tensor.count * 4 + 63) / 64 * 64
        }
        let memory = try Mapping(count: max(total, 1))
        var list: [(name: String, shape: [Int], pointer: UnsafePointer<Float>)] = []
        for (index, tensor) in tensors.enumerated() {
            let target = (memory.base + offsets[index]).assumingMemoryBound(to: Float.self)
            try fill(index, target)
            list.append((tensor.name, tensor.shape, UnsafePointer(target)))
        }
        byteCount = memory.count
        table = WeightTable(list, owner: memory)
    }
}
