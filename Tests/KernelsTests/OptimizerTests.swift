import CKernels
import Testing

@testable import Kernels

private let step = AdamWStep(
    learningRate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, biasCorrection1: 0.271,
    biasCorrection2: 0.002997, gradientScale: 0.25)

/// The state as float words, with the digest behind it.
private func words(_ p: [Float], _ m: [Float], _ v: [Float], _ digest: UInt64) -> [[Float]] {
    [p, m, v, [Float(bitPattern: UInt32(truncatingIfNeeded: digest)), Float(bitPattern: UInt32(digest >> 32))]]
}

@Suite struct OptimizerTests {
    @Test(arguments: [1, 9, 33, 4096, 4097, 12_345])
    func `AdamW equals its reference and returns the digest of the result`(
        count: Int
    ) {
        var numbers = Numbers(1)
        let (p, m, g) = (numbers.floats(count), numbers.floats(count), numbers.floats(count))
        let v = numbers.floats(count).map(\.magnitude)
        let ranges = [0..<min(count, 5), min(count, 40)..<min(count, 4100)]
        let fast = everywhere { compute in
            var (p, m, v) = (p, m, v)
            let digest = compute.adamW(p: &p, m: &m, v: &v, g: g, count: count, step: step, decayRanges: ranges)
            #expect(digest == compute.stateDigest(p: p, m: m, v: v, count: count))
            return words(p, m, v, digest)
        }
        #expect(
            words(fast[0], fast[1], fast[2], dk_state_digest_reference(fast[0], fast[1], fast[2], count))[3].map(
                \.bitPattern)
                == fast[3].map(\.bitPattern))
        var (slowP, slowM, slowV) = (p, m, v)
        var constants = step.folded
        for i in 0..<count {
            let decay = ranges.contains { $0.contains(i) }
            var (a, b, c) = (p[i], m[i], v[i])
            dk_adamw_f32_reference(&a, &b, &c, [g[i]], 1, &constants, decay ? 1 : 0)
            (slowP[i], slowM[i], slowV[i]) = (a, b, c)
        }
        for (value, reference) in zip(fast, [slowP, slowM, slowV]) { expectClose(value, reference, tolerance: 1e-6) }
    }

    @Test func `AdamW follows the paper's formulas in fp64`() {
        var (p, m, v): ([Float], [Float], [Float]) = ([0.5], [0.01], [0.002])
        _ = anyCompute.adamW(p: &p, m: &m, v: &v, g: [0.8], count: 1, step: step)
        let g = 0.8 * 0.25
        let newM = 0.9 * 0.01 + 0.1 * g
        let newV = 0.999 * 0.002 + 0.001 * g * g
        let update = 1e-2 / 0.271 * newM / ((newV / 0.002997).squareRoot() + 1e-8)
        expectClose([p[0], m[0], v[0]], [Float(0.5 * (1 - 1e-3) - update), Float(newM), Float(newV)], tolerance: 1e-7)
    }

    @Test func `the digest notices one flipped bit anywhere, and two that might cancel`() {
        var numbers = Numbers(2)
        let count = 5000
        let state = (0..<3).map { _ in numbers.floats(count) }
        func digest(_ state: [[Float]], _ count: Int) -> UInt64 {
            anyCompute.stateDigest(p: state[0], m: state[1], v: state[2], count: count)
        }
        let old = digest(state, count)
        for (tensor, element) in [(0, 0), (1, 15), (2, 16), (0, 4095), (1, 4096), (2, 4999)] {
            for bit: UInt32 in [0, 15, 31] {
                var changed = state
                changed[tensor][element] = Float(bitPattern: state[tensor][element].bitPattern ^ 1 << bit)
                #expect(digest(changed, count) != old)
                changed[tensor][(element + 16) % count].negate()
                #expect(digest(changed, count) != old)
            }
        }
        #expect(digest([state[1], state[0], state[2]], count) != old)
        #expect(digest(state, count - 1) != old)
    }

    @Test(arguments: [1, 16, 4095, 4096, 10_000]) func `the sum of squares is right and the same for any team`(
        count: Int
    ) {
        var numbers = Numbers(3)
        let g = numbers.floats(count, scale: 100)
        let sums = everyCompute.map { $0.sumOfSquares(g, count: count) }
        #expect(sums.allSatisfy { $0 == sums[0] })
        let slow = dk_sum_of_squares_f32_reference(g, count)
        #expect(abs(sums[0] - slow) <= slow * 1e-13)
    }

    @Test func `a block is cut where decay starts and ends`() {
        func cut(_ ranges: [Range<Int>]) -> [String] {
            decaySegments(of: 10..<20, ranges).map { "\($0.part)\($0.decay ? "+" : "")" }
        }
        #expect(cut([]) == ["10..<20"])
        #expect(cut([0..<100]) == ["10..<20+"])
        #expect(cut([0..<10, 20..<30]) == ["10..<20"])
        #expect(cut([0..<12, 14..<15, 19..<25]) == ["10..<12+", "12..<14", "14..<15+", "15..<19", "19..<20+"])
    }
}
