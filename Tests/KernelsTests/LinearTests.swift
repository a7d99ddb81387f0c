import CKernels
import Kernels
import Testing

/// Shapes around the tile (6, 12, 16, 32), the run of k (256) and the block of rows (192).
private let shapes: [(rows: Int, inputs: Int, outputs: Int)] =
    (1...9).map { ($0, 10 - $0, $0 % 4 + 1) } + [
        (33, 65, 17), (65, 33, 257), (257, 5, 33), (5, 257, 65), (193, 300, 40), (400, 513, 31), (12, 32, 96),
        (7, 600, 300),
    ]

@Suite struct LinearTests {
    @Test(arguments: shapes) func `a linear layer equals its reference, at every level and thread count`(
        rows: Int, inputs: Int, outputs: Int
    ) {
        var numbers = Numbers(1)
        let x = numbers.floats(rows * inputs)
        let w = numbers.floats(outputs * inputs)
        let bias = numbers.floats(outputs)
        let old = numbers.floats(rows * outputs)
        for (accumulate, biased) in [(false, false), (false, true), (true, false), (true, true)] {
            let fast = everywhere { compute in
                var y = old
                compute.linear(
                    &y, x, w, bias: biased ? bias : nil, rows: rows, inputs: inputs, outputs: outputs,
                    accumulate: accumulate)
                return [y]
            }
            var slow = old
            dk_linear_f32_reference(&slow, x, w, biased ? bias : nil, rows, inputs, outputs, accumulate ? 1 : 0)
            expectClose(fast[0], slow)
        }
    }

    @Test(arguments: [(1, 1), (7, 33), (256, 32), (257, 17), (300, 100), (768, 800)])
    func `a row alone has the bits it has among others, from weights of either layout`(inputs: Int, outputs: Int) {
        var numbers = Numbers(6)
        let (x, w) = (numbers.floats(3 * inputs), numbers.floats(inputs * outputs))
        let (bias, old) = (numbers.floats(outputs), numbers.floats(3 * outputs))
        for (accumulate, biased) in [(false, false), (false, true), (true, false), (true, true)] {
            func rows(_ product: (Compute, UnsafeMutablePointer<Float>, UnsafePointer<Float>, Int) -> Void) -> Bool {
                let together = everywhere { compute in
                    var y = old
                    product(compute, &y, x, 3)
                    return [y]
                }
                let alone = everywhere { compute in
                    var y = old
                    y.withUnsafeMutableBufferPointer { y in
                        x.withUnsafeBufferPointer { x in
                            for row in 0..<3 {
                                product(compute, y.baseAddress! + row * outputs, x.baseAddress! + row * inputs, 1)
                            }
                        }
                    }
                    return [y]
                }
                return bits(together) == bits(alone)
            }
            let bias = biased ? bias : nil
            #expect(
                rows { compute, y, x, rows in
                    compute.linear(
                        y, x, w, bias: bias, rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
                })
            #expect(
                rows { compute, y, x, rows in
                    compute.linearTransposed(
                        y, x, w, bias: bias, rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
                })
        }
    }

    @Test(arguments: shapes) func `the gradients of a linear layer equal their references`(
        rows: Int, inputs: Int, outputs: Int
    ) {
        var numbers = Numbers(2)
        let x = numbers.floats(rows * inputs)
        let w = numbers.floats(outputs * inputs)
        let dy = numbers.floats(rows * outputs)
        let oldX = numbers.floats(rows * inputs)
        let oldW = numbers.floats(outputs * inputs)
        let oldB = numbers.floats(outputs)
        let fast = everywhere { compute in
            var (dx, dxNew, dw, db) = (oldX, oldX, oldW, oldB)
            compute.linearInputGradient(&dx, dy, w, rows: rows, inputs: inputs, outputs: outputs, accumulate: true)
            compute.linearInputGradient(&dxNew, dy, w, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
            compute.linearWeightGradient(&dw, dy, x, rows: rows, inputs: inputs, outputs: outputs)
            compute.biasGradient(&db, dy, rows: rows, outputs: outputs)
            return [dx, dxNew, dw, db]
        }
        var (dx, dxNew, dw, db) = (oldX, oldX, oldW, oldB)
        dk_linear_input_gradient_f32_reference(&dx, dy, w, rows, inputs, outputs, 1)
        dk_linear_input_gradient_f32_reference(&dxNew, dy, w, rows, inputs, outputs, 0)
        dk_linear_weight_gradient_f32_reference(&dw, dy, x, rows, inputs, outputs)
        dk_bias_gradient_f32_reference(&db, dy, rows, outputs)
        for (value, reference) in zip(fast, [dx, dxNew, dw, db]) { expectClose(value, reference) }
    }

    @Test(arguments: shapes) func `weights stored the other way round give the same bits`(
        rows: Int, inputs: Int, outputs: Int
    ) {
        var numbers = Numbers(3)
        let x = numbers.floats(rows * inputs)
        let w = numbers.floats(outputs * inputs)
        let dy = numbers.floats(rows * outputs)
        let bias = numbers.floats(outputs)
        let turned = (0..<inputs * outputs).map { w[$0 % outputs * inputs + $0 / outputs] }
        var (y, dx, dw) = ([Float](repeating: 0, count: rows * outputs), x, [Float](repeating: 0, count: w.count))
        var (yTurned, dxTurned, dwTurned) = (y, dx, dw)
        anyCompute.linear(&y, x, w, bias: bias, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
        anyCompute.linearTransposed(
            &yTurned, x, turned, bias: bias, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
        anyCompute.linearInputGradient(&dx, dy, w, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
        anyCompute.linearTransposedInputGradient(
            &dxTurned, dy, turned, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
        anyCompute.linearWeightGradient(&dw, dy, x, rows: rows, inputs: inputs, outputs: outputs)
        anyCompute.linearTransposedWeightGradient(&dwTurned, dy, x, rows: rows, inputs: inputs, outputs: outputs)
        #expect(bits([y, dx]) == bits([yTurned, dxTurned]))
        #expect(bits([dwTurned]) == bits([(0..<dw.count).map { dw[$0 % outputs * inputs + $0 / outputs] }]))
    }

    @Test func `a row gives the same bits alone and among others`() {
        var numbers = Numbers(4)
        let (rows, inputs, outputs) = (250, 300, 70)
        let x = numbers.floats(rows * inputs)
        let w = numbers.floats(outputs * inputs)
        var all = [Float](repeating: 0, count: rows * outputs)
        anyCompute.linear(&all, x, w, bias: nil, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
        for part in [0..<1, 7..<20, 100..<249, 191..<193, 249..<250] {
            var some = [Float](repeating: 0, count: part.count * outputs)
            let from = Array(x[part.lowerBound * inputs..<part.upperBound * inputs])
            anyCompute.linear(
                &some, from, w, bias: nil, rows: part.count, inputs: inputs, outputs: outputs, accumulate: false)
            #expect(bits([some]) == bits([Array(all[part.lowerBound * outputs..<part.upperBound * outputs])]))
        }
    }

    @Test func `a product too large for one slab gives the bits of its parts`() {
        var numbers = Numbers(5)
        let (rows, long, short) = (193, 16_640, 256)
        let x = numbers.floats(rows * long)
        let w = numbers.floats(short * long)
        var whole = [Float](repeating: 0, count: rows * short)
        var parts = whole
        anyCompute.linear(&whole, x, w, bias: nil, rows: rows, inputs: long, outputs: short, accumulate: false)
        for row in [0, 64, 143] {
            parts.withUnsafeMutableBufferPointer { y in
                x.withUnsafeBufferPointer { x in
                    anyCompute.linear(
                        y.baseAddress! + row * short, x.baseAddress! + row * long, w, bias: nil, rows: 50, inputs: long,
                        outputs: short, accumulate: false)
                }
            }
        }
        for row in [0, 64, 143] {
            let part = row * short..<(row + 50) * short
            #expect(bits([Array(whole[part])]) == bits([Array(parts[part])]))
        }
        // And where the columns are many: a slab takes some of them.
        let h = numbers.floats(rows * short)
        var wide = [Float](repeating: 0, count: rows * long)
        anyCompute.linearTransposed(&wide, h, w, bias: nil, rows: rows, inputs: short, outputs: long, accumulate: false)
        var alone = [Float](repeating: 0, count: long)
        anyCompute.linearTransposed(&alone, h, w, bias: nil, rows: 1, inputs: short, outputs: long, accumulate: false)
        #expect(bits([alone]) == bits([Array(wide[0..<long])]))
    }

    @Test func `not a number and infinity pass through`() {
        var y: [Float] = [0, 0]
        anyCompute.linear(
            &y, [.infinity, 1], [0, 1, 1, 1], bias: nil, rows: 1, inputs: 2, outputs: 2, accumulate: false)
        #expect(y[0].isNaN && y[1] == .infinity)
    }
}
