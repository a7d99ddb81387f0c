import Glibc
package import Models

/// fp32 tensors in memory of their own, and the table that finds them by name.
///
/// The memory is one anonymous mapping, huge pages advised, every tensor at a multiple of 64 bytes; it goes with this
/// object, so whoever uses the table keeps the object alive.
package final class LoadedWeights: @unchecked Sendable {
    package let table: WeightTable
    /// Size of the memory, bytes.
    package let byteCount: Int
    private let base: UnsafeMutableRawPointer

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
        let count = max(total, 1)
        guard let base = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            base != MAP_FAILED
        else { throw .system(path: "\(count >> 20) MiB of memory for weights", operation: "reserve", code: errno) }
        madvise(base, count, MADV_HUGEPAGE)
        var list: [(name: String, shape: [Int], pointer: UnsafePointer<Float>)] = []
        do throws(ModelFileError) {
            for (index, tensor) in tensors.enumerated() {
                let target = (base + offsets[index]).assumingMemoryBound(to: Float.self)
                try fill(index, target)
                list.append((tensor.name, tensor.shape, UnsafePointer(target)))
            }
        } catch {
            munmap(base, count)
            throw error
        }
        self.base = base
        byteCount = count
        table = WeightTable(list)
    }

    deinit { munmap(base, byteCount) }
}
