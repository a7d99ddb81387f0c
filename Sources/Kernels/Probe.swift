internal import CKernels

extension Compute {
    /// Digests of the results of every kernel on fixed inputs: equal wherever the arithmetic is. The lower half is of
    /// fp32, the upper half of bf16's matrix products.
    ///
    /// Two machines whose lower halves agree give the same bits in fp32 training, and in bf16 too if both do; a probe
    /// takes some milliseconds.
    package func probe() -> UInt64 {
        let exact = using(.fp32).probeKernels()
        let rounded = using(.bf16).probeRounded()
        return UInt64(UInt32(truncatingIfNeeded: exact ^ exact >> 32))
            | UInt64(UInt32(truncatingIfNeeded: rounded ^ rounded >> 32)) << 32
    }

    private func probeRounded() -> UInt64 {
        var results = Results()
        if let native {
            native.identity.forEach { results.add($0) }
            probeLongSums(&results)
        }
        probeProducts(&results)
        probeLoss(&results)
        return results.digest
    }

    private func probeKernels() -> UInt64 {
        var results = Results()
        probeProducts(&results)
        probeNorms(&results)
        probeAttention(&results)
        probeElements(&results)
        probeLoss(&results)
        probeState(&results)
        return results.digest
    }

    private func probeProducts(_ results: inout Results) {
        // Rows cross a block, k crosses a run, columns end inside a panel.
        let (rows, inputs, outputs) = (205, 301, 37)
        let x = values(rows * inputs, 1)
        let w = values(outputs * inputs, 2)
        let dy = values(rows * outputs, 3)
        var (y, dx, dw) = (dy, x, w)
        linear(&y, x, w, bias: Array(x.prefix(outputs)), rows: rows, inputs: inputs, outputs: outputs, accumulate: true)
        linearInputGradient(&dx, dy, w, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
        linearWeightGradient(&dw, dy, x, rows: rows, inputs: inputs, outputs: outputs)
        results.add(y, dx, dw)
    }

    /// So many k that a library cuts them by the size of a cache, if it does.
    private func probeLongSums(_ results: inout Results) {
        let (rows, inputs, outputs) = (64, 8192, 64)
        let x = values(rows * inputs, 22)
        let w = values(outputs * inputs, 23)
        var y = values(rows * outputs, 24)
        for accumulate in [false, true] {
            linear(&y, x, w, bias: nil, rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
            results.add(y)
        }
    }

    private func probeNorms(_ results: inout Results) {
        let (rows, width) = (131, 83)
        let x = values(rows * width, 4)
        let dy = values(rows * width, 5)
        let w = values(width, 6)
        var (y, dx, mean, rstd, dw, db) = (x, x, values(rows, 7), values(rows, 8), w, w)
        rmsNorm(&y, rstd: &rstd, x, weight: w, rows: rows, width: width, epsilon: 1e-6)
        rmsNormBackward(&dx, dw: &dw, dy, x, weight: w, rstd: rstd, rows: rows, width: width, accumulate: true)
        results.add(y, rstd, dx, dw)
        layerNorm(&y, mean: &mean, rstd: &rstd, x, weight: w, bias: w, rows: rows, width: width, epsilon: 1e-5)
        layerNormBackward(
            &dx, dw: &dw, db: &db, dy, x, weight: w, mean: mean, rstd: rstd, rows: rows, width: width, accumulate: false
        )
        results.add(y, mean, rstd, dx, dw, db)
    }

    private func probeAttention(_ results: inout Results) {
        let (rows, heads, kvHeads, width) = (230, 2, 1, 24)
        let q = values(rows * heads * width, 9)
        let k = values(rows * width, 10)
        let v = values(rows * width, 11)
        var (out, lse, dq, dk, dv) = (q, values(heads * rows, 12), q, k, v)
        for window in [nil, 100] {
            attention(
                &out, lse: &lse, q: q, k: k, v: v, documents: [0, 17], rows: rows, heads: heads, kvHeads: kvHeads,
                headWidth: width, scale: 0.3, window: window)
            attentionBackward(
                dq: &dq, dk: &dk, dv: &dv, dout: q, out: out, lse: lse, q: q, k: k, v: v, documents: [0, 17],
                rows: rows,
                heads: heads, kvHeads: kvHeads, headWidth: width, scale: 0.3, window: window)
            results.add(out, lse, dq, dk, dv)
        }
        let positions = (0..<Int32(rows)).map { $0 % 5 }
        for layout in [RotaryLayout.half, .interleaved] {
            rope(
                &dq, positions: positions, cos: k, sin: v, rows: rows, heads: heads, headWidth: width, rotary: 20,
                layout: layout, inverse: false)
            results.add(dq)
        }
    }

    private func probeElements(_ results: inout Results) {
        let count = 1003
        let wide = values(count, 13).map { $0 * 20 }
        let dy = values(count, 14)
        var (y, dgate, dup) = (dy, dy, dy)
        swiglu(&y, gate: wide, up: dy, count: count)
        swigluBackward(dgate: &dgate, dup: &dup, dy, gate: wide, up: y, count: count)
        results.add(y, dgate, dup)
        gelu(&y, wide, count: count)
        geluBackward(&dgate, dy, wide, count: count)
        results.add(y, dgate)
    }

    private func probeLoss(_ results: inout Results) {
        let (rows, width, vocabulary) = (70, 21, 333)
        let h = values(rows * width, 15)
        let head = values(vocabulary * width, 16)
        let bias = values(vocabulary, 17)
        let targets = (0..<Int32(rows)).map { $0 % 4 == 0 ? -1 : $0 * 31 % Int32(vocabulary) }
        var (dh, dHead, dBias) = (h, head, bias)
        let loss = crossEntropy(
            h, head: head, bias: bias, targets: targets, rows: rows, width: width, vocabulary: vocabulary, dh: &dh,
            dHead: &dHead, dBias: &dBias, workspace: Workspace())
        results.add(dh, dHead, dBias)
        results.add(loss.bitPattern)
        scatterAdd(&dHead, dh, ids: targets.map { max(0, $0) }, rows: rows, width: width)
        results.add(dHead)
    }

    private func probeState(_ results: inout Results) {
        let count = 5001
        let g = values(count, 18)
        var (p, m, v) = (values(count, 19), values(count, 20), values(count, 21).map(\.magnitude))
        let step = AdamWStep(
            learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, biasCorrection1: 0.1,
            biasCorrection2: 1e-3, gradientScale: 1 / sumOfSquares(g, count: count).squareRoot())
        results.add(adamW(p: &p, m: &m, v: &v, g: g, count: count, step: step, decayRanges: [7..<4500]))
    }

    /// Floats in [-1, 1) from a linear congruential sequence (Knuth 1997, TAOCP 2, §3.3.4, line 25); not random, only
    /// varied.
    private func values(_ count: Int, _ seed: UInt32) -> [Float] {
        var state = seed
        return (0..<count).map { _ in
            state = state &* 1_664_525 &+ 1_013_904_223
            return Float(Int32(bitPattern: state) >> 8) * 0x1p-23
        }
    }
}

/// The running digest of a probe.
private struct Results {
    private(set) var digest: UInt64 = 0

    mutating func add(_ word: UInt64) { digest = dk_digest_fold(digest, word) }

    mutating func add(_ arrays: [Float]...) {
        for array in arrays { for x in array { add(UInt64(x.bitPattern)) } }
    }
}
