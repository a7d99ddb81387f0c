import Foundation
import Kernels
import ModelFiles
import Models
import Terms
import Testing
import Training

/// The trained model that the repository carries: what bf16 does to its gradients.
@Suite struct RoundedGradientTests {
    private static let model = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("configs/models/quickstart").path

    /// Rounding; the native path with fp32 operands; and where there is one, the native path itself.
    private static let paths: [NativeProducts.Operands?] =
        [nil, .fp32] + (Compute.hasNativeBF16 ? [NativeProducts.Operands.bf16] : [])

    private func gradient(_ method: TrainingMethod, _ compute: Compute) throws -> [Double] {
        let directory = try ModelDirectory(path: Self.model)
        let isFull = if case .full = method { true } else { false }
        let weights = try directory.loadWeights(for: isFull ? .fp32 : compute.arithmetic)
        let trainer = try Trainer(
            configuration: directory.configuration, weights: weights.table, owner: weights, method: method,
            compute: compute)
        let vocabulary = UInt64(directory.configuration.vocabulary)
        let batch = MicroBatch(
            documents: [60, 41, 90].enumerated().map { number, length in
                let random = Philox(seed: 3, purpose: .probe, stream: UInt64(number))
                let ids = (0..<length).map { Int32(random.below(vocabulary, UInt64($0))) }
                return (ids: ids, labels: ids)
            })
        let memory = FloatBuffer(count: trainer.count)
        _ = trainer.shardGradient([batch], into: memory.pointer)
        return (0..<memory.count).map { Double(memory.pointer[$0]) }
    }

    private func cosine(_ left: [Double], _ right: [Double]) -> Double {
        func product(_ left: [Double], _ right: [Double]) -> Double { zip(left, right).reduce(0) { $0 + $1.0 * $1.1 } }
        return product(left, right) / (product(left, left) * product(right, right)).squareRoot()
    }

    @Test(arguments: paths) func `its gradients in bf16 point where those of fp32 do`(
        path: NativeProducts.Operands?
    ) throws {
        let compute = Compute(team: Team(threads: 2))
        let rounded = compute.using(.bf16, native: path.map { NativeProducts($0, threads: 2) })
        for method in [
            TrainingMethod.full, .adapter(AdapterSpecification(rank: 16, alpha: 32), seed: 1, initial: nil),
        ] {
            let (exact, other) = (try gradient(method, compute), try gradient(method, rounded))
            #expect(exact != other)
            #expect(cosine(exact, other) >= 0.999)
        }
    }
}
