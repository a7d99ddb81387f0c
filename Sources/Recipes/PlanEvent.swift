package import Terms

/// A recorded decision on where a job ends and how its learning rate gets there.
///
/// Made from measured cost, but learning rates depend on the record only: the same events give the same rates at the
/// same steps, whenever and wherever they are replayed (design §4.1, rule 13).
package struct PlanEvent: Sendable, Equatable {
    /// What gave occasion to plan.
    package enum Cause: String, Sendable, CaseIterable {
        case start, warning, topup, limit
        case operatorOrder = "operator"
    }

    /// Rules the steps beyond this one; no step beyond it had been leased.
    package var after: Step
    package var cause: Cause
    /// The job ends after this step.
    package var end: Step
    /// The state after this step is kept, pinned, to go on from when more is granted; `end` = none is kept.
    package var trunk: Step
    /// Steps done when the anneal begins; without anneal `end`.
    package var annealStart: Step
    /// Steps that the anneal takes; 0 = none.
    package var annealSteps: Int
    /// The budget's limit that ends the job before its own length, nil = none does.
    package var limit: String?

    package init(
        after: Step, cause: Cause, end: Step, trunk: Step? = nil, annealStart: Step? = nil, annealSteps: Int = 0,
        limit: String? = nil
    ) {
        self.after = after
        self.cause = cause
        self.end = end
        self.trunk = trunk ?? end
        self.annealStart = annealStart ?? end
        self.annealSteps = annealSteps
        self.limit = limit
    }

    /// False for what no planner ever decides: an end before it takes effect, an anneal outside of what it rules.
    package var isWellFormed: Bool {
        after >= 0 && end >= after && end <= 1 << 48 && (0...end).contains(trunk) && annealSteps >= 0
            && annealStart >= 0 && annealStart <= end && annealSteps <= end - annealStart
    }
}

extension PlanEvent {
    /// One object of a plan log.
    package var json: JSONValue {
        .members([
            "after": .int(after), "cause": .string(cause.rawValue), "end": .int(end), "trunk": .int(trunk),
            "anneal_start": .int(annealStart), "anneal_steps": .int(annealSteps),
            "limit": limit.map(JSONValue.string) ?? .null,
        ])
    }

    /// Reads what `json` gives; nil for anything else.
    package init?(_ json: JSONValue) {
        guard let after = json["after"]?.int, let cause = json["cause"]?.string.flatMap(Cause.init(rawValue:)),
            let end = json["end"]?.int, let trunk = json["trunk"]?.int, let annealStart = json["anneal_start"]?.int,
            let annealSteps = json["anneal_steps"]?.int
        else { return nil }
        let limit = json["limit"].flatMap { $0.isNull ? nil : $0.string }
        self.init(
            after: after, cause: cause, end: end, trunk: trunk, annealStart: annealStart, annealSteps: annealSteps,
            limit: limit)
        guard isWellFormed else { return nil }
    }
}
