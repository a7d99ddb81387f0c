import Yams

/// Reads a job file's YAML into a tree, strictly.
///
/// Refused: anchors, aliases, tags and merge keys (a job file says what it means where it stands, and expansion is
/// how small files fill memory), a second document, a key twice, and what is too large or too deep.
struct YAMLTree {
    /// Bytes of a job file.
    static let byteLimit = 256 * 1024
    /// Nested lists and mappings.
    static let depthLimit = 8
    /// Nodes of a job file.
    static let nodeLimit = 20_000
    /// `*` where an alias could begin; more are refused before the text is parsed, since expansion multiplies.
    static let starLimit = 16
    /// Repeated keys that are looked for before the rest goes unreported.
    static let repeatLimit = 16

    private let file: String
    private let origin: (SpecPosition) -> SpecOrigin
    private(set) var issues: [SpecIssue] = []
    private var repeats: [SpecPosition] = []
    private var nodes = 0

    /// Reads the YAML of a file; the tree is nil when there is none to go on with.
    static func read(_ yaml: String, file: String) -> (node: SpecNode?, issues: [SpecIssue]) {
        var tree = YAMLTree(file: file) { .file($0) }
        let node = tree.document(yaml)
        return (node, tree.issues)
    }

    /// Reads the value of an override that begins with `[` or `{`.
    static func read(override text: String, value: String, index: Int) -> (node: SpecNode?, issues: [SpecIssue]) {
        var tree = YAMLTree(file: "") { _ in .override(text: text, index: index) }
        let node = tree.document(value)
        let issues = tree.issues.map {
            SpecIssue(override: text, key: $0.key, sentence: $0.sentence, nearest: $0.nearest)
        }
        return (node, issues)
    }

    private init(file: String, origin: @escaping (SpecPosition) -> SpecOrigin) {
        self.file = file
        self.origin = origin
    }

    private mutating func report(_ sentence: String, at position: SpecPosition?, key: String? = nil) {
        let place = position ?? SpecPosition(line: 1, column: 1)
        issues.append(SpecIssue(file: file, position: place, key: key, sentence: sentence))
    }

    /// Parses, takes repeated keys out of the way, and converts what is left.
    private mutating func document(_ yaml: String) -> SpecNode? {
        guard yaml.utf8.count <= Self.byteLimit else {
            report("the file has more than \(Self.byteLimit / 1024) KiB, which no job file needs", at: nil)
            return nil
        }
        guard Self.possibleAliases(yaml) <= Self.starLimit else {
            report("the file holds too many '*' where YAML aliases begin; aliases are refused", at: nil)
            return nil
        }
        // The reader takes a byte order mark for text once it is told the encoding.
        var text = yaml.unicodeScalars.first == "\u{FEFF}" ? String(yaml.unicodeScalars.dropFirst()) : yaml
        for _ in 0..<Self.repeatLimit {
            do {
                let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
                guard let root = try parser.nextRoot() else { return nil }
                if let second = try parser.nextRoot() {
                    report("a job file is one YAML document, but another one begins here", at: Self.position(second))
                }
                // Anchors are held weakly by their nodes: the parser must outlive the walk.
                return withExtendedLifetime(parser) { convert(root, depth: 0) }
            } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
                guard let repeated = RepeatedKey.find(keys, after: context.mark, in: text) else {
                    let first = SpecPosition(line: context.mark.line, column: context.mark.column)
                    report("the key '\(keys.first ?? "")' stands twice in one mapping", at: first, key: keys.first)
                    return nil
                }
                report(
                    "the key '\(repeated.key)' stands a second time; its first place is line \(repeated.firstLine)",
                    at: repeated.position, key: repeated.key)
                repeats.append(repeated.position)
                text = repeated.textWithoutIt
            } catch {
                reportSyntax(error)
                return nil
            }
        }
        return nil
    }

    /// Counts the places where an alias could begin; a star inside a word, as in `data/*.jsonl`, is none.
    private static func possibleAliases(_ yaml: String) -> Int {
        var count = 0
        var previous = UInt8(ascii: "\n")
        for byte in yaml.utf8 {
            if byte == UInt8(ascii: "*"), " \t\r\n[{,:-?".utf8.contains(previous) { count += 1 }
            previous = byte
        }
        return count
    }

    private mutating func reportSyntax(_ error: any Error) {
        switch error {
        case YamlError.scanner(let context, let problem, let mark, _),
            YamlError.parser(let context, let problem, let mark, _),
            YamlError.composer(let context, let problem, let mark, _):
            let place = SpecPosition(line: mark.line, column: mark.column)
            if problem.contains("undefined alias") {
                report("YAML aliases are refused; write the value itself", at: place)
            } else {
                let during = context.map { " (\($0.text))" } ?? ""
                report("this is not valid YAML: \(problem)\(during)", at: place)
            }
        case YamlError.reader(let problem, let offset, _, let yaml):
            report("this is not valid YAML: \(problem)", at: offset.map { Self.position(ofCharacter: $0, in: yaml) })
        default:
            report("this is not valid YAML", at: nil)
        }
    }

    private static func position(ofCharacter offset: Int, in yaml: String) -> SpecPosition {
        let before = yaml.prefix(offset)
        let line = before.count { $0.isNewline } + 1
        let column = before.reversed().prefix { !$0.isNewline }.count + 1
        return SpecPosition(line: line, column: column)
    }

    private static func position(_ node: Node) -> SpecPosition {
        node.mark.map { SpecPosition(line: $0.line, column: $0.column) } ?? SpecPosition(line: 1, column: 1)
    }

    /// The node as a `SpecNode`; nil when it, or the place it stands in, was refused.
    private mutating func convert(_ node: Node, depth: Int) -> SpecNode? {
        let place = Self.position(node)
        nodes += 1
        guard nodes <= Self.nodeLimit else {
            if nodes == Self.nodeLimit + 1 { report("the file has more than \(Self.nodeLimit) values", at: place) }
            return nil
        }
        guard depth <= Self.depthLimit else {
            report("values are nested more than \(Self.depthLimit) deep", at: place)
            return nil
        }
        if let anchor = node.anchor {
            // An alias shows as the anchored node itself, so one report serves both, and nothing is expanded.
            let name = anchor.rawValue
            let sentence = "YAML anchors and aliases are refused; write the value of '&\(name)' where it is meant"
            let isKnown = issues.contains { $0.position == place && $0.sentence == sentence }
            if !isKnown { report(sentence, at: place) }
            return nil
        }
        switch node {
        case .scalar(let scalar): return convert(scalar, at: place)
        case .sequence(let sequence):
            guard isUntagged(sequence.tag.description, at: place) else { return nil }
            let elements = sequence.compactMap { convert($0, depth: depth + 1) }
            // A refused element leaves a hole; its list is not read further, so that no fault is reported twice.
            guard elements.count == sequence.count else { return nil }
            return SpecNode(origin: origin(place), content: .list(elements))
        case .mapping(let mapping):
            guard isUntagged(mapping.tag.description, at: place) else { return nil }
            return SpecNode(origin: origin(place), content: .mapping(convert(mapping, depth: depth)))
        case .alias:
            report("YAML aliases are refused; write the value itself", at: place)
            return nil
        }
    }

    private mutating func convert(_ scalar: Node.Scalar, at place: SpecPosition) -> SpecNode? {
        let isPlain = scalar.style == .plain
        // An untagged plain scalar has the empty tag, a quoted one the tag of text.
        let isQuotedText = !isPlain && scalar.tag.description == Tag.Name.str.rawValue
        guard isQuotedText || isUntagged(scalar.tag.description, at: place) else { return nil }
        return SpecNode(origin: origin(place), content: .scalar(SpecScalar(text: scalar.string, isPlain: isPlain)))
    }

    private mutating func convert(_ mapping: Node.Mapping, depth: Int) -> [SpecNode.Member] {
        var members: [SpecNode.Member] = []
        for (key, value) in mapping {
            let place = Self.position(key)
            guard case .scalar(let scalar) = key else {
                report("a key must be a plain word", at: place)
                continue
            }
            if repeats.contains(place) { continue }
            if scalar.string == "<<" {
                report("YAML merge keys are refused; write the keys themselves", at: place, key: "<<")
                continue
            }
            guard let value = convert(value, depth: depth + 1) else { continue }
            members.append(SpecNode.Member(key: scalar.string, keyOrigin: origin(place), value: value))
        }
        return members
    }

    private mutating func isUntagged(_ tag: String, at place: SpecPosition) -> Bool {
        if tag == Tag.Name.implicit.rawValue { return true }
        report("YAML tags such as '\(tag)' are refused; every key has one type", at: place)
        return false
    }
}
