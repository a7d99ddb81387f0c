internal import Terms

extension ConfigurationKeys {
    /// The mixtures of experts, nil for families and models without one.
    mutating func mixture(_ family: Family, layers: Int) throws(ModelError) -> Mixture? {
        guard let rule = family.mixture else { return nil }
        let experts = try integer("num_local_experts", 0...4096, rule.standard.experts)
        let perToken = try perToken(rule, layers: layers)
        let inner = try expertWidth(rule)
        var mixture = Mixture(
            experts: experts, perToken: perToken, inner: inner, sharedInner: try sharedWidth(rule, inner),
            isSparse: try sparseLayers(rule.layers, layers), leastSum: try leastSum(rule.normalization), balance: 0)
        let balance = try number("router_aux_loss_coef", 0...1000, 0.001)
        if try boolean("output_router_logits", false), rule.balances { mixture.balance = balance }
        guard experts > 0, mixture.isSparse.contains(true) else { return nil }
        guard mixture.mostPerToken <= experts else {
            throw .invalidValue(
                key: spelling("num_experts_per_tok"), found: "\(mixture.mostPerToken)",
                expected: "at most \(experts) experts")
        }
        return mixture
    }

    /// One number for all layers, or a list of one for each.
    private mutating func perToken(_ rule: MixtureRule, layers: Int) throws(ModelError) -> [Int] {
        guard let list = value("num_experts_per_tok")?.array else {
            let one = try integer("num_experts_per_tok", 1...4096, rule.standard.perToken)
            return Array(repeating: one, count: layers)
        }
        let counts = list.compactMap { element in element.int.flatMap { (1...4096).contains($0) ? $0 : nil } }
        guard counts.count == list.count, counts.count >= layers else {
            throw .invalidValue(
                key: spelling("num_experts_per_tok"), found: "a list of \(list.count)",
                expected: "a number of experts for each of \(layers) layers")
        }
        return Array(counts.prefix(layers))
    }

    private mutating func expertWidth(_ rule: MixtureRule) throws(ModelError) -> Int {
        let range = 1...1 << 22
        if let key = rule.widthKey { return try integer(key, range, rule.standard.inner) }
        let inner = try integer("intermediate_size", range, rule.standard.inner)
        // Files may repeat the width, layer by layer.
        if let repeated = value("moe_intermediate_size") {
            let widths = repeated.array ?? [repeated]
            guard widths.allSatisfy({ $0.int == inner }) else {
                throw .invalidValue(
                    key: "moe_intermediate_size", found: repeated.text, expected: "\(inner), as intermediate_size")
            }
        }
        return inner
    }

    private mutating func sharedWidth(_ rule: MixtureRule, _ inner: Int) throws(ModelError) -> Int {
        switch rule.shared {
        case .none: 0
        case .one: inner
        case .counted(let key, let standard): inner * (try integer(key, 0...1024, standard))
        }
    }

    /// `leastSum` of the mixture.
    private mutating func leastSum(_ rule: ExpertNormalization) throws(ModelError) -> Float? {
        switch rule {
        case .always: 0
        case .ifSet(let key, let standard): try boolean(key, standard) ? 0 : nil
        case .atLeast(let key, let standard): Float(try number(key, 0...1, standard))
        }
    }

    private mutating func sparseLayers(_ rule: SparseLayers, _ layers: Int) throws(ModelError) -> [Bool] {
        let indices = 1...1 << 20
        switch rule {
        case .every: return Array(repeating: true, count: layers)
        case .stepped:
            let step = try integer("decoder_sparse_step", indices, 1)
            let list = value("mlp_only_layers")
            let dense = list?.array?.compactMap(\.int) ?? []
            guard dense.count == list?.array?.count ?? (list == nil ? 0 : -1) else {
                throw .invalidValue(key: "mlp_only_layers", found: list?.text ?? "", expected: "a list of layers")
            }
            return (0..<layers).map { ($0 + 1) % step == 0 && !dense.contains($0) }
        case .interval:
            let interval = try integer("moe_layer_interval", indices, 1)
            let first = try integer("moe_layer_start_index", 0...1 << 20, 1)
            let last = try integer("moe_layer_end_index", -1...1 << 20, -1)
            let end = last == -1 ? layers - 1 : last
            return (0..<layers).map { ($0 + 1) % interval == 0 && $0 >= first && $0 <= end }
        }
    }

    /// Refuses keys whose value asks for something else than this family does.
    mutating func checkFixed() throws(ModelError) {
        for fixed in family.fixedKeys {
            guard let found = value(fixed.key) else { continue }
            let all = found.array ?? [found]
            guard all.allSatisfy({ fixed.values.contains($0) }) else {
                throw .invalidValue(
                    key: fixed.key, found: found.text,
                    expected: fixed.values.map(\.text).joined(separator: " or ") + ": no other value is supported")
            }
        }
    }
}
