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
    /// How much of the data was read; nil = all of it.
    package var excerpt: ExcerptExtent?

    /// Nothing counted yet.
    package init() {}

    private static let fields: [(name: String, path: any WritableKeyPath<DatasetCounts, Int> & Sendable)] = [
        ("rows", \.rows), ("samples", \.samples), ("dropped", \.dropped),
        ("dropped_trained_tokens", \.droppedTrainedTokens), ("truncated", \.truncated),
        ("truncated_trained_tokens", \.truncatedTrainedTokens), ("untrained", \.untrained), ("tokens", \.tokens),
        ("trained_tokens", \.trainedTokens),
    ]

    /// The counts by name, all of them; `excerpt` only where there is one.
    package var json: JSONValue {
        var object = JSONObject(Self.fields.map { ($0.name, .int(self[keyPath: $0.path])) })
        if let excerpt { object["excerpt"] = excerpt.json }
        return .object(object)
    }

    /// nil when `json` lacks a count.
    package init?(json: JSONValue) {
        for (name, path) in Self.fields {
            guard let value = json[name]?.int else { return nil }
            self[keyPath: path] = value
        }
        guard let part = json["excerpt"] else { return }
        guard let excerpt = ExcerptExtent(json: part) else { return nil }
        self.excerpt = excerpt
    }
}

extension ExcerptExtent {
    fileprivate var json: JSONValue {
        .members([
            "chunks": .int(chunks), "of_chunks": .int(ofChunks), "bytes": .int(bytes), "of_bytes": .int(ofBytes),
        ])
    }

    fileprivate init?(json: JSONValue) {
        guard let chunks = json["chunks"]?.int, let ofChunks = json["of_chunks"]?.int, let bytes = json["bytes"]?.int,
            let ofBytes = json["of_bytes"]?.int
        else { return nil }
        self.init(chunks: chunks, ofChunks: ofChunks, bytes: bytes, ofBytes: ofBytes)
    }
}
