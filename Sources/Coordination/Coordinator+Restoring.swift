package import Budgeting
package import Recipes
package import Terms

extension Coordinator {
    /// Replays one journal entry, oldest first, before any event. Entries that no longer decode are the shell's
    /// concern.
    package mutating func restore(_ entry: JournalEntry, at now: Instant) throws(DescriptionError) {
        switch entry {
        case .submitted(let id, let bytes):
            jobs.append(
                JobRun(
                    id: id, description: try JobDescription(decoding: bytes), rates: rates, clockOffset: clockOffset,
                    at: now))
            jobs[jobs.count - 1].bug = bug
        case .amended(let id, let bytes):
            let description = try JobDescription(decoding: bytes)
            update(id) { $0.description = description }
        case .state(let id, let state, let reason):
            update(id) {
                $0.state = state
                $0.reason = reason
            }
        case .generation(let id, let generation):
            update(id) {
                $0.generation = generation
                $0.returns = true
            }
        case .recipe(let id, let step, _): update(id) { $0.issued = max($0.issued, step) }
        case .committed(let id, let step): update(id) { $0.restore(step) }
        case .evaluated(let id, let step, _, _):
            if bug != .evaluationNotReplayed { update(id) { $0.evaluatedAt = step } }
        case .published(let id, let step): update(id) { $0.saved = max($0.saved, step) }
        case .found(let id, let step): update(id) { $0.find(step) }
        case .rewound(let id, let step): update(id) { $0.rewind(to: step) }
        case .profile(let id, let profile): update(id) { $0.profile = profile }
        case .planned(let id, let event): update(id) { $0.note(event) }
        case .ledger(let id, let entry, let digest):
            guard bug != .spentNotReplayed else { break }
            guard let index = place(ofJob: id) else { return }
            try jobs[index].restore(entry, digest)
        case .branched(let id, let step): update(id) { $0.branch(to: step) }
        case .trunk(let id, let step): update(id) { $0.trunk = step }
        case .projectLimited(let name, let budget): limit(project: name, to: budget, warned: nil)
        case .answered(let id, let key, let state): remember(RequestAnswer(key: key, job: id, state: state))
        // It adds nothing: whoever walks the whole journal can hold it against what the core has come to.
        case .snapshot: break
        }
    }

    /// Whether the journal's replay remembers the same answers.
    package func hasSameAnswers(as other: Coordinator) -> Bool {
        answers.count == other.answers.count && answers.last == other.answers.last
    }

    /// The first thing of a job that the journal keeps and on which the two cores differ, by name; nil = they agree.
    ///
    /// Looks in place: this is asked after every event of a simulation, and a copy of a job costs more than the
    /// comparison.
    ///
    /// - Parameter inDetail: the long texts and lists too.
    package func durableDifference(from other: Coordinator, inDetail: Bool) -> (job: JobID, what: String)? {
        jobs.withUnsafeBufferPointer { jobs in
            other.jobs.withUnsafeBufferPointer { others in
                for place in 0..<min(jobs.count, others.count) {
                    let (own, other) = (jobs.baseAddress! + place, others.baseAddress! + place)
                    let what = JobRun.shortDifference(own, other)
                    if let what = what ?? (inDetail ? own.pointee.longDifference(from: other.pointee) : nil) {
                        return (own.pointee.id, what)
                    }
                }
                return nil
            }
        }
    }

    /// The first job whose ledger stands at another step than the job, and where; nil = there is none.
    package var misplacedLedger: (job: JobID, position: Step, committed: Step)? {
        jobs.withUnsafeBufferPointer { jobs in
            for place in jobs.indices {
                let job = jobs.baseAddress! + place
                if let position = job.pointee.ledger?.position, position != job.pointee.committed {
                    return (job.pointee.id, position, job.pointee.committed)
                }
            }
            return nil
        }
    }

    /// Gives a job the lengths of its sequences, which the journal does not hold.
    package mutating func attach(_ index: SequenceIndex, to id: JobID) {
        update(id) {
            var job = Job(description: $0.description, index: index)
            job.learningRate.events = $0.plan
            $0.job = job
        }
    }

    /// Corrects the step of a job's newest checkpoint to what the store really holds.
    package mutating func noteFound(_ step: Step, of id: JobID) -> CoordinatorOutput {
        var output = CoordinatorOutput()
        update(id) { run in
            guard run.saved != step, step <= run.committed, run.bug != .damageOverlooked else { return }
            run.cover(step, &output)
            run.find(step)
            output.journal.append(.found(id, step: step))
        }
        return output
    }

    /// Changes what may change of a job at rest: the caller has checked that only run keys differ.
    ///
    /// Of the budget only `units` take the limits of `description`: what was granted meanwhile stays in force. Throws
    /// why the job's account does not take them; then nothing has changed.
    package mutating func amend(
        _ id: JobID, to description: JobDescription, limiting units: [BudgetUnit]
    ) throws(LedgerRefusal) -> CoordinatorOutput {
        var output = CoordinatorOutput()
        var refusal: LedgerRefusal?
        update(id) { run in
            var (description, limits) = (description, run.bug == .grantForgotten ? description.budget : run.limits)
            for unit in units { limits[unit] = description.budget[unit] }
            if units.contains(.money) { limits.currency = description.budget.currency }
            limits.warnAt = description.budget.warnAt
            let hasOtherLimits = limits != run.limits
            description.budget = limits
            guard run.description != description || hasOtherLimits else { return }
            if hasOtherLimits {
                refusal = run.refusal(of: limits)
                guard refusal == nil else { return }
            }
            run.description = description
            output.journal.append(.amended(id, description: description.encoded()))
            if hasOtherLimits { run.post(.limited(limits), &output) }
        }
        if let refusal { throw refusal }
        return output
    }

    /// Readies an unfinished job to run again after a restart in which no worker survived: from the checkpoint at
    /// `step` (0 = from the start). What was committed beyond it is computed again and must come out the same.
    ///
    /// A checkpoint beyond the journal belongs to a life that this journal does not know; then the start serves. A job
    /// that is over stays so, unless its last checkpoint is lost and may be made again.
    package mutating func rewind(_ id: JobID, to step: Step) -> CoordinatorOutput {
        var output = CoordinatorOutput()
        update(id) { run in
            let step = step <= run.committed ? step : run.description.branch?.step ?? 0
            let isBack = run.committed > step
            if isBack || run.saved != step {
                if run.saved != step { run.cover(step, &output) }
                run.rewindLedger(to: step, &output)
                run.rewind(to: step)
                if run.bug != .rewindNotJournalled { output.journal.append(.rewound(id, to: step)) }
            }
            if isBack { output.notices.append(.rewound(id, to: step)) }
            let isLost = isBack && run.mayRecompute
            if !run.state.isAtRest || run.state == .paused || run.state == .failed || isLost {
                let reason = isLost ? "its last checkpoint is lost" : "resumed"
                run.state = .queued
                run.reason = reason
                run.wasResumed = true
                output.journal.append(.state(id, .queued, reason: reason))
                output.notices.append(.state(id, .queued, reason: "\(reason), going on from step \(step)"))
            }
        }
        return output
    }
}

extension JobRun {
    /// The first thing that the journal keeps and on which the two differ, by name; nil = they agree.
    package func durableDifference(from other: JobRun) -> String? {
        withUnsafePointer(to: self) { own in withUnsafePointer(to: other) { Self.shortDifference(own, $0) } }
            ?? longDifference(from: other)
    }

    fileprivate static func shortDifference(_ own: UnsafePointer<JobRun>, _ other: UnsafePointer<JobRun>) -> String? {
        if own.pointee.id != other.pointee.id { return "number" }
        if own.pointee.state != other.pointee.state || own.pointee.reason != other.pointee.reason { return "state" }
        if own.pointee.generation != other.pointee.generation { return "generation" }
        if own.pointee.committed != other.pointee.committed || own.pointee.tokens != other.pointee.tokens
            || own.pointee.newest != other.pointee.newest
        {
            return "newest step"
        }
        if own.pointee.saved != other.pointee.saved { return "newest checkpoint" }
        if own.pointee.evaluatedAt != other.pointee.evaluatedAt { return "newest evaluation" }
        if own.pointee.digests.count != other.pointee.digests.count
            || own.pointee.digests.last != other.pointee.digests.last
        {
            return "list of digests"
        }
        return own.pointee.history.count == other.pointee.history.count ? nil : "list of tokens"
    }

    /// The long texts and lists.
    fileprivate func longDifference(from other: JobRun) -> String? {
        if digests.prefix(committed + 1) != other.digests.prefix(committed + 1) { return "digest" }
        if history != other.history { return "history" }
        if description != other.description { return "description" }
        if plan != other.plan || issued != other.issued || trunk != other.trunk
            || hasOtherLimits != other.hasOtherLimits
        {
            return "plan"
        }
        if ledger != other.ledger || nextLease != other.nextLease { return "ledger" }
        return nil
    }

    mutating func restore(_ step: CommittedStep) {
        guard step.step == committed + 1 else { return }
        committed = step.step
        tokens += step.inputTokens
        newest = step
        if step.step == digests.count { digests.append(step.digest) }
        history.append(tokens)
    }

    /// Leaves the line beyond `step` for good: what is computed there from now on has another plan.
    mutating func branch(to step: Step) {
        rewind(to: step)
        digests.removeSubrange(min(step + 1, digests.count)...)
        issued = min(issued, step)
        applied = min(applied, step)
        leased = min(leased, step)
    }

    /// Why the account would not take other limits; nil = it would, or there is none yet.
    fileprivate func refusal(of limits: Budget) -> LedgerRefusal? {
        var tried = ledger
        return tried?.apply(.limited(limits), at: clock)
    }

    /// The newest sound checkpoint is of `step`: a trunk beyond it is lost, and made again when the run comes by.
    mutating func find(_ step: Step) {
        saved = step
        if let trunk, trunk > step { self.trunk = nil }
    }

    /// Goes back to the checkpoint of `step`, to compute what lies beyond it again.
    mutating func rewind(to step: Step) {
        find(step)
        guard step < committed else { return }
        tokens = tokens(after: step)
        history.removeSubrange(step...)
        committed = step
        newest = nil
        if let evaluatedAt, evaluatedAt > step { self.evaluatedAt = nil }
    }
}
