import Recipes
import Testing

@Suite struct BatchPlanTests {
    private func plan(
        sequences: Int = 10, batch: Int = 4, micro: Int = 1, shards: Int = 2, seed: UInt64? = nil, total: Int = 25
    ) -> BatchPlan {
        BatchPlan(
            index: SequenceIndex(
                tokens: (0..<sequences).map { Int32(100 + $0) }, trained: (0..<sequences).map { Int32($0) }),
            globalBatch: batch, microBatch: micro, virtualShards: shards, shuffleSeed: seed, totalSequences: total,
            beta1: 0.9, beta2: 0.999)
    }

    private let schedule = LearningRateSchedule(kind: .constant, peak: 1e-3, warmupRatio: 0, plannedSteps: 7)

    @Test func `file order runs across the end of an epoch and the last batch is short`() {
        let plan = plan()

        #expect(plan.plannedSteps == 7)
        #expect(plan.sequences(of: 1) == [0, 1, 2, 3])
        #expect(plan.sequences(of: 3) == [8, 9, 0, 1])
        #expect(plan.sequences(of: 7) == [4])
        #expect(plan.sequences(of: 8) == [])
    }

    @Test func `each epoch visits every sequence once in an order of its own`() {
        let plan = plan(seed: 5, total: 30)
        let visited = (1...plan.plannedSteps).flatMap(plan.sequences(of:)).map(Int.init)

        for epoch in 0..<3 { #expect(visited[epoch * 10..<epoch * 10 + 10].sorted() == Array(0..<10)) }
        #expect(visited[0..<10] != visited[10..<20])
        let permutation = Permutation(count: 10, seed: 5, epoch: 1)
        #expect(Array(visited[10..<20]) == (0..<10).map { permutation[$0] })
    }

    @Test func `a batch is cut into shards as equal as possible and shards into micro-batches`() {
        let recipe = plan(batch: 7, micro: 2, shards: 3, total: 7).recipe(of: 1, schedule: schedule)

        #expect(recipe.shards == [[[0, 1]], [[2, 3]], [[4, 5], [6]]])
    }

    @Test func `a batch smaller than the number of shards leaves shards empty`() {
        let recipe = plan(batch: 2, shards: 4, total: 2).recipe(of: 1, schedule: schedule)

        #expect(recipe.shards == [[], [[0]], [], [[1]]])
        #expect(recipe.sequenceCount == 2)
    }

    @Test func `shards hold the batch in order whatever its size`() {
        for batch in 1...20 {
            for shards in 1...9 {
                let plan = plan(sequences: 20, batch: batch, micro: 3, shards: shards, total: 20)
                let recipe = plan.recipe(of: 1, schedule: schedule)
                let sizes = recipe.shards.map { $0.reduce(0) { $0 + $1.count } }
                #expect(recipe.shards.flatMap { $0.flatMap(\.self) } == plan.sequences(of: 1))
                #expect(recipe.shards.count == shards)
                #expect(sizes.max()! - sizes.min()! <= 1)
                #expect(recipe.shards.allSatisfy { $0.allSatisfy { (1...3).contains($0.count) } })
            }
        }
    }

    @Test func `a recipe counts its tokens and says where it stands`() {
        let recipe = plan().recipe(of: 3, schedule: schedule)

        #expect(recipe.step == 3)
        #expect(recipe.inputTokens == 108 + 109 + 100 + 101)
        #expect(recipe.trainedTokens == 8 + 9 + 0 + 1)
        #expect(recipe.firstSequence == 8)
        #expect(recipe.learningRate == 1e-3)
        #expect(abs(recipe.biasCorrection1 - 0.271) < 1e-12)
        #expect(abs(recipe.biasCorrection2 - 0.002997001) < 1e-12)
    }
}
