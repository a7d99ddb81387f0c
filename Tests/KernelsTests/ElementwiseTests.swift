import CKernels
import Kernels
import Testing

@Suite struct ElementwiseTests {
    /// Values over the whole range of a gate, special ones too.
    private let x: [Float] = Numbers.spread + [0, -0.0, 100, -100, 1e30, -1e30]

    @Test func `SwiGLU and its gradient equal their references`() {
        var numbers = Numbers(1)
        let up = numbers.floats(x.count)
        let dy = numbers.floats(x.count)
        let fast = everywhere { compute in
            var (y, dgate, dup) = (x, x, x)
            compute.swiglu(&y, gate: x, up: up, count: x.count)
            compute.swigluBackward(dgate: &dgate, dup: &dup, dy, gate: x, up: up, count: x.count)
            return [y, dgate, dup]
        }
        var (y, dgate, dup) = (x, x, x)
        dk_swiglu_f32_reference(&y, x, up, x.count)
        dk_swiglu_f32_backward_reference(&dgate, &dup, dy, x, up, x.count)
        // Gates of 1e30 leave infinity times zero in the slope; no activation is that large and finite.
        for (value, reference) in zip(fast, [y, dgate, dup]) { expectClose(value, reference, tolerance: 1e-6) }
    }

    @Test func `GELU and its gradient equal their references`() {
        let x = Array(x.filter { $0.magnitude < 1e10 })
        var numbers = Numbers(2)
        let dy = numbers.floats(x.count)
        let fast = everywhere { compute in
            var (y, dx) = (x, x)
            compute.gelu(&y, x, count: x.count)
            compute.geluBackward(&dx, dy, x, count: x.count)
            return [y, dx]
        }
        var (y, dx) = (x, x)
        dk_gelu_f32_reference(&y, x, x.count)
        dk_gelu_f32_backward_reference(&dx, dy, x, x.count)
        for (value, reference) in zip(fast, [y, dx]) { expectClose(value, reference, tolerance: 3e-6) }
    }

    @Test func `a gate far below zero keeps its relative precision`() {
        let gates = (1...80).map { -Float($0) }
        var y = gates
        anyCompute.swiglu(&y, gate: gates, up: gates.map { 1 / $0 }, count: gates.count)
        // What is left is 1 / (1 + exp(-gate)), close to exp(gate).
        var expected = 1.0
        for (i, value) in y.enumerated() {
            expected /= 2.718281828459045235
            #expect(abs(Double(value) * (1 + expected) / expected - 1) < 1e-6, "gate \(gates[i])")
        }
    }

    @Test func `the gradients are slopes`() {
        var numbers = Numbers(3)
        let gate = numbers.floats(7, scale: 3)
        let up = numbers.floats(7)
        let dy = numbers.floats(7)
        var (dgate, dup, dx) = (gate, up, gate)
        anyCompute.swigluBackward(dgate: &dgate, dup: &dup, dy, gate: gate, up: up, count: 7)
        anyCompute.geluBackward(&dx, dy, gate, count: 7)
        func swiglu(_ gate: [Float], _ up: [Float]) -> Double {
            var y = gate
            dk_swiglu_f32_reference(&y, gate, up, 7)
            return dot(y, dy)
        }
        func gelu(_ x: [Float]) -> Double {
            var y = x
            dk_gelu_f32_reference(&y, x, 7)
            return dot(y, dy)
        }
        expectGradient(dgate, of: { swiglu($0, up) }, at: gate)
        expectGradient(dup, of: { swiglu(gate, $0) }, at: up)
        expectGradient(dx, of: gelu, at: gate)
    }

    @Test func `any part of a vector gives the bits of the whole, at any alignment`() {
        var whole = x
        anyCompute.gelu(&whole, x, count: x.count)
        for start in [0, 1, 3, 15, 17] {
            for count in [1, 2, 15, 16, 33] {
                var part = Array(x[start..<start + count])
                anyCompute.gelu(&part, part, count: count)
                #expect(bits([part]) == bits([Array(whole[start..<start + count])]))
            }
        }
    }

    @Test func `addition and scaling do what they say`() {
        var numbers = Numbers(4)
        let a = numbers.floats(40_001)
        let b = numbers.floats(40_001)
        let fast = everywhere { compute in
            var (sum, scaled) = (a, a)
            compute.add(&sum, b, count: a.count)
            compute.scale(&scaled, by: 0.3, count: a.count)
            return [sum, scaled]
        }
        #expect(bits(fast) == bits([zip(a, b).map { $0 + $1 }, a.map { $0 * 0.3 }]))
    }

    @Test func `rows are scaled and multiplied as their references say`() {
        var numbers = Numbers(5)
        for width in [1, 7, 16, 33, 200] {
            let rows = 37
            let (x, y, factors) = (numbers.floats(rows * width), numbers.floats(rows * width), numbers.floats(rows))
            let fast = everywhere { compute in
                var (scaled, dots) = (x, factors)
                compute.scaleRows(&scaled, by: factors, rows: rows, width: width)
                compute.dotRows(&dots, x, y, rows: rows, width: width)
                return [scaled, dots]
            }
            var (scaled, dots) = (x, factors)
            dk_scale_rows_f32_reference(&scaled, factors, rows, width)
            dk_dot_rows_f32_reference(&dots, x, y, rows, width)
            #expect(bits([fast[0]]) == bits([scaled]))
            expectClose(fast[1], dots)
        }
    }

    @Test func `every n-th element is taken out and put back`() {
        let x = (0..<40_000).map(Float.init)
        var (taken, put) = ([Float](repeating: 0, count: 8000), [Float](repeating: -1, count: 40_000))
        anyCompute.take(&taken, x, step: 5, count: 8000)
        anyCompute.put(&put, taken, step: 5, count: 8000)
        #expect(taken == stride(from: 0, to: 40_000, by: 5).map(Float.init))
        #expect(put == x.map { Int($0) % 5 == 0 ? $0 : -1 })
    }

    @Test func `a value that is not a number stays one`() {
        var y: [Float] = [.nan, 1]
        anyCompute.swiglu(&y, gate: y, up: [1, 1], count: 2)
        #expect(y[0].isNaN && !y[1].isNaN)
    }
}

extension Numbers {
    /// -12 to 12 in steps of 1/64.
    static var spread: [Float] { (-768...768).map { Float($0) / 64 } }
}
