import Collectives
import Coordination
import Dispatch
import Recipes
import Terms
import Training

/// The engine's way through the shards of one plan: computes them in order, folds them by the tree, posts every maximal
/// node once it is whole. Lives on the engine's thread.
final class StepWork {
    private let plan: ShardPlan
    private let job: LoadedJob
    private let id: JobID
    private let recipe: Recipe
    private let held: HeldNodes
    private let digest: UInt64
    private let post: @Sendable (Engine.Outcome) -> Void
    private let isWanted: () -> Bool
    private let isAbandoned: () -> Bool

    private var fold: TreeFold
    /// Values of `fold.held`.
    private var sums: [NodeSum] = []
    /// Shards that are whole.
    private(set) var computed = 0
    private let start = DispatchTime.now().uptimeNanoseconds
    /// When the newest of them was.
    private var wholeAt: UInt64
    /// The memory is not what was written there.
    private var isCorrupted = false
    /// Files have changed under what was computed.
    private var wasHindered = false

    /// - Parameters:
    ///   - digest: of the state that the step begins from.
    ///   - isWanted: false once the generation is over: what is in progress ends with its shard.
    ///   - isAbandoned: true once the step's sum is here: what is in progress ends with its layer.
    init(
        _ plan: ShardPlan, _ job: LoadedJob, _ id: JobID, _ recipe: Recipe, _ held: HeldNodes, _ digest: UInt64,
        post: @escaping @Sendable (Engine.Outcome) -> Void, isWanted: @escaping () -> Bool,
        isAbandoned: @escaping () -> Bool
    ) {
        (self.plan, self.job, self.id, self.recipe, self.held) = (plan, job, id, recipe, held)
        (self.digest, self.post, self.isWanted, self.isAbandoned) = (digest, post, isWanted, isAbandoned)
        fold = TreeFold(tree: plan.tree)
        wholeAt = start
    }

    /// Microseconds since the beginning.
    var elapsed: UInt64 { (DispatchTime.now().uptimeNanoseconds - start) / 1000 }

    /// Time and number of the shards that are whole; of the one that was given up, when there are none.
    var whole: (microseconds: UInt64, shards: Int) {
        computed == 0 && isAbandoned() && plan.backlog.running != nil
            ? (elapsed, 1) : ((wholeAt - start) / 1000, computed)
    }

    /// Computes what the plan holds, target after target; false when nobody waits for its end any more.
    func run() -> Bool {
        while !isAbandoned(), let target = plan.begin() {
            let kept = held.take(tag: plan.tag, within: target)
            // What is held already may lie where it would be given away.
            if !kept.isEmpty { plan.keepTarget() }
            (fold, sums) = (TreeFold(tree: plan.tree), [])
            for sum in kept { insert(sum) }
            guard compute(target) else {
                if !isCorrupted, !wasHindered, job.changedFile() == nil { held.keep(sums, tag: plan.tag) }
                return isAbandoned() && !isCorrupted
            }
            guard publish() else { return false }
        }
        return true
    }

    /// Computes the shards of a target that are still this worker's and that nothing is held of.
    private func compute(_ target: ShardRange) -> Bool {
        for shard in target.lower..<target.upper
        where !sums.contains(where: { $0.shards.lower <= shard && shard < $0.shards.upper }) {
            guard isWanted() else { return false }
            guard plan.claim(shard) else { return true }
            let outcome = job.gradient(of: shard, recipe) { !isAbandoned() && lendIfAsked(shard) }
            // It is whole: nobody else needs to compute it.
            if let plea = plan.takeBorrower() { post(.lent(plea, ShardRange(0, 0))) }
            switch outcome {
            case .sum(let sum):
                computed += 1
                wholeAt = DispatchTime.now().uptimeNanoseconds
                insert(sum)
            case .nonFinite:
                guard areFilesWhole() else { return false }
                let problem = "the loss or a gradient of shard \(shard) is not finite"
                post(.event(.nonFinite(id, plan.generation, step: recipe.step, problem: problem)))
                return false
            case .fileChanged:
                if areFilesWhole() { hinder("the data of shard \(shard) are not what the job was submitted with") }
                return false
            case .givenUp: return false
            }
        }
        return true
    }

    /// Between two layers: when the shard in progress, the last one, is lent, what is added up without it goes out
    /// before that is told, and nothing is added to it any more. False when the memory has changed.
    private func lendIfAsked(_ shard: Int) -> Bool {
        guard let plea = plan.takeBorrower() else { return true }
        guard publish() else { return false }
        (fold, sums) = (TreeFold(tree: plan.tree), [])
        post(.lent(plea, ShardRange(shard, shard + 1)))
        return true
    }

    /// Posts the sums of the target in progress. Before anybody builds on them: is the memory still what was written?
    private func publish() -> Bool {
        guard areFilesWhole() else { return false }
        guard job.trainer.stateDigest() == digest else {
            isCorrupted = true
            held.clear(except: nil)
            job.distrust()
            post(.event(.corrupted(id, plan.generation, step: recipe.step)))
            return false
        }
        held.keep(sums, tag: plan.tag)
        for sum in sums { post(.node(sum, plan.generation, step: recipe.step, tag: plan.tag)) }
        return true
    }

    /// Whether the files of the model and the data were what they have to be all the time; tells it otherwise.
    private func areFilesWhole() -> Bool {
        guard let problem = job.changedFile() else { return true }
        hinder(problem)
        return false
    }

    /// Tells why nothing of this target is to be used.
    private func hinder(_ problem: String) {
        wasHindered = true
        post(.event(.hindered(id, problem: problem)))
    }

    private func insert(_ sum: NodeSum) {
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
