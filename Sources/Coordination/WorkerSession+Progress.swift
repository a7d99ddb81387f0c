import Recipes
import Terms
import Wire

/// What the session makes of the progress of local work: loading, healing, steps, evaluation, copies.
extension WorkerSession {
    mutating func progress(_ event: WorkerEvent, _ output: inout WorkerOutput) {
        switch event {
        case .loaded(let id, let parameters, let problem):
            guard job?.id == id else { return }
            job!.isLoaded = problem.isEmpty
            job!.isLoading = false
            output.sends.append(
                .assigned(AssignmentResult(job: id, parameters: UInt64(parameters), problem: problem)))
        case .quiesced(let id, let generation, let held, let tag):
            guard let job, job.id == id, job.generation == generation, !job.isMember else { return }
            heldTag = tag
            output.sends.append(
                .prepared(
                    Standing(
                        job: id, generation: generation, hasState: job.hasState, step: UInt64(job.step),
                        digest: job.digest,
                        reports: job.reports, held: held, heldTag: tag)))
        case .healed(let id, let generation, let digest):
            guard let roster = current(id, generation)?.roster else { return }
            job!.arrive(at: Step(clamping: roster.target), digest: digest)
            output.sends.append(
                .ready(Position(job: id, generation: generation, step: roster.target, digest: digest)))
        case .healFailed(let id, let generation, let problem):
            guard let job = current(id, generation) else { return }
            complain(.digest, problem, job, &output)
        case .failed(let id, let problem):
            guard let job, job.id == id else { return }
            complain(.local, problem, job, &output)
        case .hindered(let id, let problem):
            guard let job, job.id == id, job.isMember else { return }
            complain(.stalled, problem, job, &output)
        default: stepProgress(event, &output)
        }
    }

    private mutating func stepProgress(_ event: WorkerEvent, _ output: inout WorkerOutput) {
        switch event {
        case .computed(let id, let generation, let step, let microseconds, let shards):
            guard current(id, generation)?.work?.recipe.step == step else { return }
            job!.computed(shards, microseconds)
            job!.work!.helpsAt = clock + job!.work!.patience()
        case .begged, .granted, .helped: help(with: event, &output)
        case .nonFinite(let id, let generation, let step, let problem):
            guard let job = current(id, generation), job.work?.recipe.step == step else { return }
            complain(.nonFinite, problem, job, &output)
        case .corrupted(let id, let generation, let step):
            guard let job = current(id, generation), job.work?.recipe.step == step else { return }
            // What is in memory is no state of the job any more.
            self.job!.hasState = false
            complain(
                .memory,
                "the state after step \(job.step) has changed in this worker's memory since it was written: nothing "
                    + "computed from it was sent; if that happens again, test this machine's memory", job, &output)
        case .gathered(let id, let generation, let step, let lossSum):
            guard let job = current(id, generation), job.isMember else { return }
            if job.work?.recipe.step == step {
                self.job!.work!.lossSum = lossSum
            } else {
                self.job!.early = (step, lossSum)
            }
        case .applied(let id, let generation, let step, let digest, let norm, let stalled):
            // An update that ran when the generation ended counts all the same: the state has moved.
            guard job?.id == id, let work = job!.work ?? job!.interrupted, work.recipe.step == step else { return }
            job!.finish(work, generation: generation, digest: digest, norm: norm, stalled: stalled, bug)
            if job!.isMember, let report = job!.reports.last { output.sends.append(.report(report)) }
            output.notices.append(.applied(id, step))
        case .evaluated(let order, let lossSums, let tokens):
            guard current(order.job, order.generation)?.evaluation == order else { return }
            job!.evaluation = nil
            job!.isBusy = false
            output.sends.append(.evaluated(EvaluationResult(order: order, lossSums: lossSums, tokens: tokens)))
        case .copied(let order):
            guard let job = current(order.job, order.generation) else { return }
            self.job!.isBusy = false
            // One that was given up meanwhile: the next is made of the same state.
            guard job.save == order else { return }
            self.job!.save = nil
            self.job!.usesStore = true
            output.sends.append(.snapshotTaken(order))
        default: break
        }
    }

    func current(_ id: JobID, _ generation: Generation) -> Course? {
        job.flatMap { $0.id == id && $0.generation == generation ? $0 : nil }
    }

    mutating func complain(_ kind: Trouble.Kind, _ text: String, _ job: Course, _ output: inout WorkerOutput) {
        output.sends.append(
            .trouble(
                Trouble(
                    job: job.id, generation: job.generation, step: UInt64(job.step + 1), kind: kind, text: text)))
        output.notices.append(.trouble(text))
    }

    /// Starts whatever can start now.
    mutating func proceed(_ output: inout WorkerOutput) {
        guard let job, job.isMember, !job.isBusy, let roster = job.roster else { return }
        if let work = job.work {
            if let waitsUntil = work.waitsUntil, clock >= waitsUntil, roster.members.count > 1 {
                self.job!.work!.isAsking = true
                output.commands.append(
                    .help(
                        job.id, job.generation, work.recipe, shardTime: job.pace.usual ?? .zero,
                        turn: Int(work.vainHelps)))
            }
            guard work.lossSum != nil, !work.isApplying else { return }
            guard work.isComputed, work.targets == 0 else {
                if !work.isAbandoned {
                    output.commands.append(.abandon(job.id, job.generation, step: work.recipe.step))
                }
                self.job!.work!.isAbandoned = true
                return
            }
            self.job!.work!.isApplying = true
            output.commands.append(.apply(job.id, job.generation, work.recipe))
        } else if let order = job.evaluation, Step(clamping: order.step) == job.step {
            self.job!.isBusy = true
            output.commands.append(.evaluate(order))
        } else if let order = job.save, Step(clamping: order.step) == job.step {
            self.job!.isBusy = true
            output.commands.append(.copy(order))
        } else if let recipe = job.recipes.first, recipe.step == job.step + 1 {
            self.job!.recipes.removeFirst()
            self.job!.work = Work(recipe: recipe, tag: recipe.tag)
            if let early = job.early, early.step == recipe.step { self.job!.work!.lossSum = early.lossSum }
            self.job!.early = nil
            let shards =
                bug == .firstSharesForgotten && job.rank == 0
                ? [roster.members[job.rank].shards] : roster.shards(of: job.rank, in: recipe.step)
            output.commands.append(.compute(job.id, job.generation, recipe, shards))
        }
    }
}

extension WorkerSession.Course {
    /// Leaves its generation: nothing leased or ordered counts any more.
    mutating func stand(still generation: Generation, _ bug: PlantedBug? = nil) {
        self.generation = generation
        isMember = false
        // It may run still when the generation after next is announced.
        if let work, work.isApplying, bug != .interruptedUpdateForgotten { interrupted = work }
        work = nil
        early = nil
        recipes = []
        evaluation = nil
        save = nil
        isBusy = false
        usesStore = false
        roster = nil
    }

    /// The own shards of the step are computed, or given up.
    mutating func computed(_ shards: Int, _ microseconds: UInt64) {
        work!.isComputed = true
        work!.microseconds = microseconds
        work!.shards = shards
        let span = Span(nanoseconds: Int64(min(microseconds, 1 << 40)) * 1000)
        guard work!.isAbandoned else { return pace.note(span, shards: shards) }
        // The one that was given up would have taken longer.
        if shards == 1 { pace.note(atLeast: span) }
        let least = (pace.usual ?? span) * Int64(shards)
        work!.microseconds = max(microseconds, UInt64(least.nanoseconds / 1000))
    }

    mutating func arrive(at step: Step, digest: UInt64) {
        if !hasState || self.step != step || self.digest != digest { reports = [] }
        hasState = true
        self.step = step
        self.digest = digest
        isMember = true
        interrupted = nil
    }

    mutating func finish(
        _ work: WorkerSession.Work, generation: Generation, digest: UInt64, norm: Double, stalled: UInt64,
        _ bug: PlantedBug? = nil
    ) {
        step = work.recipe.step
        self.digest = digest
        reports.append(
            StepReport(
                position: Position(job: id, generation: generation, step: UInt64(step), digest: digest),
                recipeTag: work.tag, lossSum: work.lossSum ?? 0, gradientNorm: norm,
                computeMicroseconds: work.microseconds, shardsComputed: UInt32(work.shards),
                repeatedMicroseconds: work.repeated, stalledMicroseconds: stalled))
        if reports.count > WorkerSession.reportsKept, bug != .reportsPileUp { reports.removeFirst() }
        self.work = nil
        interrupted = nil
    }
}
