import Checkpoints
import Collectives
import Coordination
import Dispatch
import Recipes
import Synchronization
import Terms
import Training
import Wire

/// The computing side of a worker: one thread that runs orders one after another and posts what became of them.
final class Engine: Sendable {
    private let queue = DispatchQueue(label: "drover.engine", qos: .userInitiated)
    private let post: @Sendable (Outcome) -> Void
    /// Orders of an older number end at the next micro-batch.
    private let era = Atomic<Int>(0)
    /// This worker's own shards of the step in progress.
    private let plan = Mutex<ShardPlan?>(nil)
    /// The newest step whose sum was here before all was computed.
    private let abandoned = Mutex<(generation: Generation, step: Step)?>(nil)

    /// What the engine tells the reactor.
    enum Outcome: Sendable {
        case event(WorkerEvent)
        /// A complete maximal node of the step.
        case node(NodeSum, Generation, step: Step, tag: UInt64)
        /// A plea is answered late: this shard is lent, or none when it was computed before.
        case lent(WorkerSession.Plea, ShardRange)
        /// A share of a checkpoint, settled, for the coordinator to write.
        case snapshot(Snapshot)
        /// A piece of the share is in the store.
        case stored(SaveOrder, SavePlan.Piece, Digest)
        case storeFailed(SaveOrder, problem: String)
        case loaded(JobID, LoadedJob)
        /// Files of a job that are not on this machine yet; none = all have arrived.
        case lacks(JobID, JobDescription, [JobFile])
        /// The job's data are to be fetched in blocks.
        case arrives(JobID, BlockFile)
    }

    init(post: @escaping @Sendable (Outcome) -> Void) { self.post = post }

    /// Runs `body` after everything ordered so far.
    func run(_ body: @escaping @Sendable () -> Void) { queue.async(execute: body) }

    /// The loss sums of an evaluation's shards, unless it is interrupted.
    func evaluate(_ job: LoadedJob, _ order: EvaluationOrder) {
        let ordered = era.load(ordering: .sequentiallyConsistent)
        queue.async { [self] in
            var sums: [LossSum] = []
            for shard in order.shards.lower..<order.shards.upper {
                let isWanted = { [self] in era.load(ordering: .relaxed) == ordered }
                guard isWanted() else { return }
                guard let sum = job.evaluate(shard: shard, goesOn: isWanted) else { break }
                sums.append(sum)
            }
            if let problem = job.changedFile() { return post(.event(.hindered(order.job, problem: problem))) }
            guard sums.count == order.shards.count else {
                guard era.load(ordering: .relaxed) == ordered else { return }
                let problem = "the held-out data are not what the job was submitted with"
                return post(.event(.hindered(order.job, problem: problem)))
            }
            post(
                .event(
                    .evaluated(
                        order, lossSums: sums.map(\.lossSum), tokens: sums.map { UInt64($0.trainedTokens) })))
        }
    }

    /// Makes computing that was ordered before end soon, then runs `event`.
    func interrupt(then event: @escaping @Sendable () -> Void = {}) {
        era.add(1, ordering: .sequentiallyConsistent)
        queue.async(execute: event)
    }

    /// Computes the shards of `ranges` that `held` does not cover, folds them, posts every maximal node.
    ///
    /// - Parameter digest: of the state that the step begins from; nothing is posted that was computed from another
    ///   one.
    func compute(
        _ job: LoadedJob, _ id: JobID, _ generation: Generation, _ recipe: Recipe, _ ranges: [ShardRange],
        held: HeldNodes, digest: UInt64
    ) {
        let tree = ShardTree(leaves: job.description.virtualShards)
        let targets = ranges.flatMap { tree.maximalNodes(in: $0) }
        start(ShardPlan(generation, recipe.step, recipe.tag, tree, targets), job, id, recipe, held, digest) {
            [self] work, plan in
            self.plan.withLock { $0 = plan }
            defer { self.plan.withLock { $0 = nil } }
            guard work.run() else { return }
            let (microseconds, shards) = work.whole
            post(.event(.computed(id, generation, step: recipe.step, microseconds: microseconds, shards: shards)))
        }
    }

    /// Computes a node that another member has given away or lent, and posts it.
    func help(
        _ job: LoadedJob, _ id: JobID, _ generation: Generation, _ recipe: Recipe, _ node: ShardRange, isLoan: Bool,
        held: HeldNodes, digest: UInt64
    ) {
        let tree = ShardTree(leaves: job.description.virtualShards)
        start(ShardPlan(generation, recipe.step, recipe.tag, tree, [node]), job, id, recipe, held, digest) {
            [self] work, _ in
            guard work.run() else { return }
            let repeated = isLoan ? work.elapsed : 0
            post(.event(.helped(id, generation, step: recipe.step, shards: work.computed, repeated: repeated)))
        }
    }

    private func start(
        _ plan: ShardPlan, _ job: LoadedJob, _ id: JobID, _ recipe: Recipe, _ held: HeldNodes, _ digest: UInt64,
        _ body: @escaping @Sendable (StepWork, ShardPlan) -> Void
    ) {
        let ordered = era.load(ordering: .sequentiallyConsistent)
        queue.async { [self] in
            let work = StepWork(
                plan, job, id, recipe, held, digest, post: post,
                isWanted: { [self] in era.load(ordering: .relaxed) == ordered },
                isAbandoned: { [self] in abandoned.withLock { $0 ?? (Generation(0), 0) == (plan.generation, plan.step) }
                })
            body(work, plan)
        }
    }

    /// Ends what is still computed for a step.
    func abandon(_ generation: Generation, _ step: Step) { abandoned.withLock { $0 = (generation, step) } }

    /// How many own shards of a step are not begun, and for how long the last one is in progress.
    func backlog(_ generation: Generation, _ step: Step, _ tag: UInt64) -> (waiting: Int, running: Span?) {
        plan.withLock { $0?.isOf(generation, step, tag) == true ? $0!.backlog : (0, nil) }
    }

    /// Gives away at most so many shards that are not begun; nil = there is nothing to give.
    func give(_ plea: WorkerSession.Plea, most: Int) -> ShardRange? {
        plan.withLock { $0?.isOf(plea.generation, plea.step, plea.tag) == true ? $0!.give(most: most) : nil }
    }

    /// Lends the shard in progress as soon as the layer in hand is done, which `.lent` tells; false when it is not the
    /// last one any more.
    func lend(_ plea: WorkerSession.Plea) -> Bool {
        plan.withLock { $0?.isOf(plea.generation, plea.step, plea.tag) == true && $0!.lend(plea) }
    }
}
