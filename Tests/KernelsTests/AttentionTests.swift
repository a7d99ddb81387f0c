import CKernels
import Kernels
import Testing

/// One attention problem with its inputs.
private struct Problem {
    var (rows, heads, kvHeads, headWidth): (Int, Int, Int, Int)
    var documents: [Int32]
    var window: Int?
    var q: [Float] = [], k: [Float] = [], v: [Float] = [], dout: [Float] = []
    var scale: Float { 0.4 }

    init(_ rows: Int, _ heads: Int, _ kvHeads: Int, _ headWidth: Int, _ documents: [Int32] = [0], window: Int? = nil) {
        (self.rows, self.heads, self.kvHeads, self.headWidth) = (rows, heads, kvHeads, headWidth)
        (self.documents, self.window) = (documents, window)
        var numbers = Numbers(UInt64(rows + heads + headWidth))
        q = numbers.floats(rows * heads * headWidth, scale: 2)
        k = numbers.floats(rows * kvHeads * headWidth, scale: 2)
        v = numbers.floats(rows * kvHeads * headWidth)
        dout = numbers.floats(rows * heads * headWidth)
    }

    func forward(_ compute: Compute) -> (out: [Float], lse: [Float]) {
        var (out, lse) = (q, [Float](repeating: 0, count: heads * rows))
        compute.attention(
            &out, lse: &lse, q: q, k: k, v: v, documents: documents, rows: rows, heads: heads, kvHeads: kvHeads,
            headWidth: headWidth, scale: scale, window: window)
        return (out, lse)
    }

    /// [out, lse, dq, dk, dv]
    func everything(_ compute: Compute) -> [[Float]] {
        let (out, lse) = forward(compute)
        var (dq, dk, dv) = (q, k, v)
        compute.attentionBackward(
            dq: &dq, dk: &dk, dv: &dv, dout: dout, out: out, lse: lse, q: q, k: k, v: v, documents: documents,
            rows: rows,
            heads: heads, kvHeads: kvHeads, headWidth: headWidth, scale: scale, window: window)
        return [out, lse, dq, dk, dv]
    }

    var shape: dk_attention {
        let (wide, narrow) = (heads * headWidth, kvHeads * headWidth)
        return dk_attention(
            heads: heads, kv_heads: kvHeads, head_width: headWidth, q_stride: wide, kv_stride: narrow, out_stride: wide,
            dq_stride: wide, dkv_stride: narrow, window: window ?? 0, scale: scale)
    }

    func reference() -> [[Float]] {
        var (out, lse, dq, dk, dv) = (q, [Float](repeating: 0, count: heads * rows), q, k, v)
        var shape = shape
        dk_attention_f32_reference(&out, &lse, q, k, v, &shape, documents, documents.count, rows)
        dk_attention_f32_backward_reference(
            &dq, &dk, &dv, dout, out, lse, q, k, v, &shape, documents, documents.count, rows)
        return [out, lse, dq, dk, dv]
    }
}

private let problems: [Problem] =
    (1...9).map { Problem($0, $0 % 3 + 1, 1, 10 - $0) } + [
        Problem(33, 2, 2, 9), Problem(65, 2, 1, 33), Problem(257, 1, 1, 16), Problem(97, 2, 1, 64),
        Problem(100, 2, 1, 128),
        Problem(100, 2, 2, 20, [0, 1, 7, 40, 99]), Problem(230, 2, 1, 32, [0, 100, 200]),
        Problem(33, 2, 1, 8, window: 1), Problem(200, 2, 1, 16, window: 5),
        Problem(300, 1, 1, 8, [0, 100], window: 97),
        Problem(5, 2, 2, 3, [0, 0, 3]),
    ]

@Suite struct AttentionTests {
    @Test func `where a token sees itself alone its query and key have no gradient at all`() {
        for problem in [Problem(5, 2, 1, 7, [0, 1, 2, 3, 4]), Problem(37, 3, 3, 10, window: 1)] {
            for results in [everywhere { problem.everything($0) }, problem.reference()] {
                #expect(results[2].allSatisfy { $0 == 0 })
                #expect(results[3].allSatisfy { $0 == 0 })
            }
        }
    }

    @Test(arguments: problems.indices) func `attention and its gradient equal their references`(index: Int) {
        let problem = problems[index]
        let fast = everywhere { problem.everything($0) }
        for (value, reference) in zip(fast, problem.reference()) {
            expectClose(value, reference, tolerance: 1e-4, "rows \(problem.rows), width \(problem.headWidth)")
        }
    }

    @Test func `the gradient of attention is its slope`() {
        for problem in [Problem(6, 2, 1, 3, [0, 4]), Problem(5, 1, 1, 4, window: 2)] {
            func loss(_ change: (inout Problem) -> Void) -> Double {
                var changed = problem
                change(&changed)
                return dot(changed.forward(anyCompute).out, problem.dout)
            }
            let results = problem.everything(anyCompute)
            expectGradient(results[2], of: { x in loss { $0.q = x } }, at: problem.q)
            expectGradient(results[3], of: { x in loss { $0.k = x } }, at: problem.k)
            expectGradient(results[4], of: { x in loss { $0.v = x } }, at: problem.v)
        }
    }

    @Test(arguments: [nil, 50] as [Int?]) func `a document gives the same bits wherever it lies in the row`(
        window: Int?
    ) {
        let lengths = [100, 1, 130, 97]
        let starts: [Int32] = [0, 100, 101, 231]
        let packed = Problem(328, 2, 1, 24, starts, window: window)
        let together = packed.everything(anyCompute)
        for (start, length) in zip(starts.map { Int($0) }, lengths) {
            var alone = Problem(length, 2, 1, 24, window: window)
            func part(_ x: [Float], _ width: Int) -> [Float] { Array(x[start * width..<(start + length) * width]) }
            (alone.q, alone.k) = (part(packed.q, 48), part(packed.k, 24))
            (alone.v, alone.dout) = (part(packed.v, 24), part(packed.dout, 48))
            let separate = alone.everything(anyCompute)
            #expect(bits([separate[0], separate[2]]) == bits([part(together[0], 48), part(together[2], 48)]))
            #expect(bits([separate[3], separate[4]]) == bits([part(together[3], 24), part(together[4], 24)]))
        }
    }

    @Test func `a query chunk of a long document gives the bits of the whole`() {
        // 800 queries are shared out in two tasks; the first 100 must not notice what follows them.
        let long = Problem(800, 1, 1, 8, window: nil)
        var short = Problem(100, 1, 1, 8)
        (short.q, short.k, short.v) = (Array(long.q[..<800]), Array(long.k[..<800]), Array(long.v[..<800]))
        let all = long.forward(anyCompute).out
        #expect(bits([short.forward(anyCompute).out]) == bits([Array(all[..<800])]))
        expectClose(all, long.reference()[0], tolerance: 1e-4)
    }

    @Test func `queries, keys and values may live in one fused buffer`() {
        let problem = Problem(70, 2, 1, 12, [0, 30])
        let stride = 24 + 12 + 12
        let fused = sideBySide(problem.q, problem.k, problem.v)
        let dense = problem.everything(anyCompute)
        var out = problem.q
        var lse = [Float](repeating: 0, count: 140)
        var gradient = [Float](repeating: -1, count: fused.count)
        fused.withUnsafeBufferPointer { buffer in
            gradient.withUnsafeMutableBufferPointer { result in
                let (x, d) = (buffer.baseAddress!, result.baseAddress!)
                anyCompute.attention(
                    &out, lse: &lse, q: x, k: x + 24, v: x + 36, documents: problem.documents, rows: 70, heads: 2,
                    kvHeads: 1,
                    headWidth: 12, scale: problem.scale, window: nil, qStride: stride, kvStride: stride)
                anyCompute.attentionBackward(
                    dq: d, dk: d + 24, dv: d + 36, dout: problem.dout, out: out, lse: lse, q: x, k: x + 24, v: x + 36,
                    documents: problem.documents, rows: 70, heads: 2, kvHeads: 1, headWidth: 12, scale: problem.scale,
                    window: nil, qStride: stride, kvStride: stride, dqStride: stride, dkvStride: stride)
            }
        }
        #expect(bits([out, lse, gradient]) == bits([dense[0], dense[1], sideBySide(dense[2], dense[3], dense[4])]))
    }

    /// 70 tokens of q (24 floats), k and v (12 each), token after token.
    private func sideBySide(_ q: [Float], _ k: [Float], _ v: [Float]) -> [Float] {
        var fused: [Float] = []
        for token in 0..<70 {
            fused.append(contentsOf: q[token * 24..<token * 24 + 24])
            fused.append(contentsOf: k[token * 12..<token * 12 + 12])
            fused.append(contentsOf: v[token * 12..<token * 12 + 12])
        }
        return fused
    }

    @Test(arguments: [nil, 3] as [Int?]) func `decoding against a cache equals the last row of attention`(window: Int?)
    {
        let problem = Problem(37, 4, 2, 20, window: window)
        let last = Array(problem.q[36 * 80..<37 * 80])
        let decoded = everywhere { compute in
            var out = [Float](repeating: 0, count: 80)
            compute.attentionDecode(
                &out, q: last, keys: problem.k, values: problem.v, length: 37, heads: 4, kvHeads: 2, headWidth: 20,
                scale: problem.scale, window: window)
            return [out]
        }
        expectClose(decoded[0], Array(problem.reference()[0][36 * 80..<37 * 80]))
        var (slow, shape) = ([Float](repeating: 0, count: 80), problem.shape)
        dk_attention_f32_decode_reference(&slow, last, problem.k, problem.v, &shape, 37)
        expectClose(decoded[0], slow)
    }
}
