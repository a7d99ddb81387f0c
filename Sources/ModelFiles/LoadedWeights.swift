import Glibc
package import Kernels
package import Models

/// Tensors in memory of their own, fp32 or bf16, or where they lie in mapped files, and the table that finds them by
/// name.
///
/// The memory is one anonymous mapping, huge pages advised, every tensor at a multiple of 64 bytes; it goes with the
/// last copy of the table.
package final class LoadedWeights: @unchecked Sendable {
    package let table: WeightTable
    /// Of the files that tensors lie in.
    private let guards: [FileGuard]

    /// The first file with tensors in it that has not been what it was when they were loaded, ever since the last call;
    /// asks the system. One caller at a time.
    package func changedFile() -> String? { guards.filter { !$0.isIntact() }.first?.path }

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
    package convenience init(
        _ tensors: [TensorDescription],
        fill: (Int, UnsafeMutablePointer<Float>) throws(ModelFileError) -> Void
    ) throws(ModelFileError) {
        try self.init(tensors.map { ($0, .fp32) }) { index, place throws(ModelFileError) in
            if case .fp32(let target) = place { try fill(index, target) }
        }
    }

    /// The tensors of a model as frozen ones are kept in `arithmetic`; `fill` gives each of them in fp32.
    package convenience init(
        _ table: TensorTable, for arithmetic: Arithmetic,
        fill: (TensorSpecification, UnsafeMutablePointer<Float>) throws(ModelFileError) -> Void
    ) throws(ModelFileError) {
        let tensors = table.tensors
        var scratch: [Float] = []
        try self.init(Self.storage(of: table, for: arithmetic)) { index, place throws(ModelFileError) in
            switch place {
            case .fp32(let target): try fill(tensors[index], target)
            case .bf16(let target):
                if scratch.count < tensors[index].count { scratch = Array(repeating: 0, count: tensors[index].count) }
                try scratch.withUnsafeMutableBufferPointer { wide throws(ModelFileError) in
                    guard let base = wide.baseAddress else { return }
                    try fill(tensors[index], base)
                    for element in 0..<tensors[index].count { target[element] = Widening.bf16(base[element]) }
                }
            }
        }
    }

    /// How frozen tensors are kept: with bf16 the matrices that products read and the embedding are bf16.
    static func storage(
        of table: TensorTable, for arithmetic: Arithmetic
    ) -> [(tensor: TensorDescription, storage: WeightStorage)] {
        table.tensors.map { tensor in
            (
                TensorDescription(name: tensor.name, shape: tensor.shape),
                arithmetic == .bf16 && tensor.mayBeBF16 ? .bf16 : .fp32
            )
        }
    }

    /// Where one tensor is to be written.
    enum Place {
        case fp32(UnsafeMutablePointer<Float>)
        case bf16(UnsafeMutablePointer<UInt16>)
    }

    /// Keeps alive what the table's pointers lead to.
    private final class Owners: Sendable {
        let memory: Mapping
        let guards: [FileGuard]
        init(_ memory: Mapping, _ guards: [FileGuard]) { (self.memory, self.guards) = (memory, guards) }
    }

    /// Makes room for tensors of either kind and has `fill` write each of them, in the order given.
    ///
    /// - Parameters:
    ///   - places: tensors that need no room, by their number in `tensors`: they lie in the files of `guards`.
    init(
        _ tensors: [(tensor: TensorDescription, storage: WeightStorage)], at places: [Int: Matrix.Memory] = [:],
        _ guards: [FileGuard] = [], fill: (Int, Place) throws(ModelFileError) -> Void
    ) throws(ModelFileError) {
        var offsets: [Int] = []
        var total = 0
        for (index, (tensor, storage)) in tensors.enumerated() {
            offsets.append(total)
            if places[index] == nil { total += (tensor.count * storage.elementType.byteCount + 63) / 64 * 64 }
        }
        let memory = try Mapping(count: max(total, 1))
        var list: [(name: String, shape: [Int], memory: Matrix.Memory)] = []
        for (index, (tensor, storage)) in tensors.enumerated() {
            if let place = places[index] {
                list.append((tensor.name, tensor.shape, place))
                continue
            }
            let target = memory.base + offsets[index]
            switch storage {
            case .fp32:
                let pointer = target.bindMemory(to: Float.self, capacity: tensor.count)
                try fill(index, .fp32(pointer))
                list.append((tensor.name, tensor.shape, .fp32(pointer)))
            case .bf16:
                let pointer = target.bindMemory(to: UInt16.self, capacity: tensor.count)
                try fill(index, .bf16(pointer))
                list.append((tensor.name, tensor.shape, .bf16(pointer)))
            }
        }
        self.guards = guards
        table = WeightTable(mixed: list, owner: Owners(memory, guards))
    }
}
