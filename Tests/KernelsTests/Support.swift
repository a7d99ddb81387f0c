import Kernels
import Testing

/// Reproducible floats and ids for tests (SplitMix64).
struct Numbers {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func bits() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    /// Uniform in (-scale, scale).
    mutating func floats(_ count: Int, scale: Float = 1) -> [Float] {
        (0..<count).map { _ in (Float(bits() >> 40) * 0x1p-23 - 1) * scale }
    }

    mutating func ids(_ count: Int, below bound: Int) -> [Int32] {
        (0..<count).map { _ in Int32(bits() % UInt64(bound)) }
    }
}

/// Every level this machine has, with 1, 2 and 3 threads. Made afresh, because a team serves one caller and tests run side
/// by side.
var everyCompute: [Compute] {
    [1, 2, 3].flatMap { threads in
        let team = Team(threads: threads)
        return KernelLevel.allCases.compactMap { Compute(team: team, level: $0) }
    }
}

var anyCompute: Compute { Compute(team: Team(threads: 2)) }

/// Runs `body` on every level and thread count, checks that all give the same bits, and returns them.
func everywhere(_ note: String = "", _ body: (Compute) -> [[Float]]) -> [[Float]] {
    let results = everyCompute.map { ($0, body($0)) }
    for (compute, result) in results.dropFirst() {
        #expect(
            bits(result) == bits(results[0].1), "\(compute.level), \(compute.team.threads) threads differ \(note)")
    }
    return results[0].1
}

func bits(_ arrays: [[Float]]) -> [[UInt32]] { arrays.map { $0.map(\.bitPattern) } }

/// Whether two results agree to `tolerance`, relative to the larger of 1 and the reference.
func expectClose(
    _ value: [Float], _ reference: [Float], tolerance: Float = 2e-5, _ note: String = "",
    at location: SourceLocation = #_sourceLocation
) {
    #expect(value.count == reference.count, sourceLocation: location)
    let worst = zip(value, reference).map { ($0 - $1).magnitude / max(1, $1.magnitude) }
    let top = worst.contains(where: \.isNaN) ? Float.nan : worst.max() ?? 0
    #expect(top <= tolerance, "off by \(top) \(note)", sourceLocation: location)
}

/// Checks a gradient of `loss` with respect to `x` by central differences.
func expectGradient(
    _ gradient: [Float], of loss: ([Float]) -> Double, at x: [Float], step: Float = 0.01, tolerance: Double = 5e-3,
    location: SourceLocation = #_sourceLocation
) {
    for i in x.indices {
        var (above, below) = (x, x)
        above[i] += step
        below[i] -= step
        let slope = (loss(above) - loss(below)) / Double(above[i] - below[i])
        let error = abs(slope - Double(gradient[i])) / max(1, abs(slope))
        #expect(error <= tolerance, "element \(i): \(gradient[i]) against \(slope)", sourceLocation: location)
    }
}

/// sum x y, in fp64.
func dot(_ x: [Float], _ y: [Float]) -> Double { zip(x, y).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
