import Budgeting

/// Why a value does not suit its key.
struct ValueFault: Error, Equatable {
    /// One sentence, without the key's name.
    var sentence: String
    /// The word that was probably meant.
    var nearest: String?
}

/// Turns what stands behind a key into the key's type.
struct JobValueReader {
    /// The key's name, for messages.
    let name: String
    let kind: JobKind
    let words: [String]
    let takes: String
    let isNullable: Bool
    let valueAliases: [(from: String, to: String)]

    init(entry: JobKeyEntry) {
        name = entry.name
        kind = entry.kind
        words = entry.words
        takes = entry.takes
        isNullable = entry.isNullable
        valueAliases = entry.valueAliases
    }

    /// A reader of a field of a dataset's entry.
    init(field: String, kind: JobKind, valueAliases: [(from: String, to: String)] = []) {
        name = field
        self.kind = kind
        words = []
        takes = kind.description
        isNullable = false
        self.valueAliases = valueAliases
    }

    /// Reads one value; an override's scalar is text wherever text will do, since a shell has taken its quotes.
    func value(of content: SpecNode.Content, isOverride: Bool) -> Result<JobValue, ValueFault> {
        switch (content, kind) {
        case (.scalar(let scalar), _): return self.scalar(aliased(scalar), isOverride: isOverride)
        case (.list(let elements), .names), (.list(let elements), .choices): return list(elements)
        case (.list, _): return .failure(wrongType("a list"))
        case (.mapping, _): return .failure(wrongType("a mapping"))
        }
    }

    private func aliased(_ scalar: SpecScalar) -> SpecScalar {
        guard let alias = valueAliases.first(where: { $0.from == scalar.text }) else { return scalar }
        return SpecScalar(text: alias.to, isPlain: scalar.isPlain)
    }

    private func wrongType(_ found: String, advice: String = "") -> ValueFault {
        ValueFault(sentence: "\(name) takes \(takes), not \(found)\(advice)")
    }

    private func wrongType(_ scalar: SpecScalar) -> ValueFault {
        if scalar.isNull {
            return wrongType("null", advice: isNullable ? "" : "; leave the key out for its default")
        }
        if kind == .bool, scalar.isOldBool {
            return wrongType(scalar.description, advice: " (YAML 1.2 knows no yes and no)")
        }
        if !scalar.isPlain, kind != .text, kind != .path, kind != .name {
            return wrongType(scalar.description, advice: "; leave the quotes out")
        }
        if scalar.text.contains("_"), SpecScalar(text: scalar.text.filter { $0 != "_" }, isPlain: true).isNumber {
            return wrongType(scalar.description, advice: "; write \(scalar.text.filter { $0 != "_" })")
        }
        return wrongType(scalar.description)
    }

    private func scalar(_ scalar: SpecScalar, isOverride: Bool) -> Result<JobValue, ValueFault> {
        if scalar.isNull { return isNullable ? .success(.null) : .failure(wrongType(scalar)) }
        if words.contains(scalar.text) { return .success(.text(scalar.text)) }
        switch kind {
        case .text, .name, .path:
            if !isOverride, scalar.bool != nil { return .failure(wrongType(scalar)) }
            return text(scalar.text)
        case .bool: return scalar.bool.map { .success(.bool($0)) } ?? .failure(wrongType(scalar))
        case .integer(let range): return integer(scalar, range)
        case .number(let range):
            guard let value = scalar.number, range.contains(value) else { return .failure(wrongType(scalar)) }
            return .success(.number(value == 0 ? 0 : value))
        case .choice(let choices):
            let written = scalar.bool.map(String.init) ?? scalar.text
            if choices.contains(written) { return .success(.text(written)) }
            return .failure(wrongWord(scalar, choices + words))
        case .count:
            if let whole = scalar.integer {
                return whole >= 1 ? .success(.integer(whole)) : .failure(wrongType(scalar))
            }
            return Quantity.count(scalar.text).map { .integer($0) }.mapError(fault)
        case .duration: return Quantity.duration(scalar.text).map { .duration($0) }.mapError(fault)
        case .amount(let unit): return Quantity.parse(scalar.text, as: unit).map { .amount($0) }.mapError(fault)
        case .names, .choices: return list(scalar)
        case .datasets: return .failure(wrongType(scalar))
        }
    }

    private func fault(_ fault: QuantityFault) -> ValueFault {
        ValueFault(sentence: "\(name) takes \(takes): \(fault.sentence)")
    }

    private func wrongWord(_ scalar: SpecScalar, _ choices: [String]) -> ValueFault {
        var fault = ValueFault(sentence: "\(name) takes \(takes), not \(scalar.description)")
        if name == "stage", ["rm", "dpo", "orpo", "kto", "ppo"].contains(scalar.text) {
            fault.sentence += "; preference training is for a later version"
        } else {
            fault.nearest = EditDistance.nearest(to: scalar.text, among: choices)
        }
        return fault
    }

    private func integer(_ scalar: SpecScalar, _ range: ClosedRange<Int64>) -> Result<JobValue, ValueFault> {
        guard let value = scalar.integer, range.contains(value) else { return .failure(wrongType(scalar)) }
        return .success(.integer(value))
    }

    private func text(_ text: String) -> Result<JobValue, ValueFault> {
        if text.isEmpty { return .failure(wrongType("an empty text")) }
        if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            return .failure(ValueFault(sentence: "\(name) holds a control character"))
        }
        if kind == .name, text.contains("/") || text.hasPrefix(".") || text.utf8.count > 128 {
            let rule = "without '/', without '.' in front, of at most 128 bytes"
            return .failure(ValueFault(sentence: "\(name) takes a name \(rule), since a folder is named by it"))
        }
        return .success(.text(text))
    }

    /// `a,b` as LLaMA-Factory writes lists.
    private func list(_ scalar: SpecScalar) -> Result<JobValue, ValueFault> {
        let parts = scalar.text.split(separator: ",", omittingEmptySubsequences: false).map(Self.trimmed)
        return names(parts)
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text.drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return String(text)
    }

    private func list(_ elements: [SpecNode]) -> Result<JobValue, ValueFault> {
        var names: [String] = []
        for element in elements {
            guard let scalar = element.scalar, !scalar.isNull else {
                return .failure(wrongType("a list with \(element.description) in it"))
            }
            names.append(scalar.text)
        }
        return self.names(names)
    }

    private func names(_ names: [String]) -> Result<JobValue, ValueFault> {
        if names.isEmpty { return .failure(wrongType("an empty list")) }
        // `[all]` is what `all` is.
        if names.count == 1, words.contains(names[0]) { return .success(.text(names[0])) }
        for (index, name) in names.enumerated() {
            if case .choices(let choices) = kind, !choices.contains(name) {
                return .failure(wrongWord(SpecScalar(text: name, isPlain: true), choices))
            }
            if case .failure(let fault) = text(name) { return .failure(fault) }
            if words.contains(name) {
                return .failure(ValueFault(sentence: "\(self.name): '\(name)' stands alone or not at all"))
            }
            if names[..<index].contains(name) {
                return .failure(ValueFault(sentence: "\(self.name) names '\(name)' twice"))
            }
        }
        return .success(.names(names))
    }
}
