internal import CKernels

extension Compute {
    /// Linear head and cross-entropy in one: the sum of -log p over trained rows; full logits never exist.
    ///
    /// h `[T,D]`, head `[V,D]`, bias `[V]`; `targets[t]` in `0 ..< V`, or -1 = untrained, which costs nothing. Gradients are those
    /// of the sum: `dh[T,D]` is overwritten (zero where untrained), `dHead[V,D]` and `dBias[V]` are added to. `rowLosses[T]`
    /// receives each row's loss (0 where untrained).
    package func crossEntropy(
        _ h: UnsafePointer<Float>, head: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
        targets: UnsafePointer<Int32>, rows: Int, width: Int, vocabulary: Int, dh: UnsafeMutablePointer<Float>?,
        dHead: UnsafeMutablePointer<Float>?, dBias: UnsafeMutablePointer<Float>?,
        rowLosses: UnsafeMutablePointer<Float>? = nil, workspace: Workspace
    ) -> Double {
        dk_crossentropy_f32_reference(h, head, bias, targets, rows, width, vocabulary, dh, dHead, dBias, rowLosses)
    }
}
