package import Kernels

/// Tensors by name, fp32 or bf16, in memory that `owner` keeps alive (or the caller, without one) and only training
/// changes.
package struct WeightTable: @unchecked Sendable {
    /// One tensor: row-major elements of `shape` from `pointer` on.
    package struct Tensor {
        /// Dimensions, outermost first.
        package let shape: [Int]
        /// The elements, row-major.
        package let matrix: Matrix
        /// The first element of a tensor that is fp32.
        package var pointer: UnsafePointer<Float> {
            guard case .fp32(let pointer) = matrix.memory else { preconditionFailure("this tensor is kept as bf16") }
            return pointer
        }
    }
    private var tensors: [String: Tensor] = [:]
    private let owner: AnyObject?

    /// A table of the given tensors; names are unique.
    package init(_ list: [(name: String, shape: [Int], pointer: UnsafePointer<Float>)], owner: AnyObject? = nil) {
        self.owner = owner
        for (name, shape, pointer) in list { tensors[name] = Tensor(shape: shape, matrix: Matrix(.fp32(pointer))) }
    }

    /// A table of tensors of either kind; names are unique.
    package init(mixed list: [(name: String, shape: [Int], memory: Matrix.Memory)], owner: AnyObject? = nil) {
        self.owner = owner
        for (name, shape, memory) in list { tensors[name] = Tensor(shape: shape, matrix: Matrix(memory)) }
    }

    /// The tensors of `layout` inside a flat vector of its `count` elements.
    package init(_ layout: ParameterLayout, in parameters: UnsafePointer<Float>, owner: AnyObject? = nil) {
        self.init(layout.entries.map { ($0.name, $0.shape, parameters + $0.offset) }, owner: owner)
    }

    /// The tensor called `name`.
    package subscript(name: String) -> Tensor? { tensors[name] }

    /// Refuses tensors that are missing or of another shape than in `layout`.
    package func check(_ layout: ParameterLayout) throws(ModelError) {
        let missing = layout.entries.map(\.name).filter { tensors[$0] == nil }
        guard missing.isEmpty else { throw .missingTensors(missing) }
        for entry in layout.entries {
            guard let tensor = tensors[entry.name], tensor.shape != entry.shape else { continue }
            throw .shapeMismatch(name: entry.name, expected: entry.shape, found: tensor.shape)
        }
    }
}
