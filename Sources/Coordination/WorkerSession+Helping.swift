import Collectives
import Recipes
package import Terms
import Wire

/// What members that are done with their shards of a step do for one that is late.
///
/// Whoever has nothing left to compute asks the member that owes most (`.help`). That one answers by its pace and the
/// other's: it *gives away* shards that it has not begun, which are the other's alone from then on; or, when nothing is
/// left but the shard in progress and that one is expected to take longer than computing it anew, it *lends* that shard
/// to the fastest of those that have asked. A shard that is lent is computed twice, and the first result counts.
///
/// The bits stay the same whoever computes what: a shard's sum is a function of state, recipe and shard alone, so the
/// two results are the same bits. A shard that is lent travels as a leaf of the tree from both, and never as a part of
/// a larger node: its lender publishes what it has added up so far without it, before the borrower is told. So the two
/// are the same node, and the owner of a slice takes of each chunk the one that comes first, and drops whatever
/// overlaps what it holds (`TreeFold`). Nothing is added twice, and the tree keeps its shape.
///
/// It is decided here and not by the coordinator: it pays within a step, which can be shorter than a round trip. And a
/// member gives or lends only of the step it computes, so that nobody gets further ahead of it than without help.
extension WorkerSession {
    /// A member with nothing left to compute asks for shards of the step.
    package struct Plea: Sendable, Equatable {
        package var job: JobID
        package var generation: Generation
        package var step: Step
        /// Of the step's recipe.
        package var tag: UInt64
        package var from: NodeID
        /// What one shard takes the one who asks; 0 = it does not know.
        package var shardTime: Span
        /// Own shards that are not begun and can be given away.
        package var waiting: Int
        /// For how long the last own shard is in progress; nil = it is not the last one.
        package var running: Span?

        package init(
            job: JobID, generation: Generation, step: Step, tag: UInt64, from: NodeID, shardTime: Span, waiting: Int,
            running: Span?
        ) {
            self.job = job
            self.generation = generation
            self.step = step
            self.tag = tag
            self.from = from
            self.shardTime = shardTime
            self.waiting = waiting
            self.running = running
        }
    }

    /// Who has asked for shards of the step, and waits.
    struct Idler: Sendable {
        var node: NodeID
        var shardTime: Span
    }

    mutating func help(with event: WorkerEvent, _ output: inout WorkerOutput) {
        switch event {
        case .begged(let plea): answer(plea, &output)
        case .granted(let id, let generation, let step, let node, let isLoan):
            guard let work = current(id, generation)?.work, work.recipe.step == step, work.lossSum == nil else {
                return
            }
            job!.work!.isAsking = false
            if node.isEmpty {
                job!.work!.vainHelps += 1
                job!.work!.helpsAt = clock + job!.work!.patience()
            } else if !isLoan || work.targets == 0 {
                job!.work!.targets += 1
                output.commands.append(.takeOver(id, generation, work.recipe, node, isLoan: isLoan))
            }
        case .helped(let id, let generation, let step, let shards, let repeated):
            guard let work = current(id, generation)?.work, work.recipe.step == step else { return }
            job!.work!.targets = max(0, work.targets - 1)
            job!.work!.repeated += repeated
            job!.work!.vainHelps = shards > 0 ? 0 : work.vainHelps + 1
            job!.work!.helpsAt = shards > 0 ? clock : clock + job!.work!.patience()
        default: break
        }
    }

    /// Gives away, lends, or says that there is nothing.
    private mutating func answer(_ plea: Plea, _ output: inout WorkerOutput) {
        guard let job = current(plea.job, plea.generation),
            job.roster?.members.contains(where: { $0.node == plea.from }) == true
        else { return }
        guard let work = job.work, work.recipe.step == plea.step, work.tag == plea.tag, !work.isComputed else {
            return output.commands.append(.give(plea, most: 0))
        }
        let asked = plea.shardTime > .zero ? min(plea.shardTime, ShardPace.longest) : nil
        // As long as nobody has computed a shard they are taken for equals.
        let theirs = asked ?? job.pace.usual ?? .milliseconds(1)
        let idlers =
            work.idlers.filter { $0.node != plea.from } + [Idler(node: plea.from, shardTime: theirs)]
        self.job!.work!.idlers = idlers
        if plea.waiting > 0 {
            let own = job.pace.usual ?? theirs
            let most = ShardPace.share(of: plea.waiting, own: own, theirs: theirs, busy: own)
            if most > 0 { self.job!.work!.idlers.removeAll { $0.node == plea.from } }
            return output.commands.append(.give(plea, most: most))
        }
        guard let running = plea.running, !work.hasLent, let fastest = idlers.min(by: { $0.shardTime < $1.shardTime }),
            ShardPace.isWorthRepeating(left: job.pace.left(after: running), theirs: fastest.shardTime)
        else { return output.commands.append(.give(plea, most: 0)) }
        self.job!.work!.hasLent = true
        self.job!.work!.idlers.removeAll { $0.node == fastest.node }
        if fastest.node != plea.from { output.commands.append(.give(plea, most: 0)) }
        var loan = plea
        loan.from = fastest.node
        output.commands.append(.lend(loan))
    }
}
