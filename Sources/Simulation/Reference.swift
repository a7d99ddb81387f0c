import Checkpoints
import Collectives
import Coordination
import Hashing
import Recipes
import Terms

/// A job as one undisturbed worker would run it: what every disturbed run must come out as.
///
/// Numbers are symbols here: the digest of a state, the sum over a node of the tree. A sum depends on the state it was
/// computed on, on the recipe, on its shards and on every parenthesis, so that nothing wrong can come out right.
final class Reference {
    let description: JobDescription
    private(set) var job: Job
    let tree: ShardTree
    /// How its states are cut into objects.
    let savePlan: SavePlan
    private var steps: [Line] = []
    /// Lines of plans that were left: workers may still compute them, late.
    private var abandoned: [(step: Step, line: Line)] = []

    /// One step of the undisturbed run.
    struct Line {
        var bytes: [UInt8]
        var tag: UInt64
        var root: Sum
        /// Digest of the state after the step.
        var digest: UInt64
        /// Input tokens up to and with the step.
        var tokens: Int
        var recipe: Recipe
    }

    /// The symbol of a sum over a node, and the loss that travels with it.
    struct Sum: Equatable {
        var value: UInt64
        var loss: Double
    }

    init(_ description: JobDescription, index: SequenceIndex) {
        self.description = description
        job = Job(description: description, index: index)
        tree = ShardTree(leaves: description.virtualShards)
        savePlan = SavePlan(parameters: description.parameters)
    }

    var plannedSteps: Int { job.plan.plannedSteps }

    /// Follows a decision of the coordinator's planner, from the step on from which it rules.
    func adopt(_ event: PlanEvent) {
        job.learningRate.events.append(event)
        abandon(beyond: event.after)
    }

    /// Another journal rules, with these decisions.
    func follow(_ plan: [PlanEvent]) {
        let known = job.learningRate.events
        let common = zip(plan, known).prefix { $0 == $1 }.count
        guard let step = (plan.dropFirst(common) + known.dropFirst(common)).map(\.after).min() else { return }
        job.learningRate.events = plan
        abandon(beyond: step)
    }

    private func abandon(beyond step: Step) {
        let first = max(0, step - base)
        guard first < steps.count else { return }
        for place in first..<steps.count { abandoned.append((base + place + 1, steps[place])) }
        steps.removeSubrange(first...)
    }

    /// Input tokens of the first `step` steps.
    func tokens(after step: Step) -> Int { step > base ? line(step).tokens : description.branch?.tokens ?? 0 }

    /// Steps that another run took before this one branched off.
    var base: Step { description.branch?.step ?? 0 }

    /// Every line of that step, the one in force first.
    func lines(_ step: Step) -> [Line] { [line(step)] + abandoned.filter { $0.step == step }.map(\.line) }

    /// The recipe's tag, known already when it is the one in force.
    func tag(of recipe: Recipe) -> UInt64 {
        let place = recipe.step - base - 1
        guard steps.indices.contains(place), steps[place].recipe == recipe else { return recipe.tag }
        return steps[place].tag
    }

    /// The digest of the state after `step` steps; of one before it branched off nobody knows it: 0.
    func digest(_ step: Step) -> UInt64 { step > base ? line(step).digest : step == base ? initialDigest : 0 }

    /// The digest of the state that the model files give, or the checkpoint that it branched off from.
    var initialDigest: UInt64 {
        description.branch?.digest ?? Philox.mix(UInt64(description.training["sim"]?.int ?? 0) &+ 0x5EED) | 1
    }

    /// Step `step` of the undisturbed run, from 1; the first one stands for those that another run took.
    func line(_ step: Step) -> Line {
        let place = max(0, step - base - 1)
        while steps.count <= place {
            let next = base + steps.count + 1
            let before = digest(next - 1)
            let recipe = job.plan.recipe(of: next, schedule: job.learningRate)
            let bytes = recipe.encoded()
            let tag = recipe.tag
            let root = Self.sum(of: tree.root, state: before, tag: tag)
            steps.append(
                Line(
                    bytes: bytes, tag: tag, root: root, digest: Self.apply(root, to: before, tag: tag),
                    tokens: (steps.last?.tokens ?? description.branch?.tokens ?? 0) + recipe.inputTokens, recipe: recipe
                ))
        }
        return steps[place]
    }

    // MARK: Symbolic arithmetic

    /// A shard's gradient: a function of the state, the recipe and the shard.
    static func leaf(_ shard: Int, state: UInt64, tag: UInt64) -> Sum {
        let value = Philox.mix(Philox.mix(state ^ tag) &+ UInt64(shard) &* 0x9E37_79B9_7F4A_7C15)
        return Sum(value: value, loss: Double(value % 1000))
    }

    /// left + right, neither commutative nor associative.
    static func add(_ left: Sum, _ right: Sum) -> Sum {
        let turned = right.value << 17 | right.value >> 47
        return Sum(value: Philox.mix(left.value &* 3 &+ turned), loss: left.loss + right.loss)
    }

    static func sum(of node: ShardRange, state: UInt64, tag: UInt64) -> Sum {
        guard node.count > 1 else { return leaf(node.lower, state: state, tag: tag) }
        let middle = ShardTree.split(node)
        return add(
            sum(of: ShardRange(node.lower, middle), state: state, tag: tag),
            sum(of: ShardRange(middle, node.upper), state: state, tag: tag))
    }

    /// The digest after the update by `root`.
    static func apply(_ root: Sum, to state: UInt64, tag: UInt64) -> UInt64 {
        Philox.mix(state &+ Philox.mix(root.value ^ tag)) | 1
    }

    /// Held-out loss and tokens of one evaluation shard of a state.
    static func evaluation(_ shard: Int, state: UInt64) -> (loss: Double, tokens: UInt64) {
        let bits = Philox.mix(state ^ UInt64(shard) &* 0xD6E8_FEB8_6659_FD93)
        return (Double(bits % 1000), bits >> 32 % 50)
    }
}
