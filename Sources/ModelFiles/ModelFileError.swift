import Glibc
package import Models

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
    /// Somebody made a file shorter while it was read: what was read is not what it held.
    case shortened(path: String)
    /// The bytes of a file do not follow its format.
    case malformed(path: String, format: ModelFileFormat, problem: String)
    /// Configuration, tensors or adapter of the model at `path` do not fit together, or are not supported.
    case model(path: String, ModelError)
    /// A weight is stored in a number format that is not F32, BF16 or F16.
    case unsupportedType(path: String, tensor: String, type: String)
    /// The head and the embedding it is tied to are both stored, and differ.
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
        case .shortened(let path):
            "\(path) became shorter while it was read; put the whole file back and start again"
        case .malformed(let path, let format, let problem):
            "\(path) is not a valid \(format.rawValue): \(problem); fetch or write it again"
        case .model(let path, let error):
            "\(path): \(error)"
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
}

/// Text from a file made fit for a message: at most 80 characters, control characters escaped.
func printable(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars.prefix(80) { out += scalar.escaped(asASCII: true) }
    return text.unicodeScalars.count > 80 ? out + "…" : out
}
