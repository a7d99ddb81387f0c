import Collectives
import Coordination
import Terms
import Wire

/// One generation's exchange of sums at one member: nodes in, own slice folded, the finished slices of all out.
struct SimulatedExchange {
    let roster: Roster
    let rank: Int
    let tree: ShardTree
    /// Ranks whose slice is not empty.
    let owners: [Int]
    private var steps: StepWindow<Sums>
    private let bug: PlantedBug?

    private struct Sums {
        var fold: TreeFold
        var values: [(node: ShardRange, sum: Reference.Sum)] = []
        /// By rank: the finished slice.
        var roots: [Reference.Sum?]
        var isGathered = false
    }

    init(roster: Roster, rank: Int, tree: ShardTree, bug: PlantedBug?) {
        self.roster = roster
        self.rank = rank
        self.tree = tree
        self.bug = bug
        steps = StepWindow(target: Step(clamping: roster.target))
        owners = roster.members.indices.filter { !roster.members[$0].slice.isEmpty }
    }

    enum Outcome {
        case nothing
        /// The second result for a shard that was lent: dropped.
        case repeated
        /// A chunk that contradicts what is here.
        case wrong(String)
        /// This member's slice is finished: it goes to everybody.
        case root(Reference.Sum)
        /// All slices are here.
        case gathered(Reference.Sum)
    }

    var isAlone: Bool { roster.members.count == 1 }
    var isOwner: Bool { owners.contains(rank) }

    /// Whether it takes a sum of that step from another member.
    func takes(_ step: Step, tag: UInt64) -> Bool { steps.takes(step, tag: tag) }

    /// A sum of that step would be lost, though its step is still to come.
    func isBehind(_ step: Step) -> Bool { step > steps.newest }

    private mutating func place(_ step: Step, _ tag: UInt64) -> Int {
        steps.place(of: step, tag: tag) { [tree, roster] in
            Sums(fold: TreeFold(tree: tree), roots: Array(repeating: nil, count: roster.members.count))
        }
    }

    /// The member that owes most shards of the step, or at a later `turn` the next one after it; nil = nobody.
    func late(in step: Step, tag: UInt64, turn: Int) -> NodeID? {
        guard isOwner, let sums = steps.sums(of: step, tag: tag) else { return nil }
        return roster.late(in: step, holding: sums.fold.held, at: rank, turn: turn)
    }

    /// A node that this member computed.
    mutating func addOwn(
        _ node: ShardRange, _ sum: Reference.Sum, step: Step, tag: UInt64, isLoan: Bool
    ) -> [Outcome] {
        steps.move(to: step)
        return addNode(node, sum, step: step, tag: tag, isLoan: isLoan)
    }

    /// A node for the own slice; `isLoan` when two members compute it.
    mutating func addNode(
        _ node: ShardRange, _ sum: Reference.Sum, step: Step, tag: UInt64, isLoan: Bool
    ) -> [Outcome] {
        guard isOwner else { return [] }
        let place = place(step, tag)
        guard let merges = steps[place].fold.insert(node) else {
            if isLoan, steps[place].fold.held.contains(where: { $0.contains(node) }) {
                return bug == .bothResultsAdded ? addAgain(node, sum, place) : [.repeated]
            }
            return [.wrong("the node \(node) of step \(step) came twice in generation \(roster.generation)")]
        }
        steps[place].values.append((node, sum))
        for merge in merges {
            guard let left = steps[place].values.firstIndex(where: { $0.node == merge.left }) else {
                return [.wrong("merge")]
            }
            let first = steps[place].values.remove(at: left).sum
            guard let right = steps[place].values.firstIndex(where: { $0.node == merge.right }) else {
                return [.wrong("merge")]
            }
            let second = steps[place].values.remove(at: right).sum
            steps[place].values.append((merge.parent, Reference.add(first, second)))
        }
        guard steps[place].fold.isComplete, let whole = steps[place].values.first?.sum else { return [] }
        steps[place].roots[rank] = whole
        return [.root(whole)] + gatheredIfComplete(place, step)
    }

    /// What a planted bug does with the second result for a shard.
    private mutating func addAgain(_ node: ShardRange, _ sum: Reference.Sum, _ place: Int) -> [Outcome] {
        for index in steps[place].values.indices where steps[place].values[index].node.contains(node) {
            steps[place].values[index].sum = Reference.add(steps[place].values[index].sum, sum)
        }
        return [.repeated]
    }

    /// A finished slice from its owner.
    mutating func addRoot(_ sum: Reference.Sum, from owner: Int, step: Step, tag: UInt64) -> [Outcome] {
        let place = place(step, tag)
        if let known = steps[place].roots[owner] {
            return known == sum ? [] : [.wrong("two different roots of step \(step) from rank \(owner)")]
        }
        steps[place].roots[owner] = sum
        return gatheredIfComplete(place, step)
    }

    private mutating func gatheredIfComplete(_ place: Int, _ step: Step) -> [Outcome] {
        let state = steps[place]
        guard !state.isGathered, owners.allSatisfy({ state.roots[$0] != nil }), let first = owners.first,
            let sum = state.roots[first]
        else { return [] }
        steps[place].isGathered = true
        if bug != .windowStays { steps.move(to: step) }
        guard owners.allSatisfy({ state.roots[$0] == sum }) else {
            return [.wrong("the slices of step \(step) were added in different ways")]
        }
        return [.gathered(sum)]
    }
}
