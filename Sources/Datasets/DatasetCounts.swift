package import Terms

/// What became of the rows: for people, logs and the manifest.
package struct DatasetCounts: Sendable, Equatable {
    /// Rows read.
    package var rows = 0
    /// Samples kept, before weights.
    package var samples = 0
    /// Rows left out because they were too long.
    package var dropped = 0
    /// Trained tokens of the rows left out.
    package var droppedTrainedTokens = 0
    /// Rows cut at their end.
    package var truncated = 0
    /// Trained tokens that were cut off.
    package var truncatedTrainedTokens = 0
    /// Samples that teach nothing: no trained label after position 0.
    package var untrained = 0
    /// Tokens of the kept samples, before weights.
    package var tokens = 0
    /// Trained tokens of the kept samples, before weights.
    package var trainedTokens = 0

    /// Nothing counted yet.
    package init() {}

    private static let fields: [(name: String, path: any WritableKeyPath<DatasetCounts, Int> & Sendable)] = [
        ("rows", \.rows), ("samples", \.samples), ("dropped", \.dropped),
        ("dropped_trained_tokens", \.droppedTrainedTokens), ("truncated", \.truncated),
        ("truncated_trained_tokens", \.truncatedTrainedTokens), ("untrained", \.untrained), ("tokens", \.tokens),
        ("trained_tokens", \.trainedTokens),
    ]

    /// The counts by name, all of them.
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
