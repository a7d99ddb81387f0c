import CKernels
import Kernels
import Testing

private let shapes: [(rows: Int, heads: Int, headWidth: Int, rotary: Int)] = [
    (1, 1, 2, 2), (3, 2, 8, 8), (9, 3, 10, 6), (5, 1, 66, 66), (70, 2, 64, 64), (7, 2, 128, 34),
]

@Suite struct RotaryTests {
    @Test(arguments: shapes) func `rotation equals its reference in both layouts and both directions`(
        rows: Int, heads: Int, headWidth: Int, rotary: Int
    ) {
        var numbers = Numbers(1)
        let x = numbers.floats(rows * heads * headWidth)
        let positions = numbers.ids(rows, below: 12)
        let cosines = numbers.floats(12 * rotary / 2)
        let sines = numbers.floats(12 * rotary / 2)
        for (layout, inverse) in [
            (RotaryLayout.half, false), (.half, true), (.interleaved, false), (.interleaved, true),
        ] {
            let fast = everywhere { compute in
                var y = x
                compute.rope(
                    &y, positions: positions, cos: cosines, sin: sines, rows: rows, heads: heads, headWidth: headWidth,
                    rotary: rotary, layout: layout, inverse: inverse)
                return [y]
            }
            var slow = x
            dk_rope_f32_reference(
                &slow, positions, cosines, sines, rows, heads, headWidth, rotary, layout == .interleaved ? 1 : 0,
                inverse ? 1 : 0)
            expectClose(fast[0], slow)
        }
    }

    @Test func `the inverse undoes a rotation and leaves the other dimensions of the token alone`() {
        var numbers = Numbers(2)
        let x = numbers.floats(3 * 20)
        let positions: [Int32] = [0, 5, 2]
        let angles = numbers.floats(6 * 2, scale: 3)
        let cosines = angles.map { Float(cosine($0)) }
        let sines = angles.map { Float(sine($0)) }
        var y = x
        for inverse in [false, true] {
            anyCompute.rope(
                &y, positions: positions, cos: cosines, sin: sines, rows: 3, heads: 2, headWidth: 5, rotary: 4,
                layout: .half,
                inverse: inverse, stride: 20)
            if !inverse { #expect(y != x) }
            for token in 0..<3 { #expect(y[token * 20 + 10..<token * 20 + 20] == x[token * 20 + 10..<token * 20 + 20]) }
        }
        expectClose(y, x, tolerance: 1e-6)
    }

    /// Taylor series, good to 1e-9 in (-3, 3).
    private func sine(_ x: Float) -> Double {
        var (term, sum) = (Double(x), Double(x))
        for k in 1..<15 {
            term *= -Double(x) * Double(x) / Double(2 * k * (2 * k + 1))
            sum += term
        }
        return sum
    }

    private func cosine(_ x: Float) -> Double {
        var (term, sum) = (1.0, 1.0)
        for k in 1..<15 {
            term *= -Double(x) * Double(x) / Double(2 * k * (2 * k - 1))
            sum += term
        }
        return sum
    }
}
