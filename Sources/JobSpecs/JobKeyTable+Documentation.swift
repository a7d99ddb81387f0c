extension JobKeyTable {
    /// The table as Markdown, one line a key: name, what it takes, default, tag, aliases, meaning.
    package static var markdown: String {
        var text = "| key | takes | default | kind | also written | meaning |\n| --- | --- | --- | --- | --- | --- |\n"
        for entry in entries {
            let cells = [
                "`\(entry.name)`", entry.takes, entry.defaultText.map { "`\($0)`" } ?? "", entry.tag.rawValue,
                entry.aliases.map { "`\($0.name)`" }.joined(separator: ", "), entry.doc,
            ]
            text += "| " + cells.joined(separator: " | ") + " |\n"
            guard entry.key == .dataset else { continue }
            for field in datasetFields {
                let standard = field.defaultText.map { "`\($0)`" } ?? ""
                text += "| `dataset.N.\(field.name)` | \(field.kind.description) | \(standard) | result |  | "
                text += "\(field.doc) |\n"
            }
        }
        return text
    }
}
