extension JobReader {
    /// Reads the whole list, replacing what stood.
    mutating func readDatasets(_ node: SpecNode) {
        datasets = []
        guard case .list(let elements) = node.content else {
            let advice = node.scalar.map { $0.isNull ? "null" : "\($0.description); write [{path: \($0.text)}]" }
            written[JobKey.dataset.rawValue]?.isValid = false
            report(
                "dataset takes \(JobKind.datasets.description), not \(advice ?? node.description)", at: node.origin,
                key: "dataset")
            return
        }
        if elements.isEmpty {
            written[JobKey.dataset.rawValue]?.isValid = false
            report("dataset is an empty list; name at least one data file", at: node.origin, key: "dataset")
        }
        for (index, element) in elements.enumerated() { datasets.append(readDataset(element, index)) }
    }

    private mutating func readDataset(_ node: SpecNode, _ index: Int) -> DatasetDraft {
        var draft = DatasetDraft(origin: node.origin)
        guard case .mapping(let members) = node.content else {
            let advice = node.scalar.map { "\($0.description); write '- path: \($0.text)'" } ?? node.description
            report(
                "an entry of dataset is a mapping with path, type and weight, not \(advice)", at: node.origin,
                key: "dataset.\(index)")
            draft.isFaulty = true
            return draft
        }
        for member in members {
            setField(member.key, of: &draft, index, to: member.value, keyOrigin: member.keyOrigin)
        }
        return draft
    }

    /// Reads one field of one entry.
    private mutating func setField(
        _ field: String, of draft: inout DatasetDraft, _ index: Int, to node: SpecNode, keyOrigin: SpecOrigin
    ) {
        let name = "dataset.\(index).\(field)"
        guard let (_, kind, _, _) = JobKeyTable.datasetFields.first(where: { $0.name == field }) else {
            let known = JobKeyTable.datasetFields.map(\.name)
            draft.isFaulty = true
            report(
                "'\(field)' is no key of a dataset's entry; it has \(known.joined(separator: ", "))", at: keyOrigin,
                key: name, nearest: EditDistance.nearest(to: field, among: known))
            return
        }
        let isOverride = if case .override = node.origin { true } else { false }
        let reader = JobValueReader(field: name, kind: kind, valueAliases: [(from: "chat_template", to: "messages")])
        switch reader.value(of: node.content, isOverride: isOverride) {
        case .success(.number(let weight)): draft.weight = weight
        case .success(.text(let text)) where field == "path": draft.path = text
        case .success(.text(let text)): draft.type = DatasetType(rawValue: text)
        case .success: preconditionFailure("a field of a dataset's entry is text or a number")
        case .failure(let fault):
            draft.isFaulty = true
            report(fault.sentence, at: node.origin, key: name, nearest: fault.nearest)
        }
    }

    /// Applies `dataset.0.path=…`; the index one past the last entry appends one.
    mutating func overrideDataset(_ path: [String], _ node: SpecNode) {
        let written = path.joined(separator: ".")
        guard path.count == 3, let index = Int(path[1]), index >= 0, index <= datasets.count else {
            let advice = "write dataset.N.path, .type or .weight with N in 0…\(datasets.count)"
            report("'\(written)' names no field of a dataset's entry; \(advice)", at: node.origin, key: written)
            return
        }
        var draft = index < datasets.count ? datasets[index] : DatasetDraft(origin: node.origin)
        setField(path[2], of: &draft, index, to: node, keyOrigin: node.origin)
        if index < datasets.count { datasets[index] = draft } else { datasets.append(draft) }
        if self.written[JobKey.dataset.rawValue] == nil {
            self.written[JobKey.dataset.rawValue] = Written(origin: node.origin, name: "dataset")
        }
    }

    /// Turns the drafts into the key's value, reporting entries without path.
    mutating func finishDatasets() {
        var finished: [JobDataset] = []
        for (index, draft) in datasets.enumerated() {
            if let path = draft.path {
                finished.append(JobDataset(path: path, type: draft.type ?? .auto, weight: draft.weight ?? 1))
            } else if !draft.isFaulty {
                report("the entry \(index) of dataset has no path", at: draft.origin, key: "dataset.\(index).path")
            }
        }
        if !finished.isEmpty { self[.dataset] = .datasets(finished) }
    }
}
