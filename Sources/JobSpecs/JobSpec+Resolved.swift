import Budgeting

extension JobSpec {
    /// The spec with every path absolute; a relative one is taken from `workingDirectory`.
    package func absolute(in workingDirectory: String) -> JobSpec {
        let paths: [(key: JobKey, value: JobValue)] = JobKey.allCases.compactMap { key in
            switch (key.entry.kind, self[key]) {
            case (.path, .text(let path)) where !key.entry.words.contains(path):
                (key, .text(Self.absolute(path, in: workingDirectory)))
            case (.datasets, .datasets(let datasets)):
                (
                    key,
                    .datasets(
                        datasets.map { dataset in
                            var dataset = dataset
                            dataset.path = Self.absolute(dataset.path, in: workingDirectory)
                            return dataset
                        })
                )
            default: nil
            }
        }
        return replacing(paths)
    }

    /// `..` stays as it is: what it leads to is only known with the links on the way.
    private static func absolute(_ path: String, in workingDirectory: String) -> String {
        let joined = path.hasPrefix("/") ? path : workingDirectory + "/" + path
        return "/" + joined.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }

    /// The job file that says everything: every key, absolute paths, in the table's order.
    ///
    /// `JobSpec.read` gives `absolute(in:)` back from it. Numbers are written so that readers of YAML 1.1 see
    /// numbers too.
    package func resolvedYAML(workingDirectory: String) -> String {
        let spec = absolute(in: workingDirectory)
        var text = ""
        var group: Substring = ""
        for key in JobKey.allCases {
            let parts = key.name.split(separator: ".")
            if parts.count == 2, parts[0] != group {
                group = parts[0]
                text += "\(group):\n"
            }
            text += parts.count == 2 ? "  \(parts[1]):" : "\(key.name):"
            if case .datasets(let datasets) = spec[key] {
                for dataset in datasets {
                    text += "\n  - path: \(YAMLText.scalar(dataset.path))\n    type: \(dataset.type.rawValue)"
                    text += "\n    weight: \(YAMLText.number(dataset.weight))"
                }
                text += "\n"
            } else {
                text += " \(spec[key].yamlText)\n"
            }
        }
        return text
    }

    /// A key that two specs disagree on, with both values as YAML.
    package struct Difference: Sendable, Hashable {
        /// The key they disagree on.
        package var key: JobKey
        /// The older spec's value.
        package var old: String
        /// This spec's value.
        package var new: String
    }

    /// The keys with `tag` in which this spec differs from `old`, in the table's order.
    ///
    /// Paths are compared as they stand: make both `absolute(in:)` first.
    package func differences(from old: JobSpec, tag: KeyTag) -> [Difference] {
        JobKey.allCases.filter { $0.entry.tag == tag && self[$0] != old[$0] }
            .map { Difference(key: $0, old: old[$0].yamlText, new: self[$0].yamlText) }
    }
}

extension JobValue {
    /// The value as YAML on one line.
    package var yamlText: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .number(let value): YAMLText.number(value)
        case .text(let value): YAMLText.word(value)
        case .duration(let milliseconds): Quantity.durationText(milliseconds)
        case .amount(let quantity): quantity.text
        case .names(let names): "[" + names.map(YAMLText.scalar).joined(separator: ", ") + "]"
        case .datasets(let datasets):
            "["
                + datasets.map {
                    "{path: \(YAMLText.scalar($0.path)), type: \($0.type.rawValue), weight: \(YAMLText.number($0.weight))}"
                }.joined(separator: ", ") + "]"
        }
    }
}

/// Writes YAML scalars that every reader takes alike.
enum YAMLText {
    /// The shortest digits that read back to the same bits, always with a point: to YAML 1.1, `1e-08` is text.
    static func number(_ value: Double) -> String {
        let text = "\(value)"
        guard let exponent = text.firstIndex(of: "e"), !text[..<exponent].contains(".") else { return text }
        return text[..<exponent] + ".0" + text[exponent...]
    }

    /// Text of a key, where the words `true` and `false` are choices and not to be quoted.
    static func word(_ text: String) -> String { text == "true" || text == "false" ? text : scalar(text) }

    /// Text as a plain scalar where nobody could take it for anything else, otherwise in double quotes.
    static func scalar(_ text: String) -> String {
        let scalar = SpecScalar(text: text, isPlain: true)
        let isTyped =
            scalar.isNull || scalar.bool != nil || scalar.isOldBool || scalar.isNumber
            || scalar.integer != nil
        let isWord = text.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "_./-".utf8.contains(byte)
        }
        let beginsPlain = text.utf8.first.map { !"-.0123456789".utf8.contains($0) } ?? false
        return isWord && !isTyped && beginsPlain ? text : quoted(text)
    }

    /// Double quotes, with every character escaped that YAML does not print or folds.
    private static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case " "..."~": out.unicodeScalars.append(scalar)
            case "\u{A0}"..."\u{2027}", "\u{202A}"..."\u{D7FF}", "\u{E000}"..."\u{FEFE}", "\u{10000}"..."\u{10FFFF}":
                out.unicodeScalars.append(scalar)
            default:
                let hex = String(scalar.value, radix: 16)
                out += "\\U" + String(repeating: "0", count: 8 - hex.count) + hex
            }
        }
        return out + "\""
    }
}
