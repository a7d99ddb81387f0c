package import Models

/// Folds adapters into the weights they sit on: W + s·B·A.
package enum AdapterMerge {
    /// Writes the model with the adapter folded in as a model directory, fp32 unless told otherwise.
    ///
    /// - Parameters:
    ///   - modules: the adapted layers.
    ///   - factors: A and B of each of them, under their PEFT names.
    package static func write(
        _ model: ModelDirectory, modules: [AdaptedModule], factors: WeightTable, to path: String,
        storage: WeightStorage = .fp32
    ) throws(ModelFileError) {
        let largest = model.table.tensors.map(\.count).max() ?? 1
        let scratch = UnsafeMutablePointer<Float>.allocate(capacity: largest)
        defer { scratch.deallocate() }
        let isTransposed = model.configuration.family.weights == .convolutional
        var next = 0
        try ModelDirectoryWriter.write(
            to: path, configuration: model.configuration, companions: model.path, storage: storage
        ) { tensor throws(ModelFileError) in
            try model.read(next, into: scratch)
            next += 1
            if let module = modules.first(where: { "\($0.path).weight" == tensor.name }) {
                guard let a = factors[module.nameA], let b = factors[module.nameB] else {
                    preconditionFailure("Every adapted module has both factors.")
                }
                add(module, a: a.pointer, b: b.pointer, to: scratch, isTransposed: isTransposed)
            }
            return UnsafePointer(scratch)
        }
    }

    /// `weight += scale · B·A`, the product summed over the rank in order, then scaled, as peft does.
    ///
    /// `a` is `[r, in]`, `b` is `[out, r]`, `weight` `[out, in]`, or `[in, out]` when `isTransposed`.
    static func add(
        _ module: AdaptedModule, a: UnsafePointer<Float>, b: UnsafePointer<Float>,
        to weight: UnsafeMutablePointer<Float>, isTransposed: Bool
    ) {
        let (rows, columns) = isTransposed ? (module.inputs, module.outputs) : (module.outputs, module.inputs)
        let rank = module.rank
        let sums = UnsafeMutablePointer<Float>.allocate(capacity: columns)
        defer { sums.deallocate() }
        for row in 0..<rows {
            sums.initialize(repeating: 0, count: columns)
            for k in 0..<rank {
                if isTransposed {
                    let factor = a[k &* rows &+ row]
                    for column in 0..<columns { sums[column] += factor * b[column &* rank &+ k] }
                } else {
                    let factor = b[row &* rank &+ k]
                    let line = a + k &* columns
                    for column in 0..<columns { sums[column] += factor * line[column] }
                }
            }
            let target = weight + row &* columns
            for column in 0..<columns { target[column] += module.scale * sums[column] }
        }
    }
}
