import Glibc

/// The kinds of file this module reads, as they are called in messages.
package enum ModelFileFormat: String, Sendable {
    case safetensors = "safetensors file"
    case safetensorsIndex = "safetensors index"
    case json = "JSON file"
    case adapterConfiguration = "PEFT adapter configuration"
}

/// Everything that can go wrong with model files: each case says what, where, and what to do.
package enum ModelFileError: Error, Equatable, Sendable {
    /// The operating system refused an operation; `code` is its errno.
    case system(path: String, operation: String, code: Int32)
    /// A file that must be there is not; `advice` says what to do.
    case missingFile(path: String, advice: String)
    /// The bytes of a file do not follow its format.
    case malformed(path: String, format: ModelFileFormat, problem: String)
    /// config.json does not describe a model this program can run.
    case configuration(path: String, problem: String)
    /// Tensors the configuration asks for are absent; the names stand in byte order.
    case missingTensors(path: String, names: [String])
    /// Tensors stand in the file that the configuration does not know; the names stand in byte order.
    case unexpectedTensors(path: String, names: [String])
    /// A tensor has another shape than the configuration asks for.
    case wrongShape(path: String, tensor: String, expected: [Int], found: [Int])
    /// A weight is stored in a number format that is not F32, BF16 or F16.
    case unsupportedType(path: String, tensor: String, type: String)
    /// Two tensors that must be one and the same differ.
    case headsDiffer(path: String, tensor: String, source: String)
    /// The adapter uses something this program does not do.
    case unsupportedAdapter(path: String, problem: String)
    /// The folder to write to already holds weights that the new ones would contradict.
    case occupied(path: String, file: String)
}

extension ModelFileError: CustomStringConvertible {
    /// One sentence: what, where, what to do.
    package var description: String {
        switch self {
        case .system(let path, let operation, let code):
            "can't \(operation) \(path): \(String(cString: strerror(code))); check the path, its rights and the disk"
        case .missingFile(let path, let advice):
            "\(path) does not exist; \(advice)"
        case .malformed(let path, let format, let problem):
            "\(path) is not a valid \(format.rawValue): \(problem); fetch or write it again"
        case .configuration(let path, let problem):
            "\(path): \(problem)"
        case .missingTensors(let path, let names):
            "\(path) lacks \(Self.list(names)) that its config.json asks for; "
                + "the download is incomplete or config.json belongs to another model"
        case .unexpectedTensors(let path, let names):
            "\(path) holds \(Self.list(names)) that its config.json does not know; "
                + "config.json belongs to another model or names a variant that is not supported"
        case .wrongShape(let path, let tensor, let expected, let found):
            "\(path): tensor `\(tensor)` has shape \(found), config.json asks for \(expected); "
                + "use the config.json that belongs to these weights"
        case .unsupportedType(let path, let tensor, let type):
            "\(path): tensor `\(tensor)` is stored as \(type); convert the weights to F32, BF16 or F16"
        case .headsDiffer(let path, let tensor, let source):
            "\(path): config.json ties `\(tensor)` to `\(source)` but the file holds different values for them; "
                + "set tie_word_embeddings to false or remove `\(tensor)`"
        case .unsupportedAdapter(let path, let problem):
            "\(path): \(problem)"
        case .occupied(let path, let file):
            "\(path) already holds \(file), which contradicts the new weights; write to another folder or remove it"
        }
    }

    /// "the tensor `a`" or "the tensors `a`, `b` and 7 more".
    private static func list(_ names: [String]) -> String {
        let shown = names.prefix(3).map { "`\($0)`" }.joined(separator: ", ")
        let rest = names.count > 3 ? " and \(names.count - 3) more" : ""
        return "the tensor\(names.count == 1 ? "" : "s") \(shown)\(rest)"
    }
}

/// Text from a file made fit for a message: at most 80 characters, control characters escaped.
func printable(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars.prefix(80) { out += scalar.escaped(asASCII: true) }
    return text.unicodeScalars.count > 80 ? out + "…" : out
}
