import Checkpoints
import Collectives
import Coordination
import Datasets
import Dispatch
import Kernels
import ModelFiles
import Models
import Recipes
import Terms
import Training
import Wire

/// A job in a worker's memory: model, state, data. Used by one thread at a time: the engine's, or the reactor's while
/// the engine rests.
final class LoadedJob: @unchecked Sendable {
    let description: JobDescription
    let settings: TrainingSettings
    let trainer: Trainer
    private let data: TokenCache
    let source: DataSource
    /// The weights that an adapter leaves as they are.
    private let frozen: LoadedWeights?
    private let compute: Compute
    private let initial: InitialParameters
    /// True until the state of step 0 is left.
    private var isInitial = true
    /// How the sums of this job travel, and what they are rounded to therefore.
    let wire: GradientWire
    /// What a checkpoint consists of.
    private let plan: SavePlan?
    /// The share that a checkpoint still reads from the state; engine thread only, as the two below.
    private var snapshot: Snapshot?
    private var updatedAt: UInt64?
    /// Between the newest two updates; 0 before.
    private(set) var stepSeconds = 0.0
    /// Gradient-sized buffers.
    let pool: BufferPool
    /// The finished sum of a step, when there are peers.
    private(set) lazy var root = FloatBuffer(count: trainer.count)

    init(
        description: JobDescription, settings: TrainingSettings, trainer: Trainer, initial: InitialParameters?,
        data: TokenCache, source: DataSource, frozen: LoadedWeights?, compute: Compute
    ) {
        self.description = description
        self.settings = settings
        self.trainer = trainer
        self.data = data
        self.source = source
        self.frozen = frozen
        self.compute = compute
        pool = BufferPool(count: trainer.count)
        wire = GradientWire(settings.gradientWire, tensors: trainer.layout.entries.map(\.count))
        self.initial = initial ?? .copy(of: trainer)
        plan = (try? TensorLayout(description.tensors.map { ($0.name, $0.shape) })).map { SavePlan(layout: $0) }
    }

    /// Puts the state of step 0 in place: the parameters as they were loaded, moments of zero.
    func becomeInitial() throws {
        endSnapshot()
        guard !isInitial else { return }
        let count = trainer.count
        try trainer.changeState(.parameters, 0..<count) { try initial.restore($0.baseAddress!, count) }
        trainer.changeState(.firstMoment, 0..<count) { $0.update(repeating: 0) }
        trainer.changeState(.secondMoment, 0..<count) { $0.update(repeating: 0) }
        isInitial = true
    }

    /// Writes a part of a state that comes from elsewhere.
    func replace(
        _ vector: Trainer.StateVector, _ range: Range<Int>, _ body: (UnsafeMutableBufferPointer<Float>) -> Void
    ) {
        isInitial = false
        trainer.changeState(vector, range, body)
    }

    /// Why nothing that was computed just now may be used, when somebody has written to the files that frozen weights
    /// lie in, or to the data; nil = it may.
    func changedFile() -> String? {
        guard let path = frozen?.changedFile() ?? data.changedFile(mayGrow: source.blocks != nil) else { return nil }
        return "somebody wrote to \(path) while the job was running: what was computed meanwhile is not used; if it "
            + "holds other bytes now, put the old ones back"
    }

    /// What is in memory is not what was written there, not even at step 0.
    func distrust() { isInitial = false }

    /// Changes one bit in the middle of the parameters, as bad memory does.
    func flipBit() {
        guard trainer.count > 0 else { return }
        let place = trainer.count / 2
        trainer.changeState(.parameters, place..<place + 1) { $0[0] = Float(bitPattern: $0[0].bitPattern ^ 1 << 20) }
    }

    /// The micro-batch of the given sequences, one after another; nil = they are not what they were when the job was
    /// submitted: somebody has written to the file.
    private func microBatch(_ sequences: some Sequence<Int>, of set: SequenceSet) -> MicroBatch? {
        var tokens: [Int32] = []
        var targets: [Int32] = []
        var documents: [Int32] = []
        var places: [UInt64] = []
        for index in sequences {
            let sequence = set.sequence(index)
            guard sequence.fits(trainer.configuration) else { return nil }
            let base = Int32(tokens.count)
            tokens += sequence.tokens
            targets += sequence.targets
            documents += sequence.documentStarts.map { $0 + base }
            places += (0..<UInt64(sequence.tokens.count)).map { UInt64(index) << 32 | $0 }
        }
        return MicroBatch(tokens: tokens, targets: targets, documents: documents, places: places)
    }

    /// What became of computing a shard.
    enum ShardOutcome {
        case sum(NodeSum)
        /// Something in it is infinite or not a number.
        case nonFinite
        /// A file that it was to be computed from has changed.
        case fileChanged
        case givenUp
    }

    /// The gradient sum of one virtual shard of `recipe`; `goesOn` is asked between layers, and ends it when false.
    func gradient(of shard: Int, _ recipe: Recipe, goesOn: () -> Bool) -> ShardOutcome {
        guard source.wait(for: recipe.shards[shard].joined(), of: data.train, goesOn: goesOn) else { return .givenUp }
        let sum = NodeSum(shards: ShardRange(shard, shard + 1), lossSum: 0, from: pool)
        let batches = recipe.shards[shard].compactMap { microBatch($0.lazy.map(Int.init), of: data.train) }
        guard batches.count == recipe.shards[shard].count else { return .fileChanged }
        let gradient = trainer.shardGradient(batches, step: Int(recipe.step), into: sum.pointer, goesOn: goesOn)
        guard gradient.isWhole else { return .givenUp }
        guard gradient.isFinite else { return .nonFinite }
        sum.lossSum = gradient.lossSum
        compute.round(sum.pointer, count: trainer.count, for: wire)
        return .sum(sum)
    }

    /// left += right.
    func fold(_ left: NodeSum, _ right: NodeSum, into parent: ShardRange) {
        compute.add(left.pointer, right.pointer, count: trainer.count)
        compute.round(left.pointer, count: trainer.count, for: wire)
        left.shards = parent
        left.lossSum += right.lossSum
    }

    /// One optimizer step; `stalled` is how long it had to wait for a checkpoint, microseconds.
    func apply(_ recipe: Recipe, gradient: UnsafePointer<Float>) -> (report: UpdateReport, stalled: UInt64) {
        isInitial = false
        let begin = DispatchTime.now().uptimeNanoseconds
        // A checkpoint may still read the state that now changes.
        snapshot?.settle()
        snapshot = nil
        let now = DispatchTime.now().uptimeNanoseconds
        stepSeconds = updatedAt.map { Double(now - $0) / 1e9 } ?? 0
        updatedAt = now
        let report = trainer.apply(
            gradient: gradient, trainedTokens: recipe.trainedTokens,
            update: UpdateParameters(
                learningRate: recipe.learningRate, beta1: settings.beta1, beta2: settings.beta2,
                epsilon: settings.epsilon, weightDecay: settings.weightDecay, biasCorrection1: recipe.biasCorrection1,
                biasCorrection2: recipe.biasCorrection2, maxGradientNorm: settings.maxGradientNorm))
        return (report, (now - begin) / 1000)
    }

    /// The sequences of one evaluation shard: evenly spread over all that is held out, which may come from several
    /// files.
    private func heldOut(shard: Int) -> [Int] {
        let count = description.evaluationSequences
        let lower = count * shard / description.evaluationShards
        let upper = count * (shard + 1) / description.evaluationShards
        return (lower..<upper).map { $0 * data.validation.sequenceCount / count }
    }

    /// The held-out loss of one evaluation shard; nil when its data did not come while `goesOn` said so.
    func evaluate(shard: Int, goesOn: () -> Bool) -> LossSum? {
        let sequences = heldOut(shard: shard)
        guard source.wait(for: sequences, of: data.validation, goesOn: goesOn) else { return nil }
        var batches: [MicroBatch] = []
        for first in stride(from: 0, to: sequences.count, by: description.microBatch) {
            let part = sequences[first..<min(first + description.microBatch, sequences.count)]
            guard let batch = microBatch(part, of: data.validation) else { return nil }
            batches.append(batch)
        }
        return trainer.evaluate(batches)
    }

    // MARK: Data on their way

    /// The blocks that these shards of a step and of the two after it read, in order; none when all are here.
    func blocks(of ranges: [ShardRange], from recipe: Recipe) -> [Int] {
        guard source.isArriving else { return [] }
        let shards = ranges.flatMap { Array($0.lower..<$0.upper) }
        let order = description.order
        let next = (1...2).flatMap { ahead in
            let cut = order.shards(of: recipe.step + ahead)
            return shards.flatMap { cut[$0] }
        }
        return source.blocks(of: shards.flatMap { recipe.shards[$0].joined() } + next, data.train)
    }

    /// The blocks that these evaluation shards read.
    func blocks(ofEvaluation shards: ShardRange) -> [Int] {
        source.isArriving
            ? source.blocks(of: (shards.lower..<shards.upper).flatMap { heldOut(shard: $0) }, data.validation) : []
    }

    // MARK: Checkpoints

    /// Bytes of the whole state that checkpoints keep.
    var stateBytes: Int { plan?.totalBytes ?? 0 }

    /// The share of the state at this boundary that an order asks for; nil when the job has other tensors than it says.
    func beginSnapshot(_ order: SaveOrder) -> Snapshot? {
        endSnapshot()
        guard let plan, plan.layout.elements == trainer.count else { return nil }
        snapshot = Snapshot(order, plan) { [trainer] piece in
            let range = piece.offset..<piece.offset + piece.elements
            // It stays where it is as long as the trainer lives, which this closure holds.
            return trainer.readState(Trainer.StateVector.allCases[piece.role.rank], range) {
                UnsafeRawPointer($0.baseAddress!)
            }
        }
        return snapshot
    }

    /// Gives up what was not brought out yet; nothing reads the state after this.
    func endSnapshot() {
        snapshot?.cancel()
        snapshot = nil
    }
}

extension TokenSequence {
    /// Whether a model can be trained on the sequence, as on every one that was submitted: at least one token a
    /// document, no unknown token, no document that is longer than the model reads.
    fileprivate func fits(_ configuration: DecoderConfiguration) -> Bool {
        let vocabulary = Int32(clamping: configuration.vocabulary)
        let ends = documentStarts.dropFirst() + [Int32(tokens.count)]
        let most = configuration.positions > 0 ? configuration.positions : .max
        return documentStarts.first == 0
            && zip(documentStarts, ends).allSatisfy { $0 < $1 && Int($1 - $0) <= most }
            && tokens.allSatisfy { (0..<vocabulary).contains($0) }
            && targets.allSatisfy { (TokenSequence.noTarget..<vocabulary).contains($0) }
    }
}
