/// One line of a dataset that can't be used, and why.
package struct RowFault: Sendable, Equatable, CustomStringConvertible {
    /// The file as it was named by the user.
    package var file: String
    /// The line from 1; in a JSON array or CSV, the line where the row begins.
    package var line: Int
    /// One sentence: what is wrong and, when it can be told, what to do.
    package var reason: String

    /// A fault at a line.
    package init(file: String, line: Int, reason: String) {
        self.file = file
        self.line = line
        self.reason = reason
    }

    /// File, line and reason, as compilers write them.
    package var description: String { "\(file):\(line): \(reason)" }
}

/// Why data can't be read, understood, tokenised or cached.
package enum DatasetError: Error, Equatable, CustomStringConvertible {
    /// Bad lines, the first ones of `total`.
    case badRows([RowFault], total: Int)
    /// A file that can't be opened or read.
    case unreadable(path: String, reason: String)
    /// A file of a kind that is not read, with the way to convert it.
    case unsupported(path: String, advice: String)
    /// The first row fits no known format.
    case undetectable(path: String, keys: [String])
    /// Nothing to train on.
    case noRows(paths: [String])
    /// Settings that contradict each other or the data.
    case settings(String)
    /// A file that can't be written.
    case unwritable(path: String, reason: String)
    /// A token cache whose bytes are not what was written.
    case cacheDamaged(path: String, reason: String)
    /// Stopped from outside; what was done is kept, and the next build goes on there.
    case interrupted
    /// A data file whose bytes are not those that were read before.
    case changed(path: String)
    /// A token cache of other data, tokenizer, template or settings.
    case cacheOfOtherKey(path: String)

    /// What is wrong, where, and what to do about it.
    package var description: String {
        switch self {
        case .badRows(let faults, let total):
            faults.map(\.description).joined(separator: "\n")
                + (total > faults.count ? "\n… and \(total - faults.count) more bad rows" : "")
        case .unreadable(let path, let reason): "\(path): can't be read: \(reason)"
        case .unsupported(let path, let advice): "\(path): \(advice)"
        case .undetectable(let path, let keys):
            "\(path): the first row has the keys \(keys.map { "`\($0)`" }.joined(separator: ", ")), which fit no known "
                + "format; rename the columns or give `type`: "
                + RowFormat.allCases.map(\.rawValue).joined(separator: ", ")
        case .noRows(let paths): "\(paths.joined(separator: ", ")): no usable rows"
        case .settings(let problem): problem
        case .unwritable(let path, let reason): "\(path): can't be written: \(reason)"
        case .cacheDamaged(let path, let reason):
            "\(path): the token cache is damaged (\(reason)); delete it, it is made anew from the data"
        case .interrupted: "interrupted while the data was tokenised; the next start goes on from there"
        case .changed(let path): "\(path): the file changed while it was in use; put it back, or start a new job"
        case .cacheOfOtherKey(let path):
            "\(path): this token cache belongs to other data, another tokenizer, template or setting"
        }
    }
}
