internal import CKernels

extension Compute {
    /// Causal attention inside documents: `out[T,Hq,hd]` and `lse[Hq,T]`, the log-sum-exp of the scaled scores.
    ///
    /// q is `[T,Hq,hd]`; k and v are `[T,Hkv,hd]`. `documents` holds the first token of each document, ascending, the
    /// first 0. With `window` = w a query sees the last w positions, itself among them; nil = all before it. Strides,
    /// in floats from one token to the next, let q, k and v live in one fused buffer; nil = dense. A document gives the
    /// same bits wherever it lies.
    package func attention(
        _ out: UnsafeMutablePointer<Float>, lse: UnsafeMutablePointer<Float>, q: UnsafePointer<Float>,
        k: UnsafePointer<Float>, v: UnsafePointer<Float>, documents: [Int32], rows: Int, heads: Int, kvHeads: Int,
        headWidth: Int, scale: Float, window: Int?, qStride: Int? = nil, kvStride: Int? = nil, outStride: Int? = nil
    ) {
        var shape = attentionShape(heads, kvHeads, headWidth, scale, window)
        shape.q_stride = qStride ?? shape.q_stride
        shape.kv_stride = kvStride ?? shape.kv_stride
        shape.out_stride = outStride ?? shape.out_stride
        let parts = documentParts(documents, rows: rows, queries: 768)
        let kernels = kernels
        withUnsafePointer(to: shape) { shape in
            team.share(parts.count * heads) { task in
                let part = parts[task / heads]
                let head = task % heads
                let s = shape.pointee
                let own = head * headWidth
                let shared = head / (heads / kvHeads) * headWidth
                kernels.pointee.attention(
                    out + part.start * s.out_stride + own, lse + head * rows + part.start,
                    q + part.start * s.q_stride + own, k + part.start * s.kv_stride + shared,
                    v + part.start * s.kv_stride + shared, shape, part.queries.lowerBound, part.queries.upperBound)
            }
        }
    }

    /// Gradient of `attention`; overwrites dq `[T,Hq,hd]`, dk and dv `[T,Hkv,hd]`.
    package func attentionBackward(
        dq: UnsafeMutablePointer<Float>, dk: UnsafeMutablePointer<Float>, dv: UnsafeMutablePointer<Float>,
        dout: UnsafePointer<Float>, out: UnsafePointer<Float>, lse: UnsafePointer<Float>, q: UnsafePointer<Float>,
        k: UnsafePointer<Float>, v: UnsafePointer<Float>, documents: [Int32], rows: Int, heads: Int, kvHeads: Int,
        headWidth: Int, scale: Float, window: Int?, qStride: Int? = nil, kvStride: Int? = nil, outStride: Int? = nil,
        dqStride: Int? = nil, dkvStride: Int? = nil
    ) {
        var shape = attentionShape(heads, kvHeads, headWidth, scale, window)
        shape.q_stride = qStride ?? shape.q_stride
        shape.kv_stride = kvStride ?? shape.kv_stride
        shape.out_stride = outStride ?? shape.out_stride
        shape.dq_stride = dqStride ?? shape.dq_stride
        // Query heads that read one key head each write a share of their own, to be added in head order.
        let group = heads / kvHeads
        let outputStride = dkvStride ?? shape.dkv_stride
        let shares = group > 1 ? team.scratch.floats(2 * rows * heads * headWidth) : nil
        let dkShares = shares ?? dk
        let dvShares = shares.map { $0 + rows * heads * headWidth } ?? dv
        shape.dkv_stride = group > 1 ? heads * headWidth : outputStride
        let parts = documentParts(documents, rows: rows, queries: rows)
        let kernels = kernels
        withUnsafePointer(to: shape) { shape in
            team.share(parts.count * heads) { task in
                let part = parts[task / heads]
                let t = part.start
                let head = task % heads
                let s = shape.pointee
                let own = head * headWidth
                let shared = head / group * headWidth
                kernels.pointee.attention_backward(
                    dq + t * s.dq_stride + own, dkShares + t * s.dkv_stride + own, dvShares + t * s.dkv_stride + own,
                    dout + t * s.out_stride + own, out + t * s.out_stride + own, lse + head * rows + t,
                    q + t * s.q_stride + own, k + t * s.kv_stride + shared, v + t * s.kv_stride + shared, shape,
                    part.queries.upperBound)
            }
        }
        guard group > 1 else { return }
        team.share(rows, by: 64) { run in
            let t = run.lowerBound
            let from = t * heads * headWidth
            for (output, share) in [(dk, dkShares), (dv, dvShares)] {
                kernels.pointee.sum_heads(
                    output + t * outputStride, outputStride, share + from, run.count, kvHeads, group, headWidth)
            }
        }
    }

    /// One query row per head, `q[Hq,hd]`, against a cache of `length` keys and values `[length,Hkv,hd]`; the last key
    /// is its own.
    package func attentionDecode(
        _ out: UnsafeMutablePointer<Float>, q: UnsafePointer<Float>, keys: UnsafePointer<Float>,
        values: UnsafePointer<Float>, length: Int, heads: Int, kvHeads: Int, headWidth: Int, scale: Float, window: Int?
    ) {
        precondition(length >= 1, "attention needs at least the query's own key")
        let shape = attentionShape(heads, kvHeads, headWidth, scale, window)
        let kernels = kernels
        withUnsafePointer(to: shape) { shape in
            team.share(heads) { head in
                let own = head * headWidth
                let shared = head / (heads / kvHeads) * headWidth
                kernels.pointee.attention_decode(out + own, q + own, keys + shared, values + shared, shape, length)
            }
        }
    }

    private func attentionShape(
        _ heads: Int, _ kvHeads: Int, _ headWidth: Int, _ scale: Float, _ window: Int?
    ) -> dk_attention {
        precondition(
            kvHeads >= 1 && heads % kvHeads == 0, "\(heads) query heads do not share \(kvHeads) key heads evenly")
        precondition(window.map { $0 >= 1 } ?? true, "an attention window holds at least the query itself")
        return dk_attention(
            heads: heads, kv_heads: kvHeads, head_width: headWidth, q_stride: heads * headWidth,
            kv_stride: kvHeads * headWidth, out_stride: heads * headWidth, dq_stride: heads * headWidth,
            dkv_stride: kvHeads * headWidth, window: window ?? 0, scale: scale)
    }

    /// The documents, cut after every `queries` tokens: `start` = a document's first token, `queries` count from there.
    private func documentParts(
        _ documents: [Int32], rows: Int, queries: Int
    ) -> [(start: Int, queries: Range<Int>)] {
        precondition(documents.first ?? 0 == 0, "the first document starts at token 0")
        var parts: [(start: Int, queries: Range<Int>)] = []
        for (index, start) in documents.enumerated() {
            let end = index + 1 < documents.count ? Int(documents[index + 1]) : rows
            let length = end - Int(start)
            precondition(length >= 0, "documents start in ascending order, inside the row")
            for query in stride(from: 0, to: length, by: max(1, queries)) {
                parts.append((Int(start), query..<min(length, query + queries)))
            }
        }
        return parts
    }
}
