internal import CKernels

extension Compute {
    /// Causal attention inside documents: `out[T,Hq,hd]` and `lse[Hq,T]`, the log-sum-exp of the scaled scores.
    ///
    /// q is `[T,Hq,hd]`; k and v are `[T,Hkv,hd]`. `documents` holds the first token of each document, ascending, the first 0.
    /// With `window` = w a query sees the last w positions, itself among them; nil = all before it. Strides, in floats from one
    /// token to the next, let q, k and v live in one fused buffer; nil = dense.
    package func attention(
        _ out: UnsafeMutablePointer<Float>, lse: UnsafeMutablePointer<Float>, q: UnsafePointer<Float>,
        k: UnsafePointer<Float>, v: UnsafePointer<Float>, documents: [Int32], rows: Int, heads: Int, kvHeads: Int,
        headWidth: Int, scale: Float, window: Int?, qStride: Int? = nil, kvStride: Int? = nil, outStride: Int? = nil
    ) {
        var shape = attentionShape(heads, kvHeads, headWidth, scale, window)
        shape.q_stride = qStride ?? shape.q_stride
        shape.kv_stride = kvStride ?? shape.kv_stride
        shape.out_stride = outStride ?? shape.out_stride
        dk_attention_f32_reference(out, lse, q, k, v, &shape, documents, documents.count, rows)
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
        shape.dkv_stride = dkvStride ?? shape.dkv_stride
        dk_attention_f32_backward_reference(
            dq, dk, dv, dout, out, lse, q, k, v, &shape, documents, documents.count, rows)
    }

    /// One query row per head, `q[Hq,hd]`, against a cache of `length` keys and values `[length,Hkv,hd]`; the last key is its own.
    package func attentionDecode(
        _ out: UnsafeMutablePointer<Float>, q: UnsafePointer<Float>, keys: UnsafePointer<Float>,
        values: UnsafePointer<Float>, length: Int, heads: Int, kvHeads: Int, headWidth: Int, scale: Float, window: Int?
    ) {
        precondition(length >= 1, "attention needs at least the query's own key")
        var shape = attentionShape(heads, kvHeads, headWidth, scale, window)
        dk_attention_f32_decode_reference(out, q, keys, values, &shape, length)
    }

    private func attentionShape(
        _ heads: Int, _ kvHeads: Int, _ headWidth: Int, _ scale: Float, _ window: Int?
    ) -> dk_attention {
        precondition(kvHeads >= 1 && heads % kvHeads == 0, "\(heads) query heads do not share \(kvHeads) key heads evenly")
        precondition(window.map { $0 >= 1 } ?? true, "an attention window holds at least the query itself")
        return dk_attention(
            heads: heads, kv_heads: kvHeads, head_width: headWidth, q_stride: heads * headWidth,
            kv_stride: kvHeads * headWidth, out_stride: heads * headWidth, dq_stride: heads * headWidth,
            dkv_stride: kvHeads * headWidth, window: window ?? 0, scale: scale)
    }
}
