import Budgeting
package import Coordination
import Recipes
package import Terms

// MARK: Jobs that begin with another job's checkpoint
extension SimulatedCluster {
    /// Draws a job that begins with a checkpoint of another one, and submits it; an ordinary job when there is none.
    func submitBranch() {
        var origins: [(place: Int, checkpoint: SimulatedCheckpoint)] = []
        for record in head.records {
            let reference = references[record.reference]
            for checkpoint in record.checkpoints where checkpoint.digest == reference.digest(checkpoint.step) {
                origins.append((record.reference, checkpoint))
            }
        }
        guard !origins.isEmpty else { return submitNew() }
        let origin = dice.pick(origins)
        let step = origin.checkpoint.step
        let past = references[origin.place]
        var description = drawDescription()
        description.parameters = past.description.parameters
        description.totalSequences += step * description.globalBatch
        let branch = JobDescription.Branch(
            step: step, tokens: past.tokens(after: step), digest: origin.checkpoint.digest)
        description.branch = branch
        // What is behind it counts; a client is told of limits that do not even allow that.
        let isTight = dice.chance(100)
        description.stepLimit = description.stepLimit.map { isTight ? step : $0 + step }
        description.tokenLimit = description.tokenLimit.map { isTight ? max(1, branch.tokens) : $0 + branch.tokens }
        if !projectLimits.isUnlimited, dice.chance(500) { description.project = Self.project }
        tell("a job begins with job \(origin.place)'s checkpoint of step \(step)")
        submit(addReference(description))
    }

    /// Submits a job now that begins with the newest checkpoint of another one; returns its number.
    package func submit(_ description: JobDescription, branchingFrom job: JobID) -> JobID {
        guard let place = record(job), let newest = head.records[place].checkpoints.last else {
            return submit(description)
        }
        var description = description
        let past = references[head.records[place].reference]
        description.branch = .init(step: newest.step, tokens: past.tokens(after: newest.step), digest: newest.digest)
        return submit(description)
    }

    /// The store of a new job holds the checkpoint that it begins with.
    func plant(_ branch: JobDescription.Branch, _ place: Int) {
        head.records[place].checkpoints = [
            SimulatedCheckpoint(
                step: branch.step, digest: branch.digest, kind: .trunk, isVerified: true, sequence: 0,
                epoch: Int(head.epoch), restores: [])
        ]
        head.records[place].objects = objects(of: branch.digest, head.records[place])
        // Nobody issues again what another run took.
        head.records[place].recipes = Array(repeating: [], count: branch.step)
        head.records[place].committed = branch.step
        head.records[place].furthest = branch.step
    }
}

// MARK: Changed run keys
extension SimulatedCluster {
    /// An operator changes run keys of a job at rest, budget limits among them, and sets it going again.
    func amend(_ id: JobID) {
        guard head.core != nil, head.stalledUntil <= now, !head.isOldBackup, let place = record(id),
            let run = head.core?.job(id), run.state.isAtRest, run.state != .cancelled, run.state != .done
        else { return }
        let reference = references[head.records[place].reference]
        var wanted = reference.description
        drawRunKeys(&wanted)
        let units = BudgetUnit.allCases.filter { _ in dice.chance(250) }
        for unit in units { amendLimit(unit, of: run, &wanted.budget) }
        var expected = run.limits
        for unit in units { expected[unit] = wanted.budget[unit] }
        if units.contains(.money) { expected.currency = wanted.budget.currency ?? expected.currency }
        guard rates.fault(with: expected) == nil else { return }
        var description = run.description
        description.takeRunKeys(of: wanted)
        description.budget = wanted.budget
        trace.note(now, what: 19, whom: Int(id.number))
        tell("operator: other run keys for job \(id), limits of \(units.map(\.key))")
        head.records[place].grants += 1
        do throws(LedgerRefusal) {
            guard let output = try head.core?.amend(id, to: description, limiting: units) else { return }
            carryOut(output)
        } catch { return fail(.b9, "job \(id) is refused the limits of \(units.map(\.key)): \(error)") }
        guard let amended = head.core?.job(id) else { return }
        if amended.limits != expected {
            fail(.b9, "job \(id): other limits than those that were named have changed with its run keys")
        }
        head.core?.attach(reference.job.plan.index, to: id)
        order(dice.chance(800) ? .resume : .resumeAnnealed, id)
    }

    /// Draws what may change of a job at rest, and what never changes its result.
    func drawRunKeys(_ description: inout JobDescription) {
        let least = dice.within(1...min(3, description.virtualShards))
        (description.workersMin, description.workersMax) = (least, dice.within(least...description.virtualShards))
        description.priority = dice.within(40...60)
        description.saveSteps = dice.pick([0, 0, 1, 2, 3, 5, 10])
        description.saveMilliseconds = dice.pick([0, 0, 1000, 5000])
        description.savesByCost = dice.chance(200)
        description.saveTotalLimit = dice.pick([1, 2, 3, 5])
        description.keepEvery = dice.pick([0, 0, 3, 4])
        description.evaluationSteps = dice.pick([0, 2, 5])
        description.evaluatesFirst = dice.chance(700)
        description.loggingSteps = dice.within(1...5)
    }

    /// Draws another limit of a unit: none, or one around what is spent.
    private func amendLimit(_ unit: BudgetUnit, of run: JobRun, _ budget: inout Budget) {
        let spent = run.ledger?.spent[unit] ?? 0
        let isNone = dice.chance(300)
        let least = max(1, spent / 2)
        budget[unit] = isNone ? nil : Int64(dice.within(Int(least)...Int(2 * spent + 20)))
        if unit == .money, !isNone { budget.currency = rates.currency }
    }

    /// Invariant: of a job that was submitted only run keys ever change.
    func checkAmended(_ run: JobRun, _ record: inout SimulatedCoordinator.JobRecord) {
        var same = references[record.reference].description
        same.takeRunKeys(of: run.description)
        same.budget = run.description.budget
        if same != run.description { fail(.b10, "job \(run.id): a key that decides its result has changed") }
        record.keys = run.description
    }
}
