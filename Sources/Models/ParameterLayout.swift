import Terms

/// Where each trained tensor lies in the flat fp32 vector of P elements: in byte order of names, without gaps.
package struct ParameterLayout: Sendable, Equatable {
    /// One trained tensor.
    package struct Entry: Sendable, Equatable {
        /// Name as it stands in the exported file.
        package let name: String
        /// Dimensions, outermost first.
        package let shape: [Int]
        /// First element in the flat vector.
        package let offset: Int
        /// Elements.
        package let count: Int
        /// Whether its gradient is always zero: it is written with the model and stays as it is.
        package let isFixed: Bool
        /// The elements in the flat vector.
        package var range: Range<Int> { offset..<offset + count }
        /// Weight decay is for matrices only: norms and biases are exempt, as in the Hugging Face trainer.
        package var decays: Bool { shape.count >= 2 && !isFixed }
    }

    /// In byte order of names.
    package let entries: [Entry]
    /// P, elements of all entries.
    package let count: Int

    /// A layout of the given tensors, whatever their order; `fixed` are the names of those that stay as they are.
    package init(_ tensors: [(name: String, shape: [Int])], fixed: Set<String> = []) {
        var entries: [Entry] = []
        var offset = 0
        for tensor in tensors.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }) {
            let count = tensor.shape.reduce(1, *)
            entries.append(
                Entry(
                    name: tensor.name, shape: tensor.shape, offset: offset, count: count,
                    isFixed: fixed.contains(tensor.name)))
            offset += count
        }
        self.entries = entries
        count = offset
    }

    /// Every tensor of the model, under its Hugging Face name.
    package init(full table: TensorTable) {
        let fixed = table.tensors.filter { $0.role == .selectionBias }.map(\.name)
        self.init(table.tensors.map { ($0.name, $0.shape) }, fixed: Set(fixed))
    }

    /// The two factors of every adapted layer, under their PEFT names.
    package init(adapter modules: [AdaptedModule]) {
        self.init(
            modules.flatMap { module in
                let rows = module.rank * module.stack
                return [(module.nameA, [rows, module.inputs]), (module.nameB, [module.outputs, rows])]
            })
    }

    /// The entry called `name`.
    package subscript(name: String) -> Entry? {
        let place = entries.indices.partitionPoint {
            entries[$0].name.utf8.lexicographicallyPrecedes(name.utf8)
        }
        return place < entries.count && entries[place].name == name ? entries[place] : nil
    }

    /// Where weight decay applies: ascending, apart, neighbours joined.
    package var decayRanges: [Range<Int>] {
        var ranges: [Range<Int>] = []
        for entry in entries where entry.decays && entry.count > 0 {
            if let last = ranges.last, last.upperBound == entry.offset {
                ranges[ranges.count - 1] = last.lowerBound..<entry.range.upperBound
            } else {
                ranges.append(entry.range)
            }
        }
        return ranges
    }
}
