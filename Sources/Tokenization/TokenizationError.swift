package import Terms

/// Why a tokenizer's files can't be used.
package enum TokenizationError: Error, Equatable, CustomStringConvertible {
    /// The file is no JSON.
    case json(file: String, JSONError)
    /// A field is absent, or has not the type it must have.
    case field(file: String, name: String, expected: String)
    /// The file asks for something that would be done wrongly, so it is refused by name.
    case unsupported(file: String, feature: String)
    /// The parts of the file contradict each other.
    case inconsistent(file: String, problem: String)
    /// Bytes that don't follow the format, with their offset.
    case malformed(file: String, offset: Int, problem: String)

    /// One sentence: what is wrong, where, and what to do about it.
    package var description: String {
        switch self {
        case .json(let file, let error): "\(file) is not valid JSON: \(error)"
        case .field(let file, let name, let expected): "\(file): `\(name)` must be \(expected)"
        case .unsupported(let file, let feature): "\(file): \(feature) is not supported; use another tokenizer file"
        case .inconsistent(let file, let problem): "\(file): \(problem)"
        case .malformed(let file, let offset, let problem): "\(file): \(problem) at byte \(offset)"
        }
    }
}
