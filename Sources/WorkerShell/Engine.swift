import Checkpoints
import Collectives
import Coordination
import Dispatch
import Kernels
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
    /// What is computed now.
    private let plan = Mutex<ShardPlan?>(nil)

    /// What the engine tells the reactor.
    enum Outcome: Sendable {
        case event(WorkerEvent)
        /// A complete maximal node of the step.
        case node(NodeSum, Generation, step: Step, tag: UInt64)
        /// A share of a checkpoint, settled, for the coordinator to write.
        case snapshot(Snapshot)
        /// A piece of the share is in the store.
        case stored(SaveOrder, SavePlan.Piece, Digest)
        case storeFailed(SaveOrder, problem: String)
        case loaded(JobID, LoadedJob)
        /// Files of a job that are not on this machine yet; none = all have arrived.
        case lacks(JobID, JobDescription, [JobFile])
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
                guard era.load(ordering: .relaxed) == ordered else { return }
                sums.append(job.evaluate(shard: shard))
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
    /// - Parameter digest: of the state that the step begins from; nothing is posted that was computed from another one.
    func compute(
        _ job: LoadedJob, _ id: JobID, _ generation: Generation, _ recipe: Recipe, _ ranges: [ShardRange],
        held: HeldNodes, digest: UInt64
    ) {
        let ordered = era.load(ordering: .sequentiallyConsistent)
        queue.async { [self] in
            let tree = ShardTree(leaves: job.description.virtualShards)
            let plan = ShardPlan(
                generation, recipe.step, recipe.tag, tree, ranges.flatMap { tree.maximalNodes(in: $0) })
            self.plan.withLock { $0 = plan }
            defer { self.plan.withLock { $0 = nil } }
            guard let (microseconds, shards) = run(plan, job, id, recipe, held, digest, ordered) else { return }
            post(.event(.computed(id, generation, step: recipe.step, microseconds: microseconds, shards: shards)))
        }
    }

    /// Computes a node that another member has given away, and posts it.
    func help(
        _ job: LoadedJob, _ id: JobID, _ generation: Generation, _ recipe: Recipe, _ node: ShardRange, held: HeldNodes,
        digest: UInt64
    ) {
        let ordered = era.load(ordering: .sequentiallyConsistent)
        queue.async { [self] in
            let tree = ShardTree(leaves: job.description.virtualShards)
            let plan = ShardPlan(generation, recipe.step, recipe.tag, tree, [node])
            guard let (_, shards) = run(plan, job, id, recipe, held, digest, ordered) else { return }
            post(.event(.helped(id, generation, step: recipe.step, shards: shards)))
        }
    }

    /// Gives away shards of a step that are not begun: about half of what is left; nil = there is nothing to give.
    func give(_ generation: Generation, _ step: Step, _ tag: UInt64) -> ShardRange? {
        plan.withLock { $0?.give(generation, step, tag) }
    }

    /// Computes what a plan holds, target after target; the time and the shards it took, nil when it was ended early.
    private func run(
        _ plan: ShardPlan, _ job: LoadedJob, _ id: JobID, _ recipe: Recipe, _ held: HeldNodes, _ digest: UInt64,
        _ ordered: Int
    ) -> (microseconds: UInt64, shards: Int)? {
        let start = DispatchTime.now().uptimeNanoseconds
        var count = 0
        while let target = plan.begin() {
            let kept = held.take(tag: plan.tag, within: target)
            // What is held already may lie where it would be given away.
            if !kept.isEmpty { plan.keepTarget() }
            let work = NodeWork(target: target, tree: plan.tree, kept: kept)
            guard work.run(job, recipe, plan, goesOn: { self.era.load(ordering: .relaxed) == ordered }) else {
                held.keep(work.sums, tag: plan.tag)
                if let shard = work.nonFiniteShard {
                    let problem = "the loss or a gradient of shard \(shard) is not finite"
                    post(.event(.nonFinite(id, plan.generation, step: recipe.step, problem: problem)))
                }
                return nil
            }
            count += work.computed
            // Before anybody else builds on it: is the memory still what was written?
            guard job.trainer.stateDigest() == digest else {
                held.clear(except: nil)
                job.distrust()
                post(.event(.corrupted(id, plan.generation, step: recipe.step)))
                return nil
            }
            held.keep(work.sums, tag: plan.tag)
            for sum in work.sums { post(.node(sum, plan.generation, step: recipe.step, tag: plan.tag)) }
        }
        return ((DispatchTime.now().uptimeNanoseconds - start) / 1000, count)
    }
}

/// A member's shards of one step: the engine takes them from the front, what others may have goes from the end.
private final class ShardPlan: Sendable {
    let generation: Generation
    let step: Step
    let tag: UInt64
    let tree: ShardTree
    private let state: Mutex<State>

    private struct State {
        /// Targets that are not begun, in order.
        var waiting: [ShardRange]
        /// The shard in progress, and the end of its target.
        var front = 0
        var limit = 0
        /// Parts of the target in progress may be given away.
        var isOpen = true
    }

    init(_ generation: Generation, _ step: Step, _ tag: UInt64, _ tree: ShardTree, _ targets: [ShardRange]) {
        (self.generation, self.step, self.tag, self.tree) = (generation, step, tag, tree)
        state = Mutex(State(waiting: targets))
    }

    /// The next target.
    func begin() -> ShardRange? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.limit = 0
                return nil
            }
            let target = state.waiting.removeFirst()
            (state.front, state.limit, state.isOpen) = (target.lower, target.upper, true)
            return target
        }
    }

    /// The target in progress stays whole.
    func keepTarget() { state.withLock { $0.isOpen = false } }

    /// True when the shard of the target in progress is still this member's; it is in progress then.
    func claim(_ shard: Int) -> Bool {
        state.withLock { state in
            guard shard < state.limit else { return false }
            state.front = shard
            return true
        }
    }

    func give(_ generation: Generation, _ step: Step, _ tag: UInt64) -> ShardRange? {
        guard generation == self.generation, step == self.step, tag == self.tag else { return nil }
        return state.withLock { state in
            if let last = state.waiting.last {
                let node = tree.lastHalf(of: last)
                if let node { state.waiting[state.waiting.count - 1].upper = node.lower }
                if state.waiting.last?.isEmpty == true { state.waiting.removeLast() }
                return node
            }
            guard state.isOpen, state.front + 1 < state.limit,
                let node = tree.lastHalf(of: ShardRange(state.front + 1, state.limit))
            else { return nil }
            state.limit = node.lower
            return node
        }
    }
}

/// The shards of one target, computed in order and folded by the tree.
private final class NodeWork {
    let target: ShardRange
    var fold: TreeFold
    /// Values of `fold.held`.
    var sums: [NodeSum] = []
    var computed = 0
    var nonFiniteShard: Int?
    private let kept: [NodeSum]

    init(target: ShardRange, tree: ShardTree, kept: [NodeSum]) {
        self.target = target
        self.kept = kept
        fold = TreeFold(tree: tree)
    }

    /// Computes what the plan leaves of the target; false when it was interrupted or a shard is not finite.
    func run(_ job: LoadedJob, _ recipe: Recipe, _ plan: ShardPlan, goesOn: () -> Bool) -> Bool {
        for sum in kept { insert(sum, job) }
        for shard in target.lower..<target.upper
        where !sums.contains(where: { $0.shards.lower <= shard && shard < $0.shards.upper }) {
            guard goesOn() else { return false }
            guard plan.claim(shard) else { return true }
            guard let sum = job.gradient(of: shard, recipe) else {
                nonFiniteShard = shard
                return false
            }
            computed += 1
            insert(sum, job)
        }
        return true
    }

    private func insert(_ sum: NodeSum, _ job: LoadedJob) {
        guard let merges = fold.insert(sum.shards) else { preconditionFailure("a shard was computed twice") }
        sums.append(sum)
        for merge in merges {
            let left = sums.remove(at: sums.firstIndex { $0.shards == merge.left }!)
            let right = sums.remove(at: sums.firstIndex { $0.shards == merge.right }!)
            job.fold(left, right, into: merge.parent)
            sums.append(left)
        }
    }
}

/// Finished sums of the step in progress, kept through a change of generation so that only what is missing is computed.
final class HeldNodes: Sendable {
    private let state = Mutex<(tag: UInt64, sums: [NodeSum])>((0, []))

    /// Sums of the recipe `tag` inside `node`, handed over to the caller.
    func take(tag: UInt64, within node: ShardRange) -> [NodeSum] {
        state.withLock { state in
            guard state.tag == tag else { return [] }
            let found = state.sums.filter { node.contains($0.shards) }
            state.sums.removeAll { node.contains($0.shards) }
            return found
        }
    }

    /// Keeps sums of the recipe `tag`; sums of any other recipe are let go.
    func keep(_ sums: [NodeSum], tag: UInt64) {
        state.withLock { state in
            if state.tag != tag { state = (tag, []) }
            state.sums += sums
        }
    }

    /// What is held: nodes in order, and the recipe they belong to.
    var inventory: (nodes: [ShardRange], tag: UInt64) {
        state.withLock { ($0.sums.map(\.shards).sorted(), $0.tag) }
    }

    /// Lets everything go but the sums of the recipe `tag`.
    func clear(except tag: UInt64?) {
        state.withLock { state in if state.tag != tag { state = (0, []) } }
    }
}
