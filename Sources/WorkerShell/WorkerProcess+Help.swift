import Collectives
import Coordination
import Recipes
import Terms
import Wire

/// How members that are late in a step are helped: pleas and grants on their way. What is decided is the core's.
extension WorkerProcess {
    /// Asks a late member for shards.
    func ask(_ id: JobID, _ generation: Generation, _ recipe: Recipe, _ shardTime: Span, _ turn: Int) {
        let late = exchange.flatMap {
            $0.roster.generation == generation ? $0.late(in: recipe.step, tag: recipe.tag, turn: turn) : nil
        }
        guard let late else {
            return feed(.granted(id, generation, step: recipe.step, ShardRange(0, 0), isLoan: false))
        }
        var header = DataHeader(
            kind: .plea, job: id, generation: generation, step: UInt64(recipe.step), offset: 0,
            count: UInt64(max(0, shardTime.nanoseconds / 1000)), sender: options.node)
        header.recipeTag = recipe.tag
        send(header, [0], to: late)
    }

    /// A member that has nothing left to compute.
    func hear(_ header: DataHeader) {
        guard let step = Step(exactly: header.step) else { return }
        let backlog = engine.backlog(header.generation, step, header.recipeTag)
        feed(
            .begged(
                WorkerSession.Plea(
                    job: header.job, generation: header.generation, step: step, tag: header.recipeTag,
                    from: header.sender, shardTime: Span(nanoseconds: Int64(min(header.count, 1 << 40)) * 1000),
                    waiting: backlog.waiting, running: backlog.running)))
    }

    /// Answers it.
    func answer(_ plea: WorkerSession.Plea, _ node: ShardRange?, isLoan: Bool) {
        var header = DataHeader(
            kind: .grant, job: plea.job, generation: plea.generation, step: UInt64(plea.step), offset: 0, count: 0,
            sender: options.node)
        header.recipeTag = plea.tag
        header.shards = node ?? ShardRange(0, 0)
        header.attempt = isLoan ? 1 : 0
        send(header, [0], to: plea.from)
    }

    /// What a late member has given away or lent.
    func receiveGrant(_ header: DataHeader) {
        guard let job, job.id == header.job, let step = Step(exactly: header.step),
            let work = session.job?.work, work.recipe.step == step, work.tag == header.recipeTag
        else { return }
        let isNode = ShardTree(leaves: job.loaded.description.virtualShards).has(header.shards)
        feed(
            .granted(
                header.job, header.generation, step: step, isNode ? header.shards : ShardRange(0, 0),
                isLoan: header.attempt == 1))
    }
}
