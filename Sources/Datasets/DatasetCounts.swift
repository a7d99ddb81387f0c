package import Terms

/// What became of the rows: for people, logs and the manifest.
package struct DatasetCounts: Sendable, Equatable {
    /// Rows read.
    package var rows = 0
    /// Samples kept, before weights.
    package var samples = 0
    /// Rows left out because they were too long, and the trained tokens that went with them.
    package var dropped = 0
    package var droppedTrainedTokens = 0
    /// Rows cut at their end, and the trained tokens that were cut off.
    package var truncated = 0
    package var truncatedTrainedTokens = 0
    /// Samples that teach nothing: no trained label after position 0.
    package var untrained = 0
    /// Tokens and trained tokens of the kept samples, before weights.
    package var tokens = 0
    package var trainedTokens = 0

    package init() {}

    private static let fields: [(name: String, path: any WritableKeyPath<DatasetCounts, Int> & Sendable)] = [
        ("rows", \.rows), ("samples", \.samples), ("dropped", \.dropped),
        ("dropped_trained_tokens", \.droppedTrainedTokens), ("truncated", \.truncated),
        ("truncated_trained_tokens", \.truncatedTrainedTokens), ("untrained", \.untrained), ("tokens", \.tokens),
        ("trained_tokens", \.trainedTokens),
    ]

    package var json: JSONValue {
        .object(JSONObject(Self.fields.map { ($0.name, .int(self[keyPath: $0.path])) }))
    }

    /// nil when `json` lacks a count.
    package init?(json: JSONValue) {
        for (name, path) in Self.fields {
            guard let value = json[name]?.int else { return nil }
            self[keyPath: path] = value
        }
    }
}
