/// A place in a job file; lines and columns count from 1, columns in Unicode scalars.
package struct SpecPosition: Sendable, Hashable, Comparable {
    /// From 1.
    package var line: Int
    /// From 1, in Unicode scalars.
    package var column: Int

    /// The place at `line`, `column`.
    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    /// In the order of the text.
    package static func < (left: SpecPosition, right: SpecPosition) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// Where a setting was written.
package enum SpecOrigin: Sendable, Hashable {
    /// In the job file.
    case file(SpecPosition)
    /// On the command line: the whole `key=value` text, and its place among the overrides from 0.
    case override(text: String, index: Int)
}

/// One thing that is wrong with a job file or an override.
package struct SpecIssue: Sendable, Hashable, CustomStringConvertible {
    /// The job file's name as the user wrote it; nil for an override.
    package var file: String?
    /// Where in the file; nil for an override.
    package var position: SpecPosition?
    /// The override's text; nil for the file.
    package var override: String?
    /// The key the issue is about, dotted when nested, as it was written; nil when it is about the file.
    package var key: String?
    /// What is wrong and what to write instead, without full stop.
    package var sentence: String
    /// The known key that the unknown one resembles most.
    package var nearest: String?

    /// `job.yaml:12:3: sentence; did you mean 'key'?` or `override 'a=b': sentence`.
    package var description: String {
        var text = ""
        if let override {
            text = "override '\(override)': "
        } else if let file {
            text = position.map { "\(file):\($0.line):\($0.column): " } ?? "\(file): "
        }
        text += sentence
        if let nearest { text += "; did you mean '\(nearest)'?" }
        return text
    }
}

/// All the faults of a job file and its overrides, in the order of the file, then of the overrides; never empty.
package struct SpecIssues: Error, Equatable, CustomStringConvertible {
    /// At least one.
    package let issues: [SpecIssue]

    /// One line an issue.
    package var description: String { issues.map(\.description).joined(separator: "\n") }
}
