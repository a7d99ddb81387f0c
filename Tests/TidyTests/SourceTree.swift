import Foundation

/// The project's own source files, as text.
struct SourceTree {
    struct File {
        /// Relative to the project's folder.
        var path: String
        var lines: [String]
        /// The module a file below Sources belongs to.
        var module: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }
        /// Lines without what stands behind `//`.
        var code: [(number: Int, text: String)] {
            lines.enumerated().map { ($0 + 1, String($1.prefix(upTo: $1.range(of: "//")?.lowerBound ?? $1.endIndex))) }
        }
    }

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Swift files below a folder of the project, by path.
    static func files(below folder: String) throws -> [File] {
        let base = root.appendingPathComponent(folder)
        let paths = FileManager.default.enumerator(atPath: base.path)?.compactMap { $0 as? String } ?? []
        return try paths.filter { $0.hasSuffix(".swift") }.sorted().map { path in
            let text = try String(contentsOf: base.appendingPathComponent(path), encoding: .utf8)
            return File(path: "\(folder)/\(path)", lines: text.components(separatedBy: "\n"))
        }
    }
}
