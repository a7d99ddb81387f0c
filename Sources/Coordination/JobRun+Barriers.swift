import Collectives
import Recipes
package import Terms
import Wire

extension JobRun {
    /// The first step after `step` behind which something else is due.
    func nextBarrier(after step: Step) -> Step {
        func multiple(_ every: Int) -> Step { every > 0 ? (step / every + 1) * every : Int.max }
        var barrier = min(endStep, multiple(description.saveSteps))
        if let trunkStep, trunkStep > step { barrier = min(barrier, trunkStep) }
        if description.evaluationSequences > 0 { barrier = min(barrier, multiple(description.evaluationSteps)) }
        return barrier
    }

    private func evaluationIsDue(at step: Step) -> Bool {
        guard description.evaluationSequences > 0, evaluatedAt != step, step == committed else { return false }
        if step == 0 { return description.evaluatesFirst }
        return step == endStep
            || (description.evaluationSteps > 0 && step % description.evaluationSteps == 0)
    }

    private func saveIsDue(at step: Step, _ now: Instant, empties: Bool) -> SaveReason? {
        guard saving?.step != step else { return nil }
        // One that was lost is made again, though steps beyond it count already.
        if step == trunkStep, trunk != step, step > 0 { return .trunk }
        guard step == committed else { return nil }
        if step == endStep, step > 0, saved != step || savedFor != .final,
            bug != .doneBeforeCheckpoint
        {
            return .final
        }
        // What somebody asked for is kept, also when the job rests afterwards.
        let isKept = saved == step && [.user, .final, .trunk].contains(savedFor)
        if wantsPause, wantsSave == .user, step > 0, !isKept { return .user }
        guard saved != step else { return nil }
        if wantsPause { return .pause }
        if let wantsSave { return wantsSave }
        guard step > 0 else { return nil }
        if empties || measuresSave(now) { return .periodic }
        guard !endIsNear(after: step) else { return nil }
        if securesLeave(now) { return .periodic }
        if description.saveSteps > 0, step % description.saveSteps == 0 { return .periodic }
        if intervalIsOver(now) { return .periodic }
        return nil
    }

    private func intervalIsOver(_ now: Instant) -> Bool {
        saveInterval.map { now - lastSaveAt >= $0 } ?? false
    }

    /// True when members leave and no checkpoint was made for that yet: each that goes is one less that has the state.
    /// They stay for it, so it must not take longer than they can.
    private func securesLeave(_ now: Instant) -> Bool {
        guard saving == nil, let leavingSince, lastSaveAt < leavingSince else { return false }
        return now - lastSaveAt >= Self.leavePause && saveEstimate < Self.leavePatience
    }

    /// Between the last checkpoint and one that is made because members leave, at least.
    static let leavePause = Span.seconds(10)
    /// Milliseconds of a checkpoint for which somebody who leaves is kept, at most: machines are taken back within half
    /// a minute.
    static let leavePatience = 15_000.0

    /// Between two checkpoints by time; nil = only steps count.
    var saveInterval: Span? {
        if description.savesByCost {
            return Self.interval(cost: pace.saveCost, ran: meter.wall, failures)
        }
        return description.saveMilliseconds > 0 ? .milliseconds(Int64(description.saveMilliseconds)) : nil
    }

    /// √(2·C·μ) for a save that costs C of training and a mean time μ between failures (Young 1974; Daly 2006, §2),
    /// which begins at a day; at least 10 s, at most an hour, but never less than 50·C: saving costs at most 2 %.
    package static func interval(cost: Int64, ran: Span, _ failures: Int) -> Span {
        let meanLife = (ran.seconds + 86_400) / Double(failures + 1)
        let cost = Double(max(1, cost)) / 1000
        let seconds = min(max((2 * cost * meanLife).squareRoot(), 10), 3600)
        return .milliseconds(Int64(max(seconds, 50 * cost) * 1000))
    }

    /// The running job's next move: barriers first, then a waiting worker, then more leases.
    mutating func proceed(
        _ crew: Crew, _ times: CoordinatorTimes, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        let leaving = leavers(crew)
        leavingSince = leaving > 0 ? leavingSince ?? now : nil
        // Without enough members for another generation the progress goes into a checkpoint first.
        let empties = leaving > 0 && members.count - leaving < description.memberMinimum
        let joins = saving == nil && now - generationOpenedAt >= times.joinPause && hasNewcomer(crew)
        let isUneven = saving == nil && isUneven(crew, now)
        let changes = joins || isUneven || (leaving > 0 && saving == nil)
        let stands = applied == leased
        if stands {
            // Nobody who wants a pause waits for an evaluation: it is made anew afterwards.
            if wantsPause { evaluation = nil }
            guard evaluation == nil else { return }
            if applied == saved, wantsSave != .user || savedFor == .user || savedFor == .final { wantsSave = nil }
            if applied == 0 { wantsSave = nil }
            if !wantsPause, evaluationIsDue(at: applied) { return orderEvaluation(now, &output) }
            if let reason = saveIsDue(at: applied, now, empties: empties) {
                // Never two at once: the one that is being written comes first.
                guard saving == nil else { return }
                if now >= saveAgainAt {
                    orderSave(reason, isLast: empties, now, &output)
                    // Each member takes its copy before the step that is leased with it: nobody waits for the others'.
                    if !wantsPause, !empties { lease(now, &output) }
                    return
                }
                // After a failure training goes on until the next attempt, unless the job ends here.
                guard reason == .periodic || reason == .user, !empties else { return }
            } else {
                if wantsPause { return finishPause(&output) }
                if applied >= endStep { return finish(&output) }
            }
            if empties, saving != nil { return }
            // Whoever is behind would have to heal: the change waits until all have applied what was leased.
            if changes {
                guard members.allSatisfy({ $0.step == applied }) else { return }
                if isUneven { noteRebalancing(now) }
                return interrupt(now, &output)
            }
        }
        // What waits for a standstill gets one: leases run out instead of being extended.
        let isAwaited =
            changes || empties || wantsPause
            || ((wantsSave != nil || intervalIsOver(now) || measuresSave(now)) && saving == nil && now >= saveAgainAt)
        if stands || !isAwaited { lease(now, &output) }
    }

    /// Whether a loaded worker waits for a place in the generation.
    private func hasNewcomer(_ crew: Crew) -> Bool {
        members.count < description.memberLimit
            && crew.indices.contains { place in
                crew[place].load == .loaded && !crew[place].isWithdrawn && !isMember(crew[place].id)
            }
    }

    /// Members that the job lets go.
    private func leavers(_ crew: Crew) -> Int {
        crew.indices.count { crew[$0].isWithdrawn && isMember(crew[$0].id) }
    }

    private mutating func finishPause(_ output: inout CoordinatorOutput) {
        guard saving == nil else { return }
        rest(.paused, reason: "paused at step \(applied)", &output)
    }

    private mutating func finish(_ output: inout CoordinatorOutput) {
        guard saving == nil, saved == applied || applied == 0 || bug == .doneBeforeCheckpoint else { return }
        if applied < plannedSteps, let event = plan.last, let limit = event.limit {
            let way = event.trunk < event.end ? "" : ", without an anneal"
            let end = "the limit of \(limit) is reached after step \(applied)\(way)"
            rest(.budgetExhausted, reason: applied == 0 ? "held: \(shortage(limit))" : end, &output)
        } else {
            rest(.done, reason: "all \(applied) steps are done", &output)
        }
    }

    private mutating func orderEvaluation(_ now: Instant, _ output: inout CoordinatorOutput) {
        let intervals = Partition.intervals(
            shards: description.evaluationShards, rates: shardsPerMember.map { Double(max(1, $0)) })
        let orders = intervals.map {
            EvaluationOrder(job: id, generation: generation, step: UInt64(applied), shards: $0)
        }
        postOverhead(&output)
        evaluationOrderedAt = now
        evaluation = EvaluationRun(step: applied, orders: orders, results: Array(repeating: nil, count: members.count))
        for (member, order) in zip(members, orders) { output.sends.append((member.session, .evaluate(order))) }
    }

    mutating func evaluated(
        _ result: EvaluationResult, from session: SessionID, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard phase == .running, result.order.generation == generation, var run = evaluation,
            let rank = members.firstIndex(where: { $0.session == session }), result.order == run.orders[rank],
            result.lossSums.count == result.order.shards.count, result.tokens.count == result.lossSums.count
        else { return }
        run.results[rank] = result
        evaluation = run
        let results = run.results.compactMap(\.self)
        guard results.count == members.count else { return }
        let lossSum = Self.fold(results.flatMap(\.lossSums))
        let tokens = Int(clamping: results.flatMap(\.tokens).reduce(0, &+))
        evaluation = nil
        evaluatedAt = run.step
        pace.evaluationMilliseconds = (now - evaluationOrderedAt).nanoseconds / 1_000_000
        postOverhead(&output)
        output.journal.append(.evaluated(id, step: run.step, lossSum: lossSum, tokens: tokens))
        output.notices.append(
            .evaluated(id, step: run.step, loss: tokens > 0 ? lossSum / Double(tokens) : 0, tokens: tokens))
    }

    /// Adds the shards' sums in the order of the reduction tree, in fp64 (design §4.1, rule 8).
    static func fold(_ leaves: [Double]) -> Double {
        func value(_ node: ShardRange) -> Double {
            if node.count == 1 { return leaves[node.lower] }
            let middle = ShardTree.split(node)
            return value(ShardRange(node.lower, middle)) + value(ShardRange(middle, node.upper))
        }
        return leaves.isEmpty ? 0 : value(ShardRange(0, leaves.count))
    }

    /// Orders a checkpoint; `isLast`: the job stands still afterwards.
    private mutating func orderSave(
        _ reason: SaveReason, isLast: Bool, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        saveAttempts += 1
        let isReadBack =
            reason != .periodic || isLast || measuresSave(now) || now - lastReadBackAt >= Self.readBackPause
            || description.parameters <= Self.alwaysReadBack
        saving = SaveRun(
            step: applied, attempt: saveAttempts, reason: reason, isReadBack: isReadBack,
            copied: Array(repeating: false, count: members.count))
        wantsSave = nil
        lastSaveAt = now
        savedBesideStep = true
        postOverhead(&output)
        output.commands.append(
            .collect(
                id, step: applied, attempt: saveAttempts, kind: reason,
                digest: digests[bug == .mixedCheckpoint ? applied / 2 : applied],
                isReadBack: isReadBack && bug != .lastCheckpointSampled))
        let slices = Partition.slices(parameters: description.parameters, members: members.count)
        for (rank, member) in members.enumerated() {
            let order = SaveOrder(
                job: id, generation: generation, step: UInt64(applied), attempt: saveAttempts,
                range: UInt64(slices[rank].lowerBound)..<UInt64(slices[rank].upperBound), isReadBack: isReadBack)
            output.sends.append((member.session, .save(order)))
        }
    }

    mutating func snapshotTaken(
        _ order: SaveOrder, from session: SessionID, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard saving?.attempt == order.attempt, let rank = members.firstIndex(where: { $0.session == session }) else {
            return
        }
        saving?.copied[rank] = true
        // Until its report a member was still at work.
        let halt = now - max(lastSaveAt, members[rank].reportedAt)
        if let longest = saving?.halt, halt > longest { saving?.halt = halt }
        if saving?.isCopied == true {
            if bug == .savedBeforeWritten {
                published(step: Step(clamping: order.step), attempt: order.attempt, now, &output)
            }
        }
    }

    /// A member's update waited for the checkpoint behind which it comes; nobody is believed to have waited longer than
    /// the checkpoint lasts.
    mutating func noteStalled(_ report: StepReport, _ now: Instant) {
        guard let run = saving, Step(clamping: report.position.step) == run.step + 1 else { return }
        let most = UInt64(max(0, (now - lastSaveAt).nanoseconds / 1000))
        let wait = Span(nanoseconds: Int64(min(report.stalledMicroseconds, most)) * 1000)
        saving?.wait = max(run.wait, wait)
    }

    /// A checkpoint exists. That is a fact even when its save was given up meanwhile: older ones may be gone for it.
    mutating func published(step: Step, attempt: UInt32, _ now: Instant, _ output: inout CoordinatorOutput) {
        let run = saving?.attempt == attempt && saving?.step == step ? saving : nil
        if let run {
            saving = nil
            savedBesideStep = true
            failedSaves = 0
            if run.isReadBack { lastReadBackAt = lastSaveAt }
            noteDuration(of: run, (now - lastSaveAt).nanoseconds / 1_000_000)
            pace.stallMilliseconds = (run.halt + run.wait).nanoseconds / 1_000_000
            if applied == step { postOverhead(&output) }
        }
        if run?.reason == .trunk, trunk != step {
            trunk = step
            output.journal.append(.trunk(id, step))
        }
        if step <= committed { cover(step, &output) }
        guard step >= saved, step <= committed, step > saved || run != nil else { return }
        saved = step
        savedFor = run?.reason
        if bug != .checkpointNotJournalled { output.journal.append(.published(id, step: step)) }
        output.notices.append(
            .saved(
                id, step: step, kind: run?.reason ?? .periodic,
                stall: run.map { $0.halt + $0.wait },
                total: run.map { _ in now - lastSaveAt }))
    }

    /// Plans count with checkpoints that are read back whole, as the last ones are; the others are quicker.
    private mutating func noteDuration(of run: SaveRun, _ milliseconds: Int64) {
        if run.isReadBack {
            pace.saveMilliseconds = milliseconds
        } else {
            pace.saveMilliseconds = max(pace.saveMilliseconds ?? 0, milliseconds * 3 / 2)
        }
    }

    /// Whether the checkpoint of this attempt is still waited for.
    package func awaits(checkpoint attempt: UInt32) -> Bool { saving?.attempt == attempt }

    mutating func publishFailed(
        step: Step, attempt: UInt32, problem: String, _ now: Instant, _ output: inout CoordinatorOutput
    ) {
        guard let run = saving, run.attempt == attempt else { return }
        saving = nil
        savedBesideStep = true
        failedSaves += 1
        wantsSave = run.reason
        saveAgainAt = now + Self.savePause * Int64(failedSaves)
        if bug != .failedSaveNotTold { output.notices.append(.saveFailed(id, step: step, problem: problem)) }
        if failedSaves >= 3, state == .running {
            rest(.paused, reason: "no checkpoint could be written three times in a row: \(problem)", &output)
        }
    }

    /// After so long a periodic checkpoint is read back whole, which costs training as much as a third of the save; of
    /// those in between a sample is.
    private static let readBackPause = Span.seconds(300)
    /// The checkpoints of so few parameters are always read back whole.
    private static let alwaysReadBack = 4 << 20

    /// Between a failed checkpoint and the next attempt, times the failures so far.
    private static let savePause = Span.seconds(2)
}
