package import Terms

/// What retention knows of one published checkpoint.
package struct RetentionCandidate: Sendable, Equatable {
    /// Whether the checkpoint's bytes are known to be right.
    package enum Health: Sendable, Equatable {
        /// Every object was hashed and found right since it was published.
        case verified
        /// Every object was hashed before it was written, and one in twenty was read back from the disk.
        case sampled
        /// Not looked at yet.
        case unknown
        /// Found wrong.
        case damaged

        /// Whether an older checkpoint may go for one of this health.
        var isChecked: Bool { self == .verified || self == .sampled }
    }

    package var name: ManifestName
    package var step: Step
    /// Order of publication within the run.
    package var sequence: Int
    package var kind: Manifest.Kind
    package var lineage: Manifest.Lineage
    package var health: Health
    /// Pinned by an operator.
    package var isPinned: Bool
    /// Given back by an operator: its kind alone does not keep it, unless nobody may give back one of that kind.
    package var isReleased: Bool
    /// The evaluation loss at this step, lower is better; nil or not-a-number when unknown.
    package var evaluationLoss: Double?

    package init(
        name: ManifestName, step: Step, sequence: Int, kind: Manifest.Kind, lineage: Manifest.Lineage = .init(),
        health: Health, isPinned: Bool = false, isReleased: Bool = false, evaluationLoss: Double? = nil
    ) {
        self.name = name
        self.step = step
        self.sequence = sequence
        self.kind = kind
        self.lineage = lineage
        self.health = health
        self.isPinned = isPinned
        self.isReleased = isReleased
        self.evaluationLoss = evaluationLoss
    }

    /// The candidate that a published manifest is, with what operators said of it.
    package init(_ manifest: Manifest, name: ManifestName, health: Health, pins: PinList) {
        self.init(
            name: name, step: manifest.step, sequence: manifest.sequence, kind: manifest.kind,
            lineage: manifest.lineage, health: health, isPinned: pins.contains(name),
            isReleased: pins.released.contains(name), evaluationLoss: manifest.evaluationLoss)
    }
}

/// Why a checkpoint stays or goes.
package enum RetentionReason: Sendable, Equatable, CustomStringConvertible {
    case newest
    case pinned
    case kind(Manifest.Kind)
    /// Among the last `of` of its line.
    case recent(of: Int)
    /// Its step is a multiple of `every`.
    case milestone(every: Int)
    /// Among the `of` lowest evaluation losses.
    case best(of: Int)
    /// The newest that is known to be right.
    case lastVerified
    /// One of the two newest of which at least a sample was found right.
    case lastChecked
    /// Nothing newer of its line was looked at yet.
    case noNewerChecked
    /// Found wrong; kept until somebody has looked at it.
    case damaged
    /// Older than what is kept.
    case expired
    /// On a line that training has left.
    case superseded

    package var description: String {
        switch self {
        case .newest: "newest"
        case .pinned: "pinned"
        case .kind(let kind): "\(kind.rawValue) checkpoint"
        case .recent(let count): "among the last \(count)"
        case .milestone(let steps): "every \(steps) steps"
        case .best(let count): "among the best \(count)"
        case .lastVerified: "the last verified one"
        case .lastChecked: "one of the last two checked"
        case .noNewerChecked: "nothing newer is checked yet"
        case .damaged: "damaged, kept for inspection"
        case .expired: "expired"
        case .superseded: "on a line that training has left"
        }
    }
}

/// Which checkpoints to keep.
///
/// Selection goes by line and order of publication, never by step number or file time; a checkpoint goes only when a
/// newer one of the line was checked, and the two newest checked ones and the newest verified one never go.
package struct RetentionPolicy: Sendable, Equatable {
    /// One checkpoint's fate.
    package struct Decision: Sendable, Equatable {
        package var name: ManifestName
        /// True = stays.
        package var keeps: Bool
        package var reason: RetentionReason

        package init(name: ManifestName, keeps: Bool, reason: RetentionReason) {
            self.name = name
            self.keeps = keeps
            self.reason = reason
        }
    }

    /// How many of the newest stay, at least 2: the very last may be the one that turns out to be wrong.
    package let last: Int
    /// Every multiple of so many steps stays; nil = none.
    package let every: Int?
    /// How many with the lowest evaluation loss stay.
    package let best: Int

    /// `last` below 2 counts as 2, `every` below 1 as none, `best` below 0 as 0.
    package init(last: Int, every: Int? = nil, best: Int = 0) {
        self.last = max(2, last)
        self.every = every.flatMap { $0 > 0 ? $0 : nil }
        self.best = max(0, best)
    }

    /// The fate of every candidate of one run, newest first.
    package func decide(_ candidates: [RetentionCandidate]) -> [Decision] {
        let ordered = candidates.sorted {
            ($0.name.epoch, $0.sequence, $0.name) > ($1.name.epoch, $1.sequence, $1.name)
        }
        guard let newest = ordered.first(where: { $0.health != .damaged }) else {
            return ordered.map { Decision(name: $0.name, keeps: true, reason: .damaged) }
        }
        let line = ordered.filter {
            $0.health != .damaged
                && ($0.name == newest.name || newest.lineage.contains(sequence: $0.sequence, step: $0.step))
        }
        let onLine = Set(line.map(\.name))
        let recent = Set(line.prefix(last).map(\.name))
        let verified = line.first { $0.health == .verified }
        let checked = line.filter(\.health.isChecked)
        let lastChecked = Set(checked.prefix(2).map(\.name))
        let bestNames = Set(Self.best(line, count: best).map(\.name))

        return ordered.map { candidate in
            func keep(_ reason: RetentionReason) -> Decision {
                Decision(name: candidate.name, keeps: true, reason: reason)
            }
            if candidate.health == .damaged { return keep(.damaged) }
            if candidate.name == newest.name { return keep(.newest) }
            if candidate.isPinned { return keep(.pinned) }
            if candidate.kind.isPinned(isReleased: candidate.isReleased) { return keep(.kind(candidate.kind)) }
            if lastChecked.contains(candidate.name) { return keep(.lastChecked) }
            if candidate.name == verified?.name { return keep(.lastVerified) }
            guard let proof = checked.first,
                proof.sequence > candidate.sequence || proof.name.epoch > candidate.name.epoch
            else { return keep(.noNewerChecked) }
            guard onLine.contains(candidate.name) else {
                return Decision(name: candidate.name, keeps: false, reason: .superseded)
            }
            if recent.contains(candidate.name) { return keep(.recent(of: last)) }
            if bestNames.contains(candidate.name) { return keep(.best(of: best)) }
            if let every, candidate.step % every == 0 { return keep(.milestone(every: every)) }
            return Decision(name: candidate.name, keeps: false, reason: .expired)
        }
    }

    /// The `count` lowest losses; of equal ones the newer.
    private static func best(_ line: [RetentionCandidate], count: Int) -> [RetentionCandidate] {
        let measured = line.filter { $0.evaluationLoss.map { !$0.isNaN } ?? false }
        return measured.enumerated().sorted { left, right in
            let (a, b) = (left.element.evaluationLoss ?? 0, right.element.evaluationLoss ?? 0)
            return a == b ? left.offset < right.offset : a < b
        }.prefix(count).map(\.element)
    }
}
