import CKernels
import Kernels
import Testing

/// Shapes around the tile (6, 12, 16, 32), the run of k (256) and the block of rows (192).
private let shapes: [(rows: Int, inputs: Int, outputs: Int)] =
    (1...9).map { ($0, 10 - $0, $0 % 4 + 1) } + [
        (33, 65, 17), (5, 257, 65), (193, 300, 40), (400, 513, 31), (7, 600, 300),
    ]

/// bf16 where the machine does not multiply it: operands are rounded, and all else is fp32.
@Suite struct RoundedTests {
    private func narrowed(_ x: [Float]) -> [UInt16] {
        var y = [UInt16](repeating: 0, count: x.count)
        dk_narrow_bf16_reference(&y, x, x.count)
        return y
    }

    private func rounded(_ x: [Float]) -> [Float] {
        var y = x
        dk_round_bf16_reference(&y, x, x.count)
        return y
    }

    @Test(arguments: shapes) func `rounded products equal their references, at every level and thread count`(
        rows: Int, inputs: Int, outputs: Int
    ) {
        var numbers = Numbers(1)
        let (x, w, dy) = (
            numbers.floats(rows * inputs), numbers.floats(outputs * inputs), numbers.floats(rows * outputs)
        )
        let bias = numbers.floats(outputs)
        let fast = everywhere { compute in
            let compute = compute.portable
            var (y, dx, dw) = (dy, x, w)
            compute.linear(&y, x, w, bias: bias, rows: rows, inputs: inputs, outputs: outputs, accumulate: true)
            compute.linearInputGradient(&dx, dy, w, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
            compute.linearWeightGradient(&dw, dy, x, rows: rows, inputs: inputs, outputs: outputs)
            return [y, dx, dw]
        }
        var (y, dx, dw) = (dy, x, w)
        dk_linear_bf16_reference(&y, x, w, bias, rows, inputs, outputs, 1)
        dk_linear_input_gradient_bf16_reference(&dx, dy, w, rows, inputs, outputs, 0)
        dk_linear_weight_gradient_bf16_reference(&dw, dy, x, rows, inputs, outputs)
        for (value, reference) in zip(fast, [y, dx, dw]) { expectClose(value, reference) }
    }

    @Test(arguments: shapes) func `rounding while packing gives the bits of rounding before`(
        rows: Int, inputs: Int, outputs: Int
    ) {
        var numbers = Numbers(2)
        let (x, w, dy) = (
            numbers.floats(rows * inputs), numbers.floats(outputs * inputs), numbers.floats(rows * outputs)
        )
        let turned = (0..<inputs * outputs).map { w[$0 % outputs * inputs + $0 / outputs] }
        func results(_ compute: Compute, _ x: [Float], _ w: Matrix, _ turned: Matrix, _ dy: [Float]) -> [[Float]] {
            var (y, other, dx, dw) = (dy, dy, x, [Float](repeating: 1, count: inputs * outputs))
            compute.linear(&y, x, w, bias: nil, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
            compute.linearTransposed(
                &other, x, turned, bias: nil, rows: rows, inputs: inputs, outputs: outputs, accumulate: true)
            compute.linearInputGradient(&dx, dy, w, rows: rows, inputs: inputs, outputs: outputs, accumulate: true)
            compute.linearWeightGradient(&dw, dy, x, rows: rows, inputs: inputs, outputs: outputs)
            return [y, other, dx, dw]
        }
        let (before, beforeTurned) = (rounded(w), rounded(turned))
        let (halves, halvesTurned) = (narrowed(w), narrowed(turned))
        let compute = anyCompute
        let wide = before.withUnsafeBufferPointer { w in
            beforeTurned.withUnsafeBufferPointer { turned in
                results(
                    compute, rounded(x), Matrix(.fp32(w.baseAddress!)), Matrix(.fp32(turned.baseAddress!)), rounded(dy))
            }
        }
        // With accumulation the old contents count, which are not operands.
        func same(_ other: [[Float]]) -> Bool {
            bits([other[0], other[3]]) == bits([wide[0], wide[3]])
        }
        let packed = w.withUnsafeBufferPointer { w in
            turned.withUnsafeBufferPointer { turned in
                results(
                    compute.portable, x, Matrix(.fp32(w.baseAddress!)), Matrix(.fp32(turned.baseAddress!)), dy)
            }
        }
        let stored = halves.withUnsafeBufferPointer { w in
            halvesTurned.withUnsafeBufferPointer { turned in
                results(
                    compute.portable, x, Matrix(.bf16(w.baseAddress!)), Matrix(.bf16(turned.baseAddress!)), dy)
            }
        }
        #expect(same(packed))
        #expect(bits(packed) == bits(stored))
    }

    @Test(arguments: [(1, 1), (7, 33), (256, 32), (257, 17), (300, 100)])
    func `a rounded row alone has the bits it has among others`(inputs: Int, outputs: Int) {
        var numbers = Numbers(6)
        let (x, w) = (numbers.floats(3 * inputs), numbers.floats(inputs * outputs))
        let halves = narrowed(w)
        let compute = anyCompute.portable
        func products(_ rows: Int, _ first: Int, _ w: Matrix) -> [[Float]] {
            let x = Array(x[first * inputs..<(first + rows) * inputs])
            var y = [Float](repeating: 1, count: rows * outputs)
            var other = y
            compute.linear(&y, x, w, bias: nil, rows: rows, inputs: inputs, outputs: outputs, accumulate: true)
            compute.linearTransposed(
                &other, x, w, bias: nil, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
            return [y, other]
        }
        func check(_ w: Matrix) {
            let together = products(3, 0, w)
            for row in 0..<3 {
                let part = row * outputs..<(row + 1) * outputs
                #expect(bits(products(1, row, w)) == bits(together.map { Array($0[part]) }))
            }
        }
        w.withUnsafeBufferPointer { check(Matrix(.fp32($0.baseAddress!))) }
        halves.withUnsafeBufferPointer { check(Matrix(.bf16($0.baseAddress!))) }
    }

    @Test func `rounding in place equals its reference`() {
        var numbers = Numbers(3)
        for count in [0, 1, 15, 16, 17, 1000] {
            let special: [Float] = [.infinity, -.nan, 0, -0.0, 0x1.fffffep127, 0x1.018p0, 0x1.008p0]
            let x = numbers.floats(count, scale: 1e5) + special
            let fast = everywhere { compute in
                var y = x
                compute.roundToBF16(&y, count: y.count)
                return [y]
            }
            #expect(bits(fast) == bits([rounded(x)]))
        }
    }

    @Test(arguments: [(1, 1), (2, 16), (7, 17), (32, 64), (33, 63), (40, 50)])
    func `packed pairs equal their reference at every level`(k: Int, columns: Int) {
        var numbers = Numbers(5)
        let height = (k + 31) / 32 * 32
        for isTurned in [false, true] {
            let step = (isTurned ? k : columns) + 3
            let x = numbers.floats(step * (isTurned ? columns : k)) + [.infinity, 0x1.018p0]
            var expected = [UInt16](repeating: 7, count: height * 64)
            dk_pack_pairs_reference(&expected, x, step, k, columns, height, isTurned ? 1 : 0)
            for level in KernelLevel.allCases {
                guard let compute = Compute(team: Team(threads: 1), level: level) else { continue }
                var packed = [UInt16](repeating: 9, count: height * 64)
                compute.packPairs(
                    &packed, x, step: step, k: k, columns: columns, padded: height, isTurned: isTurned)
                #expect(packed == expected, "\(level), turned: \(isTurned)")
                var other = [UInt16](repeating: 5, count: height * 64)
                compute.packPairs(
                    &other, narrowed(x), step: step, k: k, columns: columns, padded: height, isTurned: isTurned)
                #expect(other == expected, "\(level), of bf16")
            }
        }
    }

    @Test(arguments: [(1, 1), (16, 8), (17, 9), (40, 33), (5, 70)])
    func `a transpose, rounded or not, is one`(rows: Int, columns: Int) {
        var numbers = Numbers(4)
        let (step, ystep) = (columns + 3, rows + 5)
        let x = numbers.floats(rows * step)
        for level in KernelLevel.allCases {
            guard let compute = Compute(team: Team(threads: 1), level: level) else { continue }
            var wide = [Float](repeating: 7, count: columns * ystep)
            var narrow = [UInt16](repeating: 7, count: columns * ystep)
            compute.turn(&wide, step: ystep, x, step: step, rows: rows, columns: columns)
            compute.narrowTurned(&narrow, step: ystep, x, step: step, rows: rows, columns: columns)
            for j in 0..<columns {
                for i in 0..<ystep {
                    let value = i < rows ? x[i * step + j] : 7
                    #expect(wide[j * ystep + i] == value)
                    #expect(narrow[j * ystep + i] == (i < rows ? narrowed([value])[0] : 7))
                }
            }
        }
    }
}
