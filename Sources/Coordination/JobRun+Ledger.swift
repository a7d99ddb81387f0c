package import Budgeting
import Hashing
import Recipes
import Terms
import Wire

/// The job's account: what leases reserve, what steps cost, what was spent beside them. Every line is journalled in the
/// same transaction as what it is about.
extension JobRun {
    /// The limits in force.
    package var limits: Budget { ledger?.budget ?? description.budget }

    /// Begins the account, when there is none yet; a branch brings its past along.
    mutating func openLedger(_ output: inout CoordinatorOutput) {
        guard ledger == nil else { return }
        var opened = Ledger(description.budget, at: clock)
        seal(&opened, &output)
        ledger = opened
        if committed > 0, bug != .pastNotInherited {
            post(.inherited(position: committed, costs: exactCosts(through: committed)), &output)
        }
    }

    /// Steps and tokens of the lineage up to `step`.
    private func exactCosts(through step: Step) -> Costs {
        Costs(tokens: Int64(tokens(after: step)), steps: Int64(step))
    }

    /// Writes a line; nil = it is written, else why not, and nothing has changed.
    @discardableResult
    mutating func post(_ event: LedgerEvent, _ output: inout CoordinatorOutput) -> LedgerRefusal? {
        guard var changed = ledger else { return .hasPast }
        if let refusal = changed.apply(event, at: clock) { return refusal }
        seal(&changed, &output)
        ledger = changed
        if case .limited = event { hasOtherLimits = true }
        return nil
    }

    private func seal(_ ledger: inout Ledger, _ output: inout CoordinatorOutput) {
        for (entry, digest) in ledger.seal({ Digest.sha256(of: $0) }) {
            let link = bug == .chainNotContinued ? Digest.sha256(of: entry.bytes) : digest
            output.journal.append(.ledger(id, entry, link))
        }
        ledger.forget()
    }

    /// Takes in a line of the journal; the line, and its digest, must follow from those before.
    mutating func restore(_ entry: LedgerEntry, _ digest: Digest) throws(DescriptionError) {
        func fault() -> DescriptionError {
            DescriptionError(
                problem: "entry \(entry.sequence) of job \(id)'s ledger does not follow from those before it")
        }
        if ledger == nil {
            guard case .limited(let budget) = entry.event else { throw fault() }
            ledger = Ledger(budget, at: entry.at)
        } else {
            guard ledger?.apply(entry.event, at: entry.at) == nil else { throw fault() }
            if case .limited = entry.event { hasOtherLimits = true }
        }
        guard let sealed = ledger?.seal({ Digest.sha256(of: $0) }), sealed.count == 1, sealed[0].entry == entry,
            sealed[0].digest == digest
        else { throw fault() }
        ledger?.forget()
        if case .reserved(let number, _, _, _) = entry.event { nextLease = max(nextLease, number + 1) }
        meter = Meter(spent: ledger?.spent ?? .zero)
    }

    // MARK: Measured costs

    /// What was used and is not in the ledger yet.
    var unposted: Costs {
        guard let spent = ledger?.spent else { return .zero }
        return rates.costs(
            coreTime: max(0, meter.coreMilliseconds - spent.coreTime),
            wallClock: max(0, meter.wallMilliseconds - spent.wallClock),
            energy: max(0, meter.energy.millijoules - spent.energy))
    }

    /// Accounts the time since the last posting as overhead: restoring, evaluating, saving, waiting.
    mutating func postOverhead(_ output: inout CoordinatorOutput) {
        postMethods(&output)
        let costs = unposted
        guard costs != .zero else { return }
        post(.spent(overhead: costs, isEnding: isEnding(committed + 1)), &output)
        warn(&output)
    }

    /// Sets aside what an ending will take, instead of what was set aside before.
    mutating func setAside(_ costs: Costs, _ output: inout CoordinatorOutput) {
        guard let ledger, costs != .zero || ledger.balance(.ending) != .zero else { return }
        post(.endingReserved(costs), &output)
    }

    /// What the job itself has spent: without the past that a branch brought along, which another job paid for.
    package var ownSpent: Costs {
        guard var own = ledger?.spent else { return .zero }
        if let branch = description.branch {
            own.steps = max(0, own.steps - Int64(branch.step))
            own.tokens = max(0, own.tokens - Int64(branch.tokens))
        }
        return own
    }

    /// True for steps that the ending's reserve pays for.
    func isEnding(_ step: Step) -> Bool {
        guard let event = plan.last, event.limit != nil else { return false }
        return step > event.trunk || bug == .endingPaysForAll
    }

    // MARK: Energy

    /// What a member draws, in milliwatts: by its machine's counters, else by the rate card, else like what was
    /// measured so far.
    private func draw(of member: MemberRecord) -> Int64 {
        if let measured = member.milliwatts { return measured }
        if rates.milliwattsPerCore > 0 {
            return min(rates.milliwattsPerCore, 1 << 40) * (bug == .energyOfOneCore ? 1 : Int64(member.threads))
        }
        // Asked at every event: as long as nobody measures, the accounts are not added up.
        guard let ledger, !ledger.energyMethods.isEmpty else { return 0 }
        let spent = ledger.spent
        guard spent.coreTime > 0 else { return 0 }
        return Int64(min(Double(spent.energy) * 1000 / Double(spent.coreTime), 1e12) * Double(member.threads))
    }

    /// What all members draw, in milliwatts; so bounded that an hour of it fits.
    var draw: Int64 { members.reduce(0) { min($0 + draw(of: $1), 1 << 50) } }

    /// A member's machine says what it drew on average since it last said so: until now this was taken to be what it
    /// had been before.
    mutating func noteDraw(_ milliwatts: Int64, of session: SessionID) {
        guard let rank = members.firstIndex(where: { $0.session == session }) else { return }
        let correction = milliwatts - draw(of: members[rank])
        meter.energy.add(milliwatts: correction, for: meter.wall - members[rank].drawnSince)
        members[rank].milliwatts = milliwatts
        members[rank].drawnSince = meter.wall
    }

    /// Writes down when energy is found in another way than the ledger says so far.
    private mutating func postMethods(_ output: inout CoordinatorOutput) {
        guard let ledger else { return }
        let isMeasured = members.contains { $0.milliwatts != nil }
        let isModelled = members.contains { $0.milliwatts == nil && draw(of: $0) > 0 }
        if isMeasured, !ledger.energyMethods.contains(.measured) { post(.metered(.measured), &output) }
        if isModelled, isMeasured || ledger.energyMethods == [.measured] { post(.metered(.modelled), &output) }
    }

    // MARK: Leases

    /// Reserves the worst case of steps that are about to be leased; false when an exact limit forbids them.
    mutating func reserve(_ steps: ClosedRange<Step>, tokens: Int, _ output: inout CoordinatorOutput) -> Bool {
        let count = Int64(steps.upperBound - steps.lowerBound + 1)
        let isEnding = isEnding(steps.lowerBound)
        var cost = worstCosts(steps: count)
        cost.tokens = Int64(tokens)
        cost.steps = count
        if let ledger {
            guard fitsProject(cost, ledger) else { return false }
            // Whether measured units allow a step is decided before; here they are only set aside, as far as they go.
            for unit in BudgetUnit.allCases where !unit.isExact && ledger.budget[unit] != nil {
                let left = ledger.balance(.available)[unit] + (isEnding ? ledger.balance(.ending)[unit] : 0)
                cost[unit] = min(cost[unit], left)
            }
        }
        let number = nextLease
        guard post(.reserved(lease: number, steps: steps, cost: cost, isEnding: isEnding), &output) == nil else {
            return false
        }
        nextLease = number + 1
        return true
    }

    /// Whether the project's exact limits have room for so much more: others may have taken what was planned with, while
    /// this job rested.
    private func fitsProject(_ cost: Costs, _ ledger: Ledger) -> Bool {
        BudgetUnit.allCases.allSatisfy { unit in
            guard unit.isExact, let share = share?[unit], bug != .projectNotAsked else {
                return true
            }
            let inFlight = ledger.leases.reduce(0) { $0 + $1.remaining[unit] }
            return ledger.spent[unit] + inFlight + cost[unit] <= share
        }
    }

    /// Charges a step that is about to count; false when an exact limit forbids it.
    mutating func charge(_ recipe: Recipe, _ output: inout CoordinatorOutput) -> Bool {
        let step = recipe.step
        if ledger?.leases.contains(where: { $0.steps.contains(step) }) != true {
            // It was leased before a rewind, or in an earlier life, and its lease was closed since.
            guard reserve(step...step, tokens: recipe.inputTokens, &output) else { return false }
        }
        guard let lease = ledger?.leases.first(where: { $0.steps.contains(step) }) else { return false }
        postMethods(&output)
        var cost = unposted
        let used = cost
        takeRepeated(from: &cost, lease.number, &output)
        cost.steps = 1
        cost.tokens = Int64(recipe.inputTokens)
        guard post(.charged(lease: lease.number, step: step, cost: cost, overhead: .zero), &output) == nil else {
            return false
        }
        if step == lease.steps.upperBound { post(.closed(lease: lease.number), &output) }
        if phase == .running {
            pace.note(used, total: ledger?.spent ?? .zero)
            pace.noteStep(milliseconds: used.wallClock, besideSave: saving != nil || savedBesideStep)
            savedBesideStep = false
        }
        return true
    }

    /// A member spent time on shards that another one computed as well; nobody is believed to have taken longer than a
    /// shard can take.
    mutating func noteRepeated(_ report: StepReport, threads: Int) {
        let most = UInt64(ShardPace.longest.nanoseconds / 1000)
        repeatedMicroseconds += Int64(min(report.repeatedMicroseconds, most)) * Int64(threads)
    }

    /// Accounts shards that were computed twice as lost, out of what the time of the step costs.
    private mutating func takeRepeated(from cost: inout Costs, _ lease: UInt64, _ output: inout CoordinatorOutput) {
        let milliseconds = min(repeatedMicroseconds / 1000, cost.coreTime)
        guard milliseconds > 0 else { return }
        // What the time costs besides is its part of what all of it costs.
        func part(_ amount: Int64) -> Int64 { Int64(Double(amount) * Double(milliseconds) / Double(cost.coreTime)) }
        let lost = Costs(coreTime: milliseconds, energy: part(cost.energy), money: part(cost.money))
        guard post(.repeated(lease: lease, cost: lost), &output) == nil else { return }
        repeatedMicroseconds -= milliseconds * 1000
        for unit in BudgetUnit.allCases { cost[unit] = max(0, cost[unit] - lost[unit]) }
    }

    /// Gives back what leases have reserved that nobody holds any more.
    mutating func closeLeases(_ output: inout CoordinatorOutput) {
        for lease in ledger?.leases ?? [] where bug != .leasesNotClosed { post(.closed(lease: lease.number), &output) }
    }

    // MARK: Checkpoints and lineage

    /// A checkpoint of `step` exists and was verified.
    mutating func cover(_ step: Step, _ output: inout CoordinatorOutput) {
        guard bug != .riskNotCovered, let ledger, step > 0, step <= ledger.position, ledger.balance(.atRisk).steps > 0
        else { return }
        post(.covered(through: step), &output)
    }

    /// The lineage goes on from `step`, of which there is a checkpoint.
    mutating func rewindLedger(to step: Step, _ output: inout CoordinatorOutput) {
        guard let position = ledger?.position, step < position else { return }
        closeLeases(&output)
        cover(step, &output)
        guard post(.rewound(to: step), &output) != nil else { return }
        // The ledger does not know that boundary: all work counts as lost, the past as brought along.
        post(.rewound(to: 0), &output)
        if step > 0 { post(.inherited(position: step, costs: exactCosts(through: step)), &output) }
    }
}
