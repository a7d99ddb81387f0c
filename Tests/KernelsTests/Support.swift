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
        [Float](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                buffer[filled] = (Float(bits() >> 40) * 0x1p-23 - 1) * scale
                filled += 1
            }
        }
    }

    mutating func ids(_ count: Int, below bound: Int) -> [Int32] {
        (0..<count).map { _ in Int32(bits() % UInt64(bound)) }
    }
}

/// 1, 2 and 3 threads at the best level, and 2 at every other that this machine has. Made afresh, because a team serves
/// one caller and tests run side by side.
var everyCompute: [Compute] {
    let best = [1, 2, 3].map { Compute(team: Team(threads: $0)) }
    return best + KernelLevel.allCases.filter { $0 != .best }.compactMap { Compute(team: Team(threads: 2), level: $0) }
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

/// Floats compared by their bits, so that a NaN equals itself and zeros differ by sign.
struct Bits: Equatable, CustomStringConvertible {
    let arrays: [[Float]]

    static func == (left: Bits, right: Bits) -> Bool {
        guard left.arrays.count == right.arrays.count else { return false }
        return zip(left.arrays, right.arrays).allSatisfy { a, b in
            a.withUnsafeBytes { a in b.withUnsafeBytes { b in a.count == b.count && memcmp(a, b) } }
        }
    }

    private static func memcmp(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        var i = 0
        while i < a.count {
            guard
                a.loadUnaligned(fromByteOffset: i, as: UInt32.self)
                    == b.loadUnaligned(fromByteOffset: i, as: UInt32.self)
            else { return false }
            i += 4
        }
        return true
    }

    var description: String { "\(arrays.map { $0.prefix(4) })" }
}

func bits(_ arrays: [[Float]]) -> Bits { Bits(arrays: arrays) }

/// Whether two results agree to `tolerance`, relative to the larger of 1 and the reference.
func expectClose(
    _ value: [Float], _ reference: [Float], tolerance: Float = 2e-5, _ note: String = "",
    at location: SourceLocation = #_sourceLocation
) {
    #expect(value.count == reference.count, sourceLocation: location)
    var (top, i): (Float, Int) = (0, 0)
    value.withUnsafeBufferPointer { value in
        reference.withUnsafeBufferPointer { reference in
            while i < min(value.count, reference.count), !top.isNaN {
                let off = (value[i] - reference[i]).magnitude / max(1, reference[i].magnitude)
                if !(off <= top) { top = off }
                i += 1
            }
        }
    }
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

extension Compute {
    /// bf16 by rounding, whatever this machine has.
    var portable: Compute { using(.bf16, native: nil) }
}
