/// Which sites of a model an adapter's targets mean.
struct AdapterChoice {
    /// Whether gate and up of experts came by their separate names, which doubles the rank of their stack.
    private(set) var doubles = false
    private let isMixture: Bool
    private var takesAll = false
    /// Names that module paths are or end in.
    private var names: [String] = []
    /// Names that parameters are or end in.
    private var parameters: [String] = []
    private var slots: [LinearSlot] = []
    private var paths: Set<String> = []

    init(
        _ targets: AdapterSpecification.Targets, _ sites: [LinearModule], isMixture: Bool
    ) throws(ModelError) {
        self.isMixture = isMixture
        switch targets {
        case .all: (takesAll, doubles) = (true, isMixture)
        case .sites(let list):
            for path in list where !sites.contains(where: { $0.path == path }) {
                throw .unknownTarget(path, known: Self.lastNames(sites))
            }
            paths = Set(list)
        case .names(let list):
            guard !list.isEmpty else { throw .invalidAdapter("no target layers are named") }
            names = list
            guard isMixture else { break }
            try chooseInMixture(list, sites)
        }
        if case .names(let list) = targets {
            for name in list where !sites.contains(where: { means(name, $0) }) {
                throw .unknownTarget(name, known: Self.lastNames(sites))
            }
        }
    }

    func contains(_ site: LinearModule) -> Bool {
        if paths.contains(site.path) || slots.contains(site.slot) && Self.isExpertPart(site) { return true }
        if takesAll { return !isMixture || Self.isModule(site) || Self.isExpertPart(site) }
        return names.contains { Self.matches(site.path, $0) && (!isMixture || Self.isModule(site)) }
            || parameters.contains { Self.matches(Self.parameter(site), $0) }
    }

    /// Sorts names as peft does for models whose experts are fused in memory.
    private mutating func chooseInMixture(_ list: [String], _ sites: [LinearModule]) throws(ModelError) {
        func last(_ name: String) -> Substring { name.split(separator: ".").last ?? "" }
        let (gates, ups) = (list.filter { last($0) == "gate_proj" }, list.filter { last($0) == "up_proj" })
        guard gates.isEmpty == ups.isEmpty else {
            throw .invalidAdapter(
                "\((gates + ups)[0]) can't be adapted alone: gate_proj and up_proj of experts are one; name both")
        }
        let plain = ["gate_proj", "up_proj", "down_proj", "gate"]
        names = list.filter { !plain.contains(String(last($0))) }
        parameters = names
        if !gates.isEmpty { slots.append(.stackedGateUp) }
        if list.contains(where: { last($0) == "down_proj" }) { slots.append(.stackedDown) }
        if list.contains(where: { last($0) == "gate" }) { slots.append(.router) }
        doubles = !gates.isEmpty
    }

    /// Whether a name of the list has a part in choosing `site`.
    private func means(_ name: String, _ site: LinearModule) -> Bool {
        guard isMixture else { return Self.matches(site.path, name) }
        switch name.split(separator: ".").last {
        case "gate_proj", "up_proj": return site.slot == .stackedGateUp
        case "down_proj": return site.slot == .stackedDown
        case "gate": return site.slot == .router && Self.isExpertPart(site)
        default: return Self.matches(site.path, name) && Self.isModule(site) || Self.matches(Self.parameter(site), name)
        }
    }

    /// Whether transformers has a module of its own for the site in a mixture; the rest are parameters to peft.
    static func isModule(_ site: LinearModule) -> Bool {
        switch site.slot {
        case .query, .key, .value, .output, .fusedAttention: true
        case .router: !isExpertPart(site)
        default: false
        }
    }

    /// Stacks, and routers that are a bare parameter named `gate.weight`.
    private static func isExpertPart(_ site: LinearModule) -> Bool {
        switch site.slot {
        case .stackedGateUp, .stackedDown: true
        case .router: site.path.hasSuffix(".gate")
        default: false
        }
    }

    /// The name of the site's weight in transformers' memory.
    static func parameter(_ site: LinearModule) -> String {
        site.slot == .stackedGateUp || site.slot == .stackedDown ? site.path : "\(site.path).weight"
    }

    /// What peft's configuration must name for the site: a module's last name, or a parameter's last names.
    static func targetName(_ site: LinearModule) -> String {
        let parts = parameter(site).split(separator: ".")
        if isModule(site) { return String(parts[parts.count - 2]) }
        switch site.slot {
        case .stackedGateUp, .stackedDown: return String(parts[parts.count - 1])
        case .router: return parts.suffix(2).joined(separator: ".")
        default: return parts.suffix(3).joined(separator: ".")
        }
    }

    /// What peft matches rank and α patterns with.
    static func patternName(_ site: LinearModule, isMixture: Bool) -> String {
        isMixture && !isModule(site) ? parameter(site) : site.path
    }

    static func matches(_ path: String, _ name: String) -> Bool { path == name || path.hasSuffix(".\(name)") }

    /// The last path components, each once, in the order of the blocks.
    private static func lastNames(_ modules: [LinearModule]) -> [String] {
        var names: [String] = []
        for module in modules {
            let name = String(module.path.split(separator: ".").last ?? "")
            if !names.contains(name) { names.append(name) }
        }
        return names
    }
}
