import Budgeting

/// Gathers values and faults from a job file and its overrides.
///
/// 1. The file's keys, 2. the overrides in order, each replacing what stood, 3. defaults, 4. relations between keys.
struct JobReader {
    /// A key that was written.
    struct Written {
        /// nil in a spec that was read before.
        var origin: SpecOrigin?
        /// As it was spelled, which tells an alias from the key itself.
        var name: String
        /// False when the value was refused: then nothing more is said about the key.
        var isValid = true
    }

    /// A dataset entry that may still lack its path.
    struct DatasetDraft {
        var origin: SpecOrigin?
        var path: String?
        var type: DatasetType?
        var weight: Double?
        /// True when a field was refused: then a missing path is not reported.
        var isFaulty = false
    }

    let file: String
    var issues: [SpecIssue] = []
    /// By `JobKey.rawValue`; null where nothing was written.
    var values = [JobValue](repeating: .null, count: JobKey.allCases.count)
    /// By `JobKey.rawValue`.
    var written = [Written?](repeating: nil, count: JobKey.allCases.count)
    var datasets: [DatasetDraft] = []

    /// A reader of a file of this name, which only messages use.
    init(file: String) { self.file = file }

    subscript(key: JobKey) -> JobValue {
        get { values[key.rawValue] }
        set { values[key.rawValue] = newValue }
    }

    // MARK: Faults

    mutating func report(_ sentence: String, at origin: SpecOrigin?, key: String?, nearest: String? = nil) {
        var issue = SpecIssue(key: key, sentence: sentence, nearest: nearest)
        switch origin {
        case .file(let position): (issue.file, issue.position) = (file, position)
        case .override(let text, _): issue.override = text
        case nil where !file.isEmpty: (issue.file, issue.position) = (file, SpecPosition(line: 1, column: 1))
        case nil: break
        }
        issues.append(issue)
    }

    // MARK: The file

    /// Reads the top mapping.
    mutating func readFile(_ root: SpecNode) {
        if root.scalar?.isNull == true { return }
        guard case .mapping(let members) = root.content else {
            report("a job file is a mapping of keys to values, not \(root.description)", at: root.origin, key: nil)
            return
        }
        for member in members {
            if JobKeyTable.groups.contains(member.key) {
                readGroup(member.key, member.value)
            } else {
                readKey(member.key, in: nil, at: member.keyOrigin, member.value)
            }
        }
    }

    mutating func readGroup(_ group: String, _ node: SpecNode) {
        if node.scalar?.isNull == true { return }
        guard case .mapping(let members) = node.content else {
            let example = group == "workers" ? "{min: 1, max: 8}" : "{steps: 2000, wall_clock: 36h}"
            report("\(group) takes a mapping such as \(example), not \(node.description)", at: node.origin, key: group)
            return
        }
        for member in members { readKey(member.key, in: group, at: member.keyOrigin, member.value) }
    }

    /// Reads one key of the top mapping (`group` nil) or of a group.
    mutating func readKey(_ name: String, in group: String?, at origin: SpecOrigin, _ node: SpecNode) {
        let full = group.map { "\($0).\(name)" } ?? name
        // In the file, nesting is written as nesting: a dotted name is none of a key.
        let isDotted = group == nil && name.contains(".")
        guard !isDotted, let (key, alias) = JobKeyTable.find(full) else {
            reportUnknown(name, in: group, at: origin)
            return
        }
        if let earlier = written[key.rawValue], isFile(origin), isFile(earlier.origin) {
            report("\(earlier.name) and \(full) are the same setting; give one of them", at: origin, key: full)
            return
        }
        if let valueOfTrue = alias?.valueOfTrue, let scalar = node.scalar {
            guard let truth = scalar.bool else {
                report("\(full) takes true or false, not \(scalar.description)", at: node.origin, key: full)
                return
            }
            guard truth else { return }
            let value = SpecScalar(text: valueOfTrue, isPlain: true)
            set(key, SpecNode(origin: node.origin, content: .scalar(value)), name: full)
            return
        }
        set(key, node, name: full)
    }

    private func isFile(_ origin: SpecOrigin?) -> Bool { if case .file = origin { true } else { false } }

    private mutating func set(_ key: JobKey, _ node: SpecNode, name: String) {
        if key == .dataset {
            written[key.rawValue] = Written(origin: node.origin, name: name)
            readDatasets(node)
            return
        }
        let isOverride = !isFile(node.origin)
        let meant = isOverride ? node : asItWasMeant(key, node)
        switch JobValueReader(entry: key.entry).value(of: meant.content, isOverride: isOverride) {
        case .success(.null):
            // As if it had not been written.
            self[key] = .null
            written[key.rawValue] = isOverride ? nil : Written(origin: node.origin, name: name)
        case .success(let value):
            self[key] = value
            written[key.rawValue] = Written(origin: node.origin, name: name)
        case .failure(let fault):
            written[key.rawValue] = Written(origin: node.origin, name: name, isValid: false)
            report(fault.sentence, at: node.origin, key: name, nearest: fault.nearest)
        }
    }

    /// What an older release has resolved may say `save_total_limit: 1`, by which two were kept.
    private func asItWasMeant(_ key: JobKey, _ node: SpecNode) -> SpecNode {
        guard key == .saveTotalLimit, file.hasSuffix("resolved.yaml"), node.scalar?.integer == 1 else { return node }
        return SpecNode(origin: node.origin, content: .scalar(SpecScalar(text: "2", isPlain: true)))
    }

    mutating func reportUnknown(_ name: String, in group: String?, at origin: SpecOrigin) {
        let full = group.map { "\($0).\(name)" } ?? name
        if group == nil, let advice = ForeignKeys.advice(on: name) {
            report("'\(name)' is no key here: \(advice)", at: origin, key: full)
            return
        }
        if group == nil, let owner = JobKeyTable.groups.first(where: { JobKeyTable.find("\($0).\(name)") != nil }) {
            report(
                "'\(name)' stands under \(owner): write '\(owner): {\(name): …}'", at: origin, key: full,
                nearest: "\(owner).\(name)")
            return
        }
        if JobKeyTable.find(name) != nil, group != nil || name.contains(".") {
            let place =
                group.map { "is no key under \($0), but one of the file itself" }
                ?? "is nested: write it under its group"
            report("'\(name)' \(place)", at: origin, key: full)
            return
        }
        let known = JobKeyTable.names(in: group)
        let place = group.map { "under \($0)" } ?? "of a job file"
        let nearest = EditDistance.nearest(to: name, among: known)
        report("'\(name)' is no key \(place)", at: origin, key: full, nearest: nearest)
    }
}

extension JobKeyTable {
    /// The key of a name or alias, dotted when nested, and the alias if it was one.
    package static func find(_ name: String) -> (key: JobKey, alias: JobKeyAlias?)? {
        for entry in entries {
            if entry.name == name { return (entry.key, nil) }
            if let alias = entry.aliases.first(where: { $0.name == name }) { return (entry.key, alias) }
        }
        return nil
    }

    /// The names and aliases that may stand in the top mapping (`group` nil) or in a group, keys first.
    static func names(in group: String?) -> [String] {
        if let group {
            let prefix = group + "."
            return entries.filter { $0.name.hasPrefix(prefix) }.map { String($0.name.dropFirst(prefix.count)) }
        }
        let top = entries.filter { !$0.name.contains(".") }
        return top.map(\.name) + groups + top.flatMap { $0.aliases.map(\.name) }
    }
}
