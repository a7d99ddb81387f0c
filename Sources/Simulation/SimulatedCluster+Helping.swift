import Collectives
import Coordination
import Recipes
import Terms
import Wire

/// Help for members that are late: the shell's part of it, with engines that are modelled.
extension SimulatedCluster {
    /// A shard that two members compute.
    struct Loan: Hashable {
        var job: JobID
        var generation: Generation
        var tag: UInt64
        var shard: Int
    }

    func isLent(_ chunk: Chunk) -> Bool {
        chunk.shards.count == 1
            && loans.contains(
                Loan(job: chunk.job, generation: chunk.generation, tag: chunk.tag, shard: chunk.shards.lower))
    }

    /// Asks a late member for shards.
    func help(
        _ worker: SimulatedWorker, _ id: JobID, _ generation: Generation, _ recipe: Recipe, _ shardTime: Span,
        _ turn: Int
    ) {
        let tag = worker.loaded.map { references[$0.job].tag(of: recipe) } ?? recipe.tag
        guard let exchange = worker.exchange, exchange.roster.generation == generation,
            let late = exchange.late(in: recipe.step, tag: tag, turn: turn),
            let other = workers.firstIndex(where: { $0.node == late })
        else {
            return feed(worker, .granted(id, generation, step: recipe.step, ShardRange(0, 0), isLoan: false))
        }
        var plea = Chunk(kind: .plea, job: id, generation: generation, step: recipe.step)
        plea.tag = tag
        plea.shardTime = shardTime
        send(plea, from: worker.index, to: other)
    }

    func hear(_ chunk: Chunk, from: Int, _ worker: SimulatedWorker) {
        var plea = WorkerSession.Plea(
            job: chunk.job, generation: chunk.generation, step: chunk.step, tag: chunk.tag, from: workers[from].node,
            shardTime: chunk.shardTime, waiting: 0, running: nil)
        if let computing = computing(for: plea, worker), !computing.missing.isEmpty {
            let place = computing.place(at: now)
            // What is held already may lie where it would be given away.
            let rest = computing.sums.isEmpty ? computing.missing.count - place - 1 : 0
            plea.waiting = computing.targets[(computing.next + 1)...].reduce(rest) { $0 + $1.count }
            if computing.next + 1 == computing.targets.count, place + 1 == computing.missing.count {
                plea.running = now - (computing.startedAt + computing.shardTime * Int64(place))
            }
        }
        feed(worker, .begged(plea))
    }

    /// What the worker's engine computes of its own, if a plea is about that.
    private func computing(for plea: WorkerSession.Plea, _ worker: SimulatedWorker) -> Computing? {
        guard worker.isRunning, case .compute(let computing) = worker.tasks[0], computing.id == plea.job,
            computing.generation == plea.generation, computing.step == plea.step, computing.tag == plea.tag,
            computing.era == worker.era, !computing.isHelp, !computing.isAbandoned,
            computing.next < computing.targets.count
        else { return nil }
        return computing
    }

    /// Gives away what is not begun, from the end.
    func give(_ plea: WorkerSession.Plea, _ most: Int, _ worker: SimulatedWorker) -> ShardRange? {
        guard var computing = computing(for: plea, worker) else { return nil }
        if computing.next + 1 < computing.targets.count {
            let last = computing.targets.removeLast()
            let node = computing.fold.tree.lastNode(of: last, most: most)
            let kept = ShardRange(last.lower, node?.lower ?? last.upper)
            if !kept.isEmpty { computing.targets.append(kept) }
            worker.tasks[0] = .compute(computing)
            return node
        }
        let place = computing.place(at: now)
        guard computing.sums.isEmpty, place + 1 < computing.missing.count,
            let node = computing.fold.tree.lastNode(
                of: ShardRange(computing.missing[place] + 1, computing.missing[computing.missing.count - 1] + 1),
                most: most)
        else { return nil }
        computing.missing.removeAll { $0 >= node.lower }
        computing.planned = min(computing.planned, computing.missing.count)
        goOn(with: computing, worker)
        return node
    }

    /// Lends the shard in progress: what is added up without it goes out first.
    func lend(_ plea: WorkerSession.Plea, _ worker: SimulatedWorker) -> Bool {
        guard var computing = computing(for: plea, worker), computing.next + 1 == computing.targets.count,
            !computing.isLoan, let state = worker.state, let shard = computing.missing.last
        else { return false }
        let place = computing.place(at: now)
        guard place + 1 == computing.missing.count, place + 1 == computing.planned else { return false }
        computing.isLoan = true
        reissues += 1
        loans.insert(Loan(job: plea.job, generation: plea.generation, tag: plea.tag, shard: shard))
        tell(
            "w\(worker.index) lends shard \(shard) of step \(plea.step) to w\(workers.firstIndex { $0.node == plea.from } ?? -1)"
        )
        if bug != .loanNotCutOut {
            guard count(place, of: &computing, state.digest, worker) else { return false }
            publish(&computing, worker)
            computing.fold = TreeFold(tree: computing.fold.tree)
            computing.startedAt = computing.startedAt + computing.shardTime * Int64(place)
            computing.missing = [shard]
            computing.planned = 1
        }
        goOn(with: computing, worker)
        post(.lent(plea, ShardRange(shard, shard + 1)), worker)
        return true
    }

    func answer(_ plea: WorkerSession.Plea, _ node: ShardRange?, isLoan: Bool, _ worker: SimulatedWorker) {
        guard let other = workers.firstIndex(where: { $0.node == plea.from }) else { return }
        var grant = Chunk(kind: .grant, job: plea.job, generation: plea.generation, step: plea.step)
        grant.tag = plea.tag
        grant.shards = node ?? ShardRange(0, 0)
        grant.attempt = isLoan ? 1 : 0
        send(grant, from: worker.index, to: other)
    }

    /// Computes what another member has given away or lent.
    func takeOver(
        _ worker: SimulatedWorker, _ id: JobID, _ generation: Generation, _ recipe: Recipe, _ node: ShardRange,
        _ isLoan: Bool
    ) {
        guard let loaded = worker.loaded, loaded.id == id else { return }
        helps += 1
        let shards = max(1, recipe.shards.count)
        var computing = Computing(
            id: id, generation: generation, step: recipe.step, tag: references[loaded.job].tag(of: recipe),
            era: worker.era,
            load: (recipe.sequenceCount + shards - 1) / shards, targets: [node],
            fold: TreeFold(tree: references[loaded.job].tree))
        computing.isHelp = true
        computing.isLoan = isLoan
        enqueue(.compute(computing), worker)
    }

    /// Ends what is computed for a step; here a layer takes no time.
    func abandon(_ worker: SimulatedWorker, _ generation: Generation, _ step: Step) {
        for index in worker.tasks.indices {
            guard case .compute(var computing) = worker.tasks[index], computing.generation == generation,
                computing.step == step
            else { continue }
            computing.isAbandoned = true
            if index == 0, worker.isRunning {
                computing.planned = computing.missing.isEmpty ? 0 : computing.place(at: now)
                goOn(with: computing, worker)
            } else {
                worker.tasks[index] = .compute(computing)
            }
        }
    }
}
