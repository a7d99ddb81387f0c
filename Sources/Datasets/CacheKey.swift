import Hashing
import Templates
package import Terms

/// The name of a token cache: a digest of everything that decides its bytes.
package enum CacheKey {
    /// Raised when the same inputs begin to give other bytes.
    static let version = 2
    /// Raised when an excerpt begins to hold other rows.
    static let excerptVersion = 1

    /// - Parameters:
    ///   - files: the data files with the SHA-256 of their content, in order; their names don't matter.
    ///   - tokenizer: SHA-256 over the tokenizer's files.
    package static func digest(
        files: [(file: DatasetFile, content: Digest)], tokenizer: Digest, maker: SampleMaker, settings: DatasetSettings
    ) -> Digest {
        let list = files.map { file, content in
            JSONValue.members([
                "sha256": .string(content.hex), "type": .string(file.format?.rawValue ?? "auto"),
                "weight": .double(file.weight), "kind": .string(RowSource.kind(of: file.path)),
                "columns": file.columns == .usual ? .null : names(file.columns),
                "samples": file.sampleLimit.map(JSONValue.int) ?? .null,
            ])
        }
        let date = maker.date
        let value = JSONValue.members([
            "version": .int(version),
            "files": .array(list),
            "tokenizer": .string(tokenizer.hex),
            "template": maker.template.map { .string(Digest.sha256(of: $0.name + "\n" + $0.source).hex) } ?? .null,
            "variables": .object(maker.variables),
            "date": .array(
                [date.year, date.month, date.day, date.hour, date.minute, date.second].map(JSONValue.int)),
            "stage": .string(maker.stage.rawValue),
            "train_on_prompt": .bool(maker.trainOnPrompt),
            "vocabulary": .int(maker.vocabularyCount),
            "cutoff_len": .int(settings.cutoffLength),
            "excess_length": .string(settings.excess.rawValue),
            "packing": .bool(settings.packing),
            "val_size": validation(settings.validation),
            "seed": .string(String(settings.seed)),
        ])
        var object = value.object ?? JSONObject()
        // Only where there is one: all other keys stay what they were.
        if let excerpt = settings.excerpt { object["excerpt"] = members(of: excerpt) }
        return .sha256(of: JSONValue.object(object).canonicalText)
    }

    private static func members(of excerpt: ExcerptSettings) -> JSONValue {
        let extent: JSONValue =
            switch excerpt.extent {
            case .sequences(let count): .array([.string("sequences"), .int(count)])
            case .tokens(let count): .array([.string("tokens"), .int(count)])
            }
        return .members([
            "version": .int(excerptVersion), "extent": extent, "shuffle": .bool(excerpt.isShuffled),
            "chunk_bytes": .int(excerpt.chunkBytes), "least_bytes": .int(excerpt.leastBytes),
        ])
    }

    private static func names(_ columns: ColumnMap) -> JSONValue {
        func optional(_ name: String?) -> JSONValue { name.map(JSONValue.string) ?? .null }
        let speakers = columns.speakers.map { $0.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } }
        return .array([
            optional(columns.prompt), optional(columns.query), optional(columns.response), optional(columns.history),
            .string(columns.messages), optional(columns.system), optional(columns.tools), .string(columns.role),
            .string(columns.content), .array(columns.media.map(JSONValue.string)),
            speakers.map { .array($0.map { .array([.string($0.key), .string($0.value.rawValue)]) }) } ?? .null,
        ])
    }

    private static func validation(_ size: ValidationSize) -> JSONValue {
        switch size {
        case .none: .int(0)
        case .fraction(let part): .double(part)
        case .count(let count): .int(count)
        }
    }
}
