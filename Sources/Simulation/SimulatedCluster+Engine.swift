import Collectives
import Coordination
import Recipes
import Terms
import Wire

// MARK: The queue of a worker's engine
extension SimulatedCluster {
    func enqueue(_ task: EngineTask, _ worker: SimulatedWorker) {
        worker.tasks.append(task)
        startNextTask(worker)
    }

    func enqueueComputing(
        _ worker: SimulatedWorker, _ id: JobID, _ generation: Generation, _ recipe: Recipe, _ ranges: [ShardRange]
    ) {
        guard let loaded = worker.loaded else { return }
        let tree = references[loaded.job].tree
        let shards = max(1, recipe.shards.count)
        enqueue(
            .compute(
                Computing(
                    id: id, generation: generation, step: recipe.step, tag: references[loaded.job].tag(of: recipe),
                    era: worker.era,
                    load: (recipe.sequenceCount + shards - 1) / shards,
                    targets: ranges.flatMap { tree.maximalNodes(in: $0) }, fold: TreeFold(tree: tree))),
            worker)
    }

    /// Computing that was ordered before ends at the next shard.
    func interrupt(_ worker: SimulatedWorker) {
        worker.era += 1
        guard worker.isRunning, case .compute(var computing) = worker.tasks[0] else { return }
        computing.planned = min(computing.missing.count, computing.place(at: now) + 1)
        goOn(with: computing, worker)
    }

    /// Puts changed computing back in its place; it ends when its planned shards are done.
    func goOn(with computing: Computing, _ worker: SimulatedWorker) {
        worker.tasks[0] = .compute(computing)
        worker.ticket += 1
        let end = computing.startedAt + computing.shardTime * Int64(computing.planned)
        schedule(
            .taskEnds(worker: worker.index, boot: worker.boot, ticket: worker.ticket),
            at: computing.isAbandoned ? now : max(now, end))
    }

    func startNextTask(_ worker: SimulatedWorker) {
        guard !worker.isRunning, let task = worker.tasks.first else { return }
        worker.isRunning = true
        let span: Span
        switch task {
        case .load: span = dice.span(milliseconds: loadMilliseconds)
        case .compute(var computing):
            begin(&computing, worker)
            worker.tasks[0] = .compute(computing)
            span = computing.shardTime * Int64(computing.planned)
        case .apply:
            span = dice.span(milliseconds: 1...30) * Int64(engineScale)
            provoke(worker, with: peers(of: worker), within: span)
        case .evaluate(let order): span = worker.shardTime * Int64(order.shards.count)
        case .copy, .becomeInitial, .finishHealing: span = dice.span(microseconds: 100...9000) * Int64(engineScale)
        case .quiesce: span = .zero
        }
        worker.ticket += 1
        schedule(.taskEnds(worker: worker.index, boot: worker.boot, ticket: worker.ticket), after: span)
    }

    func taskEnds(_ worker: SimulatedWorker, _ boot: Int, _ ticket: Int) {
        guard worker.isAlive, worker.boot == boot, worker.ticket == ticket, worker.isRunning, !worker.tasks.isEmpty
        else { return }
        worker.isRunning = false
        if case .compute(var computing) = worker.tasks[0] {
            if goOn(&computing, worker) {
                worker.tasks[0] = .compute(computing)
                return startNextTask(worker)
            }
            worker.tasks.removeFirst()
        } else {
            finish(worker.tasks.removeFirst(), worker)
        }
        startNextTask(worker)
    }

    func post(_ mail: SimulatedWorker.Mail, _ worker: SimulatedWorker) {
        worker.mail.append(mail)
        if worker.mail.count == 1 {
            schedule(
                .mail(worker: worker.index, boot: worker.boot),
                after: dice.span(microseconds: 1...300) * Int64(mailScale))
        }
    }

    func readMail(_ worker: SimulatedWorker, _ boot: Int) {
        guard worker.isAlive, worker.boot == boot else { return }
        let mail = worker.mail
        worker.mail = []
        for item in mail where worker.isAlive && worker.boot == boot { take(item, worker) }
    }
}

// MARK: Computing
extension SimulatedCluster {
    /// Makes the next target ready: takes what is held of it, and counts what is missing.
    private func begin(_ computing: inout Computing, _ worker: SimulatedWorker) {
        computing.startedAt = now
        computing.planned = 0
        guard computing.era == worker.era, !computing.isAbandoned, computing.next < computing.targets.count,
            let loaded = worker.loaded
        else { return }
        let target = computing.targets[computing.next]
        if computing.next == 0 { computing.begunAt = now }
        computing.fold = TreeFold(tree: references[loaded.job].tree)
        computing.sums = []
        if worker.held.tag == computing.tag {
            for kept in worker.held.sums where target.contains(kept.node) { _ = computing.insert(kept.node, kept.sum) }
            worker.held.sums.removeAll { target.contains($0.node) }
        }
        computing.missing = (target.lower..<target.upper).filter { shard in
            !computing.sums.contains { $0.node.lower <= shard && shard < $0.node.upper }
        }
        computing.planned = computing.missing.count
        let base = worker.shardTime * Int64(max(1, computing.load))
        computing.shardTime = Span(nanoseconds: base.nanoseconds / 2 + Int64(dice.below(Int(base.nanoseconds) + 1)))
        computing.isNonFinite =
            computing.planned > 0 && (worker.poisons > 0 || (!isCalm && dice.chance(plan.nonFinite)))
        if computing.isNonFinite, worker.poisons > 0 { worker.poisons -= 1 }
    }

    /// Ends a target; true when there is another one to compute.
    private func goOn(_ computing: inout Computing, _ worker: SimulatedWorker) -> Bool {
        guard let state = worker.state, state.step == computing.step - 1, let loaded = worker.loaded,
            loaded.id == computing.id
        else {
            if computing.planned > 0, worker.loaded?.id == computing.id {
                fail(
                    .i5,
                    "w\(worker.index) computes step \(computing.step) on a state of step \(worker.state.map { "\($0.step)" } ?? "none")"
                )
            }
            return false
        }
        guard count(computing.planned, of: &computing, state.digest, worker) else { return false }
        if computing.isAbandoned {
            end(computing, worker)
            return false
        }
        let isWhole = computing.next < computing.targets.count && computing.planned == computing.missing.count
        if computing.era != worker.era || computing.isNonFinite {
            // A node that is whole counts even when no more is wanted.
            worker.keep(computing.sums, tag: computing.tag)
            computing.sums = []
            if bug == .nonFiniteSumSent, computing.isNonFinite, computing.next < computing.targets.count {
                let poison = Reference.Sum(value: 0, loss: 0)
                post(
                    .node(
                        computing.targets[computing.next], poison, computing.generation, step: computing.step,
                        tag: computing.tag), worker)
            } else if computing.isNonFinite, computing.era == worker.era {
                faults += 1
                post(
                    .event(
                        .nonFinite(
                            computing.id, computing.generation, step: computing.step, problem: "a loss is not finite")),
                    worker)
            }
            return false
        }
        if isWhole {
            publish(&computing, worker)
            computing.next += 1
        }
        if computing.next < computing.targets.count { return true }
        end(computing, worker)
        return false
    }

    /// Takes the first missing shards of the target in progress as computed.
    func count(_ shards: Int, of computing: inout Computing, _ state: UInt64, _ worker: SimulatedWorker) -> Bool {
        for shard in computing.missing.prefix(shards) {
            let leaf = Reference.leaf(shard, state: state, tag: computing.tag)
            guard computing.insert(ShardRange(shard, shard + 1), leaf) else {
                fail(.i6, "w\(worker.index) computes shard \(shard) of step \(computing.step) twice")
                return false
            }
            computing.shards += 1
            shardsComputed += 1
        }
        computing.spent = computing.spent + computing.shardTime * Int64(min(shards, computing.missing.count))
        return true
    }

    /// Keeps and sends what is added up of the target in progress.
    func publish(_ computing: inout Computing, _ worker: SimulatedWorker) {
        worker.keep(computing.sums, tag: computing.tag)
        for (node, sum) in computing.sums {
            post(.node(node, sum, computing.generation, step: computing.step, tag: computing.tag), worker)
        }
        computing.sums = []
    }

    /// Tells what computing has come to.
    private func end(_ computing: Computing, _ worker: SimulatedWorker) {
        var (spent, shards) = (computing.spent, computing.shards)
        if computing.isHelp {
            let repeated = computing.isLoan ? UInt64(max(0, (now - computing.begunAt).nanoseconds / 1000)) : 0
            return post(
                .event(
                    .helped(
                        computing.id, computing.generation, step: computing.step, shards: shards, repeated: repeated)),
                worker)
        }
        if computing.isAbandoned, shards == 0, !computing.missing.isEmpty {
            (spent, shards) = (now - computing.startedAt, 1)
        }
        post(
            .event(
                .computed(
                    computing.id, computing.generation, step: computing.step,
                    microseconds: UInt64(max(1, spent.nanoseconds / 1000)), shards: shards)), worker)
    }

    /// Ends a task that is no computing.
    private func finish(_ task: EngineTask, _ worker: SimulatedWorker) {
        switch task {
        case .compute: preconditionFailure("computing ends in `goOn`")
        case .load(let id, let job, let description, let problem):
            post(
                .loaded(
                    id, job: job, description: description, problem: problem,
                    parameters: references[job].description.parameters), worker)
        case .apply(let id, let generation, let recipe, let tag, let sum):
            apply(id, generation, recipe, tag, sum, worker)
        case .evaluate(let order):
            guard let state = worker.state, worker.loaded?.id == order.job else { return }
            if state.step != Step(order.step) { return fail(.i5, "w\(worker.index) evaluates another step than asked") }
            let parts = (order.shards.lower..<order.shards.upper).map { Reference.evaluation($0, state: state.digest) }
            post(.event(.evaluated(order, lossSums: parts.map(\.loss), tokens: parts.map(\.tokens))), worker)
        case .copy(let order):
            guard let state = worker.state, worker.loaded?.id == order.job else { return }
            if state.step != Step(order.step) { return fail(.i5, "w\(worker.index) copies another step than asked") }
            post(.snapshot(order, digest: state.digest), worker)
        case .becomeInitial:
            guard let loaded = worker.loaded else { return }
            worker.state = (0, references[loaded.job].initialDigest)
        case .finishHealing(let roster, let isBroken): finishHealing(roster, isBroken, worker)
        case .quiesce(let id, let generation):
            post(
                .event(
                    .quiesced(
                        id, generation, held: worker.held.sums.map(\.node).sorted(), tag: worker.held.tag)), worker)
        }
    }

    private func apply(
        _ id: JobID, _ generation: Generation, _ recipe: Recipe, _ tag: UInt64, _ sum: Reference.Sum,
        _ worker: SimulatedWorker
    ) {
        guard let loaded = worker.loaded, loaded.id == id else { return }
        guard let state = worker.state, state.step == recipe.step - 1 else {
            return fail(
                .i5,
                "w\(worker.index) applies step \(recipe.step) to a state of step \(worker.state.map { "\($0.step)" } ?? "none")"
            )
        }
        let digest = Reference.apply(sum, to: state.digest, tag: tag)
        worker.state = (recipe.step, digest)
        worker.held = (0, [])
        checkApplied(worker, recipe.step, digest)
        post(.event(.applied(id, generation, step: recipe.step, digest: digest, gradientNorm: 1)), worker)
    }

    private func finishHealing(_ roster: Roster, _ isBroken: Bool, _ worker: SimulatedWorker) {
        guard var state = worker.state, worker.loaded?.id == roster.job else { return }
        if roster.target > 0, !isCalm, dice.chance(plan.wrongStates) {
            // Its memory is bad, and it takes what it has for right.
            faults += 1
            state.digest ^= 1 << 20
            worker.state = state
            return post(.event(.healed(roster.job, roster.generation, digest: state.digest)), worker)
        }
        let isRight = state.step == Step(roster.target) && (roster.target == 0 || state.digest == roster.digest)
        if isBroken || !isRight {
            if !isBroken, plan.wrongStates == 0 {
                fail(.i5, "w\(worker.index) healed to step \(state.step), the roster says \(roster.target)")
            }
            post(.event(.healFailed(roster.job, roster.generation, problem: "the state has another digest")), worker)
        } else {
            post(.event(.healed(roster.job, roster.generation, digest: state.digest)), worker)
        }
    }

    /// What the reactor does with the engine's mail.
    private func take(_ mail: SimulatedWorker.Mail, _ worker: SimulatedWorker) {
        switch mail {
        case .event(let event): feed(worker, event)
        case .node(let node, let sum, let generation, let step, let tag):
            guard let roster = worker.exchange?.roster, roster.generation == generation else { return }
            if worker.exchange!.isAlone {
                return carryOut(.gathered(sum), step, tag, worker)
            }
            var chunk = Chunk(kind: .node, job: roster.job, generation: generation, step: step)
            chunk.tag = tag
            chunk.shards = node
            chunk.sum = sum
            sendToMembers(chunk, roster, worker, ranks: worker.exchange!.owners)
            let outcomes = worker.exchange!.addOwn(node, sum, step: step, tag: tag, isLoan: isLent(chunk))
            for outcome in outcomes { carryOut(outcome, step, tag, worker) }
        case .lent(let plea, let node): answer(plea, node, isLoan: true, worker)
        case .loaded(let id, let job, let description, let problem, let parameters):
            guard let wanted = worker.wanted, wanted.id == id, wanted.description == description else { return }
            worker.wanted = nil
            if problem.isEmpty { worker.loaded = (id, job, description) } else { faults += 1 }
            feed(worker, .loaded(id, parameters: problem.isEmpty ? parameters : 0, problem: problem))
        case .snapshot(let order, let digest):
            var chunk = Chunk(kind: .saved, job: order.job, generation: order.generation, step: Step(order.step))
            chunk.attempt = order.attempt
            chunk.range = order.range
            chunk.digest = digest
            send(chunk, from: worker.index, to: Self.headEnd)
            provoke(worker, with: [Self.headEnd], within: .milliseconds(1) * Int64(networkScale))
            feed(worker, .copied(order))
        }
    }
}
