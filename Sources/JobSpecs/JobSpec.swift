/// A job, read and checked: every key of the job file has its value.
///
/// Equality is that of the values, whether written or defaults. What needs the world (the model's own limits, the
/// adapter's config, free disk) is not checked here.
package struct JobSpec: Sendable, Hashable {
    /// By `JobKey.rawValue`.
    let values: [JobValue]

    /// A spec of checked values.
    init(values: [JobValue]) {
        precondition(values.count == JobKey.allCases.count, "a spec has one value for each key")
        self.values = values
    }

    /// Reads a job file and the overrides of the command line.
    ///
    /// - Parameters:
    ///   - yaml: the file's text.
    ///   - file: its name, for messages and as the source of the default `name`.
    ///   - overrides: `key=value` texts, dotted for nested keys; the last one for a key counts.
    /// - Returns: the spec, or all faults at once.
    package static func read(yaml: String, file: String, overrides: [String] = []) -> Result<JobSpec, SpecIssues> {
        var reader = JobReader(file: file)
        let (node, faults) = YAMLTree.read(yaml, file: file)
        reader.issues = faults
        if let node { reader.readFile(node) }
        reader.readOverrides(overrides)
        // Of a file that could not be read, nothing is known to be missing.
        if node == nil, !faults.isEmpty { return .failure(SpecIssues(issues: reader.issues)) }
        return reader.finish()
    }

    /// The spec with overrides applied, checked as if it had been written so.
    ///
    /// Every value of the spec counts as given: to change one of a pair that excludes each other, set the other null.
    package func withOverrides(_ overrides: [String]) -> Result<JobSpec, SpecIssues> {
        var reader = JobReader(file: "")
        reader.values = values
        for key in JobKey.allCases where self[key] != .null {
            reader.written[key.rawValue] = JobReader.Written(origin: nil, name: key.name)
        }
        reader.datasets = datasets.map {
            JobReader.DatasetDraft(origin: nil, path: $0.path, type: $0.type, weight: $0.weight)
        }
        reader.readOverrides(overrides)
        return reader.finish()
    }

    /// The keys that overrides name, also those that they take away, in the table's order.
    package static func keys(namedBy overrides: [String]) -> [JobKey] {
        var reader = JobReader(file: "")
        for key in JobKey.allCases { reader.written[key.rawValue] = JobReader.Written(origin: nil, name: key.name) }
        reader.readOverrides(overrides)
        return JobKey.allCases.filter { key in reader.written[key.rawValue].map { $0.origin != nil } ?? true }
    }

    /// The value of a key.
    package subscript(key: JobKey) -> JobValue { values[key.rawValue] }

    /// The spec with other values at some keys; for values that the program itself settled.
    func replacing(_ changes: [(key: JobKey, value: JobValue)]) -> JobSpec {
        var values = values
        for (key, value) in changes { values[key.rawValue] = value }
        return JobSpec(values: values)
    }
}

extension JobSpec {
    func integer(_ key: JobKey) -> Int? { if case .integer(let value) = self[key] { Int(value) } else { nil } }
    func number(_ key: JobKey) -> Double? { if case .number(let value) = self[key] { value } else { nil } }
    func text(_ key: JobKey) -> String? { if case .text(let value) = self[key] { value } else { nil } }
    func bool(_ key: JobKey) -> Bool? { if case .bool(let value) = self[key] { value } else { nil } }

    func required<Value>(_ value: Value?, _ key: JobKey) -> Value {
        guard let value else { preconditionFailure("the reader leaves no \(key.name) without its value") }
        return value
    }

    func choice<Choice: RawRepresentable<String>>(_ key: JobKey, _ type: Choice.Type = Choice.self) -> Choice {
        required(text(key).flatMap(Choice.init(rawValue:)), key)
    }
}
