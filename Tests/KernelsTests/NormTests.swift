import CKernels
import Kernels
import Testing

private let shapes: [(rows: Int, width: Int)] =
    (1...9).map { ($0, 10 - $0) } + [(3, 33), (2, 65), (65, 257), (130, 64), (1, 100), (200, 17)]

@Suite struct NormTests {
    @Test(arguments: shapes) func `RMSNorm and its gradient equal their references`(rows: Int, width: Int) {
        var numbers = Numbers(1)
        let x = numbers.floats(rows * width, scale: 3)
        let weight = numbers.floats(width)
        let dy = numbers.floats(rows * width)
        let oldX = numbers.floats(rows * width)
        let oldW = numbers.floats(width)
        let fast = everywhere { compute in
            var (y, rstd, dx, dxNew, dw) = (x, [Float](repeating: 0, count: rows), oldX, oldX, oldW)
            compute.rmsNorm(&y, rstd: &rstd, x, weight: weight, rows: rows, width: width, epsilon: 1e-6)
            compute.rmsNormBackward(
                &dx, dw: &dw, dy, x, weight: weight, rstd: rstd, rows: rows, width: width, accumulate: true)
            compute.rmsNormBackward(
                &dxNew, dw: nil, dy, x, weight: weight, rstd: rstd, rows: rows, width: width, accumulate: false)
            return [y, rstd, dx, dxNew, dw]
        }
        var (y, rstd, dx, dxNew, dw) = (x, [Float](repeating: 0, count: rows), oldX, oldX, oldW)
        dk_rmsnorm_f32_reference(&y, &rstd, x, weight, rows, width, 1e-6)
        dk_rmsnorm_f32_backward_reference(&dx, &dw, dy, x, weight, rstd, rows, width, 1)
        dk_rmsnorm_f32_backward_reference(&dxNew, nil, dy, x, weight, rstd, rows, width, 0)
        for (value, reference) in zip(fast, [y, rstd, dx, dxNew, dw]) { expectClose(value, reference) }
    }

    @Test(arguments: shapes) func `LayerNorm and its gradient equal their references`(rows: Int, width: Int) {
        guard width > 1 else { return }
        var numbers = Numbers(2)
        let x = numbers.floats(rows * width, scale: 3)
        let weight = numbers.floats(width)
        let bias = numbers.floats(width)
        let dy = numbers.floats(rows * width)
        let oldX = numbers.floats(rows * width)
        let oldW = numbers.floats(width)
        let oldB = numbers.floats(width)
        let zeros = [Float](repeating: 0, count: rows)
        let fast = everywhere { compute in
            var (y, mean, rstd, dx, dxNew, dw, db) = (x, zeros, zeros, oldX, oldX, oldW, oldB)
            compute.layerNorm(
                &y, mean: &mean, rstd: &rstd, x, weight: weight, bias: bias, rows: rows, width: width, epsilon: 1e-2)
            compute.layerNormBackward(
                &dx, dw: &dw, db: &db, dy, x, weight: weight, mean: mean, rstd: rstd, rows: rows, width: width,
                accumulate: true)
            compute.layerNormBackward(
                &dxNew, dw: nil, db: nil, dy, x, weight: weight, mean: mean, rstd: rstd, rows: rows, width: width,
                accumulate: false)
            return [y, mean, rstd, dx, dxNew, dw, db]
        }
        var (y, mean, rstd, dx, dxNew, dw, db) = (x, zeros, zeros, oldX, oldX, oldW, oldB)
        dk_layernorm_f32_reference(&y, &mean, &rstd, x, weight, bias, rows, width, 1e-2)
        dk_layernorm_f32_backward_reference(&dx, &dw, &db, dy, x, weight, mean, rstd, rows, width, 1)
        dk_layernorm_f32_backward_reference(&dxNew, nil, nil, dy, x, weight, mean, rstd, rows, width, 0)
        for (value, reference) in zip(fast, [y, mean, rstd, dx, dxNew, dw, db]) {
            expectClose(value, reference, tolerance: 1e-4)
        }
    }

    @Test func `the gradient of RMSNorm is its slope`() {
        var numbers = Numbers(3)
        let (rows, width) = (2, 5)
        let x = numbers.floats(rows * width, scale: 2)
        let weight = numbers.floats(width)
        let dy = numbers.floats(rows * width)
        func loss(_ x: [Float], _ weight: [Float]) -> Double {
            var (y, rstd) = (x, [Float](repeating: 0, count: rows))
            dk_rmsnorm_f32_reference(&y, &rstd, x, weight, rows, width, 0.1)
            return dot(y, dy)
        }
        var (y, rstd, dx, dw) = (x, [Float](repeating: 0, count: rows), x, [Float](repeating: 0, count: width))
        anyCompute.rmsNorm(&y, rstd: &rstd, x, weight: weight, rows: rows, width: width, epsilon: 0.1)
        anyCompute.rmsNormBackward(
            &dx, dw: &dw, dy, x, weight: weight, rstd: rstd, rows: rows, width: width, accumulate: false)
        expectGradient(dx, of: { loss($0, weight) }, at: x)
        expectGradient(dw, of: { loss(x, $0) }, at: weight)
    }

    @Test func `the gradient of LayerNorm is its slope`() {
        var numbers = Numbers(4)
        let (rows, width) = (2, 5)
        let x = numbers.floats(rows * width, scale: 2)
        let weight = numbers.floats(width)
        let bias = numbers.floats(width)
        let dy = numbers.floats(rows * width)
        let zeros = [Float](repeating: 0, count: rows)
        func loss(_ x: [Float], _ weight: [Float], _ bias: [Float]) -> Double {
            var (y, mean, rstd) = (x, zeros, zeros)
            dk_layernorm_f32_reference(&y, &mean, &rstd, x, weight, bias, rows, width, 0.1)
            return dot(y, dy)
        }
        var (y, mean, rstd, dx) = (x, zeros, zeros, x)
        var (dw, db) = ([Float](repeating: 0, count: width), [Float](repeating: 0, count: width))
        anyCompute.layerNorm(
            &y, mean: &mean, rstd: &rstd, x, weight: weight, bias: bias, rows: rows, width: width, epsilon: 0.1)
        anyCompute.layerNormBackward(
            &dx, dw: &dw, db: &db, dy, x, weight: weight, mean: mean, rstd: rstd, rows: rows, width: width,
            accumulate: false)
        expectGradient(dx, of: { loss($0, weight, bias) }, at: x)
        expectGradient(dw, of: { loss(x, $0, bias) }, at: weight)
        expectGradient(db, of: { loss(x, weight, $0) }, at: bias)
    }
}
