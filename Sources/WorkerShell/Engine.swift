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

    /// What the engine tells the reactor.
    enum Outcome: Sendable {
        case event(WorkerEvent)
        /// A complete maximal node of the step.
        case node(NodeSum, Generation, step: Step, tag: UInt64)
        case snapshot(SaveOrder, FloatBuffer)
        case loaded(JobID, LoadedJob)
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
            post(.event(.evaluated(
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
            let start = DispatchTime.now().uptimeNanoseconds
            let tree = ShardTree(leaves: job.description.virtualShards)
            let tag = recipe.tag
            var count = 0
            for target in ranges.flatMap({ tree.maximalNodes(in: $0) }) {
                let work = NodeWork(target: target, tree: tree, kept: held.take(tag: tag, within: target))
                guard let sum = work.run(job, recipe, goesOn: { self.era.load(ordering: .relaxed) == ordered }) else {
                    held.keep(work.sums, tag: tag)
                    if let shard = work.nonFiniteShard {
                        let problem = "the loss or a gradient of shard \(shard) is not finite"
                        post(.event(.nonFinite(id, generation, step: recipe.step, problem: problem)))
                    }
                    return
                }
                count += work.computed
                // Before anybody else builds on it: is the memory still what was written?
                guard job.trainer.stateDigest() == digest else {
                    held.clear(except: nil)
                    job.distrust()
                    return post(.event(.corrupted(id, generation, step: recipe.step)))
                }
                held.keep([sum], tag: tag)
                post(.node(sum, generation, step: recipe.step, tag: tag))
            }
            let microseconds = (DispatchTime.now().uptimeNanoseconds - start) / 1000
            post(.event(.computed(
                id, generation, step: recipe.step, microseconds: microseconds, shards: count)))
        }
    }
}

/// The shards of one maximal node, computed in order and folded by the tree.
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

    /// The node's sum, or nil when it was interrupted or a shard is not finite.
    func run(_ job: LoadedJob, _ recipe: Recipe, goesOn: () -> Bool) -> NodeSum? {
        for sum in kept { insert(sum, job) }
        for shard in target.lower..<target.upper
        where !sums.contains(where: { $0.shards.lower <= shard && shard < $0.shards.upper }) {
            guard goesOn() else { return nil }
            guard let sum = job.gradient(of: shard, recipe) else {
                nonFiniteShard = shard
                return nil
            }
            computed += 1
            insert(sum, job)
        }
        return sums.first
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
