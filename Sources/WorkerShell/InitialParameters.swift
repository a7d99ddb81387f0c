import Kernels
import Training

/// Where a worker finds the parameters of step 0 again, should its job go back to it.
enum InitialParameters {
    /// A copy: for adapters, which are small.
    case kept(FloatBuffer)
    /// The model's files once more: a copy of all weights would cost a third of the state again.
    case read((UnsafeMutablePointer<Float>) throws -> Void)

    static func copy(of trainer: Trainer) -> InitialParameters {
        let copy = FloatBuffer(count: trainer.count)
        trainer.readState(.parameters, 0..<trainer.count) {
            copy.pointer.update(from: $0.baseAddress!, count: $0.count)
        }
        return .kept(copy)
    }

    /// Writes them to `parameters[count]`.
    func restore(_ parameters: UnsafeMutablePointer<Float>, _ count: Int) throws {
        switch self {
        case .kept(let copy): parameters.update(from: copy.pointer, count: count)
        case .read(let read): try read(parameters)
        }
    }
}
