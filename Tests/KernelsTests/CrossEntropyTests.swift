import CKernels
import Kernels
import Testing

private struct Problem {
    let (rows, width, vocabulary): (Int, Int, Int)
    var h: [Float], head: [Float], bias: [Float], targets: [Int32]

    init(_ rows: Int, _ width: Int, _ vocabulary: Int, untrained: Bool = true) {
        (self.rows, self.width, self.vocabulary) = (rows, width, vocabulary)
        var numbers = Numbers(UInt64(rows * 100 + vocabulary))
        (h, head) = (numbers.floats(rows * width, scale: 2), numbers.floats(vocabulary * width))
        (bias, targets) = (numbers.floats(vocabulary), numbers.ids(rows, below: vocabulary))
        if untrained { for t in stride(from: 1, to: rows, by: 3) { targets[t] = -1 } }
    }

    /// The sum's bits in two words, row losses, dh, dHead, dBias.
    func everything(_ compute: Compute, biased: Bool = true) -> [[Float]] {
        var (losses, dh) = ([Float](repeating: 9, count: rows), h)
        var (dHead, dBias) = ([Float](repeating: 1, count: head.count), [Float](repeating: 1, count: vocabulary))
        let sum = compute.crossEntropy(
            h, head: head, bias: biased ? bias : nil, targets: targets, rows: rows, width: width,
            vocabulary: vocabulary,
            dh: &dh, dHead: &dHead, dBias: biased ? .some(&dBias) : nil, rowLosses: &losses, workspace: Workspace())
        return [[Float(sum)], losses, dh, dHead, dBias]
    }

    func reference(biased: Bool = true) -> [[Float]] {
        var (losses, dh) = ([Float](repeating: 9, count: rows), h)
        var (dHead, dBias) = ([Float](repeating: 1, count: head.count), [Float](repeating: 1, count: vocabulary))
        let sum =
            biased
            ? dk_crossentropy_f32_reference(
                h, head, bias, targets, rows, width, vocabulary, &dh, &dHead, &dBias, &losses)
            : dk_crossentropy_f32_reference(h, head, nil, targets, rows, width, vocabulary, &dh, &dHead, nil, &losses)
        return [[Float(sum)], losses, dh, dHead, dBias]
    }
}

@Suite struct CrossEntropyTests {
    @Test(arguments: [(1, 1, 1), (2, 3, 2), (5, 9, 7), (9, 4, 33), (33, 17, 65), (65, 8, 257), (300, 20, 100)])
    func `loss and gradients equal their references`(rows: Int, width: Int, vocabulary: Int) {
        let problem = Problem(rows, width, vocabulary)
        let fast = everywhere { problem.everything($0) }
        for (value, reference) in zip(fast, problem.reference()) { expectClose(value, reference) }
        for (value, reference) in zip(problem.everything(anyCompute, biased: false), problem.reference(biased: false)) {
            expectClose(value, reference)
        }
    }

    @Test func `the loss alone equals the loss with gradients`() {
        let problem = Problem(40, 12, 50)
        let alone = anyCompute.crossEntropy(
            problem.h, head: problem.head, bias: problem.bias, targets: problem.targets, rows: 40, width: 12,
            vocabulary: 50,
            dh: nil, dHead: nil, dBias: nil, workspace: Workspace())
        #expect(Float(alone) == problem.everything(anyCompute)[0][0])
    }

    @Test func `the gradients are slopes`() {
        let problem = Problem(4, 3, 5)
        func loss(_ change: (inout Problem) -> Void) -> Double {
            var changed = problem
            change(&changed)
            return anyCompute.crossEntropy(
                changed.h, head: changed.head, bias: changed.bias, targets: changed.targets, rows: 4, width: 3,
                vocabulary: 5,
                dh: nil, dHead: nil, dBias: nil, workspace: Workspace())
        }
        let results = problem.everything(anyCompute)
        expectGradient(results[2], of: { x in loss { $0.h = x } }, at: problem.h)
        expectGradient(results[3].map { $0 - 1 }, of: { x in loss { $0.head = x } }, at: problem.head)
        expectGradient(results[4].map { $0 - 1 }, of: { x in loss { $0.bias = x } }, at: problem.bias)
    }

    @Test func `a row gives the same bits alone and among others`() {
        let problem = Problem(30, 40, 70, untrained: false)
        let all = problem.everything(anyCompute)
        var alone = Problem(1, 40, 70, untrained: false)
        (alone.h, alone.head, alone.bias) = (Array(problem.h[17 * 40..<18 * 40]), problem.head, problem.bias)
        alone.targets = [problem.targets[17]]
        let one = alone.everything(anyCompute)
        #expect(bits([one[1], one[2]]) == bits([[all[1][17]], Array(all[2][17 * 40..<18 * 40])]))
    }

    @Test func `chunks of rows do not show in the result`() {
        // A chunk holds 256 rows of 262,144 logits, so 296 rows are worked off in two; or in two calls.
        let problem = Problem(296, 1, 262_144, untrained: false)
        var whole = [Float](repeating: 1, count: problem.vocabulary)
        var parts = whole
        func losses(_ rows: Range<Int>, _ dHead: inout [Float]) -> [Float] {
            var losses = [Float](repeating: 0, count: rows.count)
            _ = anyCompute.crossEntropy(
                Array(problem.h[rows]), head: problem.head, bias: nil, targets: Array(problem.targets[rows]),
                rows: rows.count,
                width: 1, vocabulary: problem.vocabulary, dh: nil, dHead: &dHead, dBias: nil, rowLosses: &losses,
                workspace: Workspace())
            return losses
        }
        let together = losses(0..<296, &whole)
        let separate = losses(0..<256, &parts) + losses(256..<296, &parts)
        #expect(bits([together, whole]) == bits([separate, parts]))
    }

    @Test func `without trained rows there is no loss and no gradient`() {
        var problem = Problem(3, 2, 4)
        problem.targets = [-1, -1, -1]
        let results = problem.everything(anyCompute)
        #expect(results[0] == [0] && results[1] == [0, 0, 0] && results[2].allSatisfy { $0 == 0 })
        #expect(results[3].allSatisfy { $0 == 1 } && results[4].allSatisfy { $0 == 1 })
    }

    @Test func `large logits neither overflow nor lose their loss`() {
        let sum = anyCompute.crossEntropy(
            [1000], head: [1, -1], bias: nil, targets: [1], rows: 1, width: 1, vocabulary: 2, dh: nil, dHead: nil,
            dBias: nil,
            workspace: Workspace())
        #expect(sum == 2000)
    }
}
