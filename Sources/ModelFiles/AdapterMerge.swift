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
        let targets = Self.targets(modules, of: model.configuration)
        var next = 0
        try ModelDirectoryWriter.write(
            to: path, configuration: model.configuration, companions: model.path, storage: storage
        ) { tensor throws(ModelFileError) in
            try model.read(next, into: scratch)
            next += 1
            if let target = targets[tensor.name] {
                let module = modules[target.module]
                guard let a = factors[module.nameA], let b = factors[module.nameB] else {
                    preconditionFailure("Every adapted module has both factors.")
                }
                add(
                    module, target.part, a: a.pointer, b: b.pointer, to: scratch, isTransposed: isTransposed)
            }
            return UnsafePointer(scratch)
        }
    }

    /// Which rows of B belong to a weight, and of which expert.
    struct Part {
        var firstRow = 0
        var rows: Int
        var expert = 0
    }

    /// The weights that change, by name: the module whose factors do it, and their part.
    private static func targets(
        _ modules: [AdaptedModule], of configuration: DecoderConfiguration
    ) -> [String: (module: Int, part: Part)] {
        var targets: [String: (module: Int, part: Part)] = [:]
        for (index, module) in modules.enumerated() {
            guard module.slot == .stackedGateUp || module.slot == .stackedDown else {
                targets["\(module.path).weight"] = (index, Part(rows: module.outputs))
                continue
            }
            for linear in configuration.linearModules(layer: module.layer) {
                let isUp = linear.slot == .expertUp
                let isDown = module.slot == .stackedDown
                let belongs = isDown ? linear.slot == .expertDown : isUp || linear.slot == .expertGate
                guard belongs else { continue }
                let part = Part(firstRow: isUp ? linear.outputs : 0, rows: linear.outputs, expert: linear.expert)
                targets["\(linear.path).weight"] = (index, part)
            }
        }
        return targets
    }

    /// `weight += scale · B·A`, the product summed over the rank in order, then scaled, as peft does.
    ///
    /// `a` is `[r, in]`, `b` is `[out, r]` (of a stack: as `AdaptedModule` says), `weight` `[part.rows, in]`, or
    /// `[in, out]` when `isTransposed`.
    static func add(
        _ module: AdaptedModule, _ part: Part, a: UnsafePointer<Float>, b: UnsafePointer<Float>,
        to weight: UnsafeMutablePointer<Float>, isTransposed: Bool
    ) {
        let (rows, columns) = isTransposed ? (module.inputs, module.outputs) : (part.rows, module.inputs)
        let (rank, stack) = (module.rank, module.stack)
        let a = a + part.expert * rank * module.inputs
        let b = b + part.firstRow * rank * stack + part.expert
        let sums = UnsafeMutablePointer<Float>.allocate(capacity: columns)
        defer { sums.deallocate() }
        for row in 0..<rows {
            sums.initialize(repeating: 0, count: columns)
            for k in 0..<rank {
                if isTransposed {
                    let factor = a[k &* rows &+ row]
                    for column in 0..<columns { sums[column] += factor * b[column &* rank &+ k] }
                } else {
                    let factor = b[(row &* rank &+ k) &* stack]
                    let line = a + k &* columns
                    for column in 0..<columns { sums[column] += factor * line[column] }
                }
            }
            let target = weight + row &* columns
            for column in 0..<columns { target[column] += module.scale * sums[column] }
        }
    }
}
