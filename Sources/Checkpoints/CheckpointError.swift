/// Why checkpoint bytes, a tensor list or a plan can't be used.
package enum CheckpointError: Error, Equatable, CustomStringConvertible {
    /// The bytes or values are no manifest of this format; `field` is a path such as `tensors[3].chunks`.
    case manifest(field: String, problem: String)
    /// A tensor list that is no valid flat state.
    case layout(tensor: String, problem: String)
    /// The checkpoint holds other tensors than the model that is to be restored.
    case mismatch(tensor: String, problem: String)
    /// A small text file of the repository (a name, pins, events) that can't be read.
    case malformed(file: String, problem: String)

    package var description: String {
        switch self {
        case .manifest(let field, let problem): "manifest field `\(field)`: \(problem)"
        case .layout(let tensor, let problem): "tensor `\(tensor)`: \(problem)"
        case .mismatch(let tensor, let problem):
            "the checkpoint does not fit this model: tensor `\(tensor)`: \(problem); "
                + "resume with the job file it was saved by"
        case .malformed(let file, let problem): "\(file): \(problem)"
        }
    }
}
