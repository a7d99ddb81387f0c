import Terms

extension PreTokenizer {
    /// Reads the member `pre_tokenizer` of tokenizer.json; null is none. `isByteLevel` is set when words become bytes.
    init(file value: JSONValue?, isByteLevel: inout Bool) throws(TokenizationError) {
        guard let value, !value.isNull else { return }
        try add(Component(value, path: "pre_tokenizer"), &isByteLevel)
    }

    private mutating func add(_ component: Component, _ isByteLevel: inout Bool) throws(TokenizationError) {
        // Stand-ins for bytes are not what later patterns mean by letters.
        if isByteLevel { throw component.unsupported("anything after ByteLevel") }
        switch try component.type {
        case "ByteLevel":
            try component.allow("add_prefix_space", "trim_offsets", "use_regex")
            if try component.bool("add_prefix_space", absent: true) { try setPrefix(.space, component) }
            if try component.bool("use_regex", absent: true) { splitters.append(.gpt2) }
            isByteLevel = true
        case "Split": splitters.append(try Self.splitter(component))
        case "Digits":
            try component.allow("individual_digits")
            splitters.append(.digits(individual: try component.bool("individual_digits", absent: false)))
        case "Metaspace": try addMetaspace(component)
        case "Sequence":
            try component.allow("pretokenizers")
            for part in try component.components("pretokenizers") { try add(part, &isByteLevel) }
        case let type: throw component.unsupported("the pre-tokenizer `\(type)`")
        }
    }

    private mutating func setPrefix(_ prefix: Prefix, _ component: Component) throws(TokenizationError) {
        guard splitters.isEmpty, self.prefix == .none else { throw component.unsupported("a prefix after a split") }
        self.prefix = prefix
    }

    private mutating func addMetaspace(_ component: Component) throws(TokenizationError) {
        try component.allow("replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep")
        guard try component.string("replacement") == "\u{2581}" else { throw component.unsupported("the replacement") }
        let name = component.object["prepend_scheme"] == nil ? "always" : try component.string("prepend_scheme")
        guard var scheme = MetaspaceScheme(rawValue: name) else {
            throw component.unsupported("the prepend_scheme `\(name)`")
        }
        if try !component.bool("add_prefix_space", absent: true) { scheme = .never }
        try setPrefix(.metaspace(scheme), component)
        if try component.bool("split", absent: true) { splitters.append(.metaspace) }
    }

    private static func splitter(_ component: Component) throws(TokenizationError) -> Splitter {
        try component.allow("pattern", "behavior", "invert")
        let pattern = try component.object("pattern")
        let isInverted = try component.bool("invert", absent: false)
        let behavior = try component.string("behavior")
        guard let regex = pattern["Regex"]?.string, let splitter = Splitter.known[ByteText(Splitter.escaped(regex))]
        else {
            let text = pattern["Regex"]?.string ?? pattern["String"]?.string ?? "?"
            throw component.unsupported("the split pattern `\(text)`")
        }
        // With a pattern that matches everywhere, keeping the matches is the same as cutting at them.
        let keepsMatches = behavior == "Removed" && isInverted && splitter.coversAll
        guard keepsMatches || (behavior == "Isolated" && !(isInverted && splitter.coversAll)) else {
            throw component.unsupported("the behavior `\(behavior)`\(isInverted ? " inverted" : "")")
        }
        return splitter
    }
}

extension Splitter {
    /// Whether the pattern matches at every position, so that no gaps exist.
    var coversAll: Bool {
        switch self {
        case .gpt2, .tiktoken, .o200k: true
        default: false
        }
    }

    /// A pattern with its newlines spelled as escapes: files have both.
    static func escaped(_ regex: String) -> String {
        var escaped = String.UnicodeScalarView()
        for scalar in regex.unicodeScalars {
            switch scalar {
            case "\r": escaped.append(contentsOf: #"\r"#.unicodeScalars)
            case "\n": escaped.append(contentsOf: #"\n"#.unicodeScalars)
            default: escaped.append(scalar)
            }
        }
        return String(escaped)
    }

    /// How Qwen2's tokenizer.json spells `.qwen2`.
    static let qwen2Pattern = clPattern(letters: #"\p{L}"#, numbers: #"\p{N}"#)
    static let qwen2 = Splitter.tiktoken(digits: 1, marksAreLetters: false)

    private static let contractions = #"(?i:'s|'t|'re|'ve|'m|'ll|'d)"#
    private static let whiteSpace = #"\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static let prefix = #"[^\r\n\p{L}\p{N}]?"#

    private static func clPattern(letters: String, numbers: String) -> String {
        let word = letters == #"\p{L}"# ? letters : "[\(letters)]"
        return #"\#(contractions)|\#(prefix)\#(word)+|\#(numbers)| ?[^\s\#(letters)\p{N}]+[\r\n]*|\#(whiteSpace)"#
    }

    private static func oPattern(contractions: String, numbers: String) -> String {
        let upper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#
        let lower = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#
        return #"\#(prefix)\#(upper)*\#(lower)+\#(contractions)|\#(prefix)\#(upper)+\#(lower)*\#(contractions)|"#
            + #"\#(numbers)| ?[^\s\p{L}\p{N}]+[\r\n/]*|\#(whiteSpace)"#
    }

    /// The patterns of published tokenizers, as their files spell them.
    static let known: [ByteText: Splitter] = {
        let signs = ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"##
        let patterns: KeyValuePairs<String, Splitter> = [
            #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#: .gpt2,
            clPattern(letters: #"\p{L}"#, numbers: #"\p{N}{1,3}"#): .tiktoken(digits: 3, marksAreLetters: false),
            qwen2Pattern: .qwen2,
            clPattern(letters: #"\p{L}"#, numbers: #"\p{N}+"#): .tiktoken(digits: .max, marksAreLetters: false),
            clPattern(letters: #"\p{L}\p{M}"#, numbers: #"\p{N}"#): .tiktoken(digits: 1, marksAreLetters: true),
            oPattern(contractions: contractions + "?", numbers: #"\p{N}{1,3}"#): .o200k(digits: 3, contractions: true),
            oPattern(contractions: "", numbers: #"\p{N}"#): .o200k(digits: 1, contractions: false),
            #"\#(signs)[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\#(whiteSpace)"#:
                .deepSeekWords,
            #"\p{N}{1,3}"#: .numbers(limit: 3),
            #"\p{N}"#: .numbers(limit: 1),
            #"\p{N}+"#: .numberRuns,
            "[\u{4E00}-\u{9FA5}\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+": .ideographsAndKana,
            "[\u{4E00}-\u{9FA5}\u{0800}-\u{4E00}\u{AC00}-\u{D7FF}]+": .ideographsAndAbove,
            #"[\r\n]"#: .newline,
            #"\s?\p{L}+"#: .spaced(letters: true),
            #"\s?\p{P}+"#: .spaced(letters: false),
        ]
        return Dictionary(uniqueKeysWithValues: patterns.map { (ByteText($0.key), $0.value) })
    }()
}
