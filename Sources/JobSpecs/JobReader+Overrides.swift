extension JobReader {
    /// Applies `key=value` texts in order; a later one replaces an earlier one.
    mutating func readOverrides(_ overrides: [String]) {
        for (index, text) in overrides.enumerated() { readOverride(text, index) }
    }

    private mutating func readOverride(_ text: String, _ index: Int) {
        let origin = SpecOrigin.override(text: text, index: index)
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
            report("an override is written key=value", at: origin, key: nil)
            return
        }
        let name = String(text[..<equals])
        let value = String(text[text.index(after: equals)...])
        let path = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let isDataset = JobKeyTable.find(path[0])?.key == .dataset
        let isStructure = isStructure(name, path, isDataset)
        guard let node = node(value, origin, text, index, isStructure: isStructure) else { return }
        if isDataset, path.count > 1 {
            overrideDataset(path, node)
        } else if JobKeyTable.groups.contains(path[0]) {
            if path.count == 1 {
                readGroup(path[0], node)
            } else {
                readKey(path.dropFirst().joined(separator: "."), in: path[0], at: origin, node)
            }
        } else {
            readKey(name, in: nil, at: origin, node)
        }
    }

    /// True where the value is a list or a mapping, so that brackets mean what they mean in YAML.
    private func isStructure(_ name: String, _ path: [String], _ isDataset: Bool) -> Bool {
        if isDataset { return path.count == 1 }
        if path.count == 1, JobKeyTable.groups.contains(name) { return true }
        switch JobKeyTable.find(name)?.key.entry.kind {
        case .names, .choices: return true
        default: return false
        }
    }

    private mutating func node(
        _ value: String, _ origin: SpecOrigin, _ text: String, _ index: Int, isStructure: Bool
    ) -> SpecNode? {
        guard isStructure, value.hasPrefix("[") || value.hasPrefix("{") else {
            return SpecNode(origin: origin, content: .scalar(SpecScalar(text: value, isPlain: true)))
        }
        let (node, faults) = YAMLTree.read(override: text, value: value, index: index)
        issues += faults
        return faults.isEmpty ? node : nil
    }
}
