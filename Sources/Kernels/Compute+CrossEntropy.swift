internal import CKernels

extension Compute {
    /// Linear head and cross-entropy in one: the sum of -log p over trained rows; full logits never exist.
    ///
    /// h `[T,D]`, head `[V,D]`, bias `[V]`; `targets[t]` in `0 ..< V`, or -1 = untrained, which costs nothing.
    /// Gradients are those of the sum: `dh[T,D]` is overwritten (zero where untrained), `dHead[V,D]` and `dBias[V]` are
    /// added to. `rowLosses[T]` receives each row's loss (0 where untrained).
    ///
    /// Trained rows are gathered and worked off in chunks of whole runs of 256 rows, whose logits fill at most 64 MiB
    /// of `workspace`, 256 where every chunk reads and writes `dHead`. How many runs make a chunk, which the shape alone
    /// decides, changes no bit where products are our own; native ones cut `dHead`'s tokens by the chunk.
    package func crossEntropy(
        _ h: UnsafePointer<Float>, head: Matrix, bias: UnsafePointer<Float>?,
        targets: UnsafePointer<Int32>, rows: Int, width: Int, vocabulary: Int, dh: UnsafeMutablePointer<Float>?,
        dHead: UnsafeMutablePointer<Float>?, dBias: UnsafeMutablePointer<Float>?,
        rowLosses: UnsafeMutablePointer<Float>? = nil, workspace: Workspace
    ) -> Double {
        let trained = (0..<rows).filter { targets[$0] >= 0 }
        precondition(trained.allSatisfy { targets[$0] < vocabulary }, "a target lies beyond the vocabulary")
        dh?.update(repeating: 0, count: rows * width)
        rowLosses?.update(repeating: 0, count: rows)
        let chunk = CrossEntropyChunk(
            trained: trained.count, width: width, vocabulary: vocabulary,
            gradient: dh != nil || dHead != nil || dBias != nil, limit: (dHead == nil ? 64 : 256) << 20,
            isNative: arithmetic == .bf16 && native != nil, workspace)
        var total = 0.0
        for start in stride(from: 0, to: trained.count, by: chunk.capacity) {
            let tokens = trained[start..<min(trained.count, start + chunk.capacity)]
            gatherChunk(chunk, tokens, h, targets)
            let product = dk_gemm(
                c: chunk.logits, a: chunk.hidden, b: head, bias: bias, ldc: chunk.stride, lda: width, ldb: width,
                k: width, columns: vocabulary, bTransposed: true, accumulate: false)
            multiply(product, rows: tokens.count, room: chunk.room, copies: head.copies)
            softmax(chunk, rows: tokens.count)
            for (row, token) in tokens.enumerated() {
                total += chunk.losses[row]
                rowLosses?[token] = Float(chunk.losses[row])
            }
            chunkGradients(chunk, tokens, head: head, dh: dh, dHead: dHead, dBias: dBias)
        }
        return total
    }

    /// The same with an fp32 head.
    package func crossEntropy(
        _ h: UnsafePointer<Float>, head: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
        targets: UnsafePointer<Int32>, rows: Int, width: Int, vocabulary: Int, dh: UnsafeMutablePointer<Float>?,
        dHead: UnsafeMutablePointer<Float>?, dBias: UnsafeMutablePointer<Float>?,
        rowLosses: UnsafeMutablePointer<Float>? = nil, workspace: Workspace
    ) -> Double {
        crossEntropy(
            h, head: Matrix(.fp32(head)), bias: bias, targets: targets, rows: rows, width: width,
            vocabulary: vocabulary, dh: dh, dHead: dHead, dBias: dBias, rowLosses: rowLosses, workspace: workspace)
    }

    /// Copies the chunk's rows of h and their targets side by side.
    private func gatherChunk(
        _ chunk: CrossEntropyChunk, _ tokens: ArraySlice<Int>, _ h: UnsafePointer<Float>,
        _ targets: UnsafePointer<Int32>
    ) {
        for (row, token) in tokens.enumerated() {
            chunk.hidden.advanced(by: row * chunk.width).update(from: h + token * chunk.width, count: chunk.width)
            chunk.targets[row] = targets[token]
        }
    }

    /// Losses of the chunk's logits, which become their gradients when asked.
    private func softmax(_ chunk: CrossEntropyChunk, rows: Int) {
        let kernels = kernels
        team.share(rows, by: 8) { run in
            let row = run.lowerBound
            kernels.pointee.softmax_loss(
                chunk.losses + row, chunk.logits + row * chunk.stride, chunk.targets + row, run.count, chunk.stride,
                chunk.vocabulary, chunk.gradient ? 1 : 0)
        }
    }

    /// What the chunk's logit gradients add to dh, dHead and dBias.
    private func chunkGradients(
        _ chunk: CrossEntropyChunk, _ tokens: ArraySlice<Int>, head: Matrix,
        dh: UnsafeMutablePointer<Float>?, dHead: UnsafeMutablePointer<Float>?, dBias: UnsafeMutablePointer<Float>?
    ) {
        let rows = tokens.count
        let width = chunk.width
        let vocabulary = chunk.vocabulary
        if let dHead {
            let product = dk_gemm(
                c: dHead, a: chunk.logits, b: Matrix(.fp32(chunk.hidden)), ldc: width, lda: chunk.stride, ldb: width,
                k: rows, columns: width, aTransposed: true, accumulate: true)
            multiply(product, rows: vocabulary)
        }
        if let dBias { columnSums(dBias, chunk.logits, step: chunk.stride, rows: rows, columns: vocabulary) }
        guard let dh else { return }
        let product = dk_gemm(
            c: chunk.hidden, a: chunk.logits, b: head, ldc: width, lda: chunk.stride, ldb: width, k: vocabulary,
            columns: width, accumulate: false)
        multiply(product, rows: rows, room: chunk.room, copies: head.copies)
        for (row, token) in tokens.enumerated() {
            dh.advanced(by: token * width).update(from: chunk.hidden + row * width, count: width)
        }
    }
}

/// The memory of one chunk of trained rows, R = `capacity`.
private struct CrossEntropyChunk {
    let capacity: Int
    /// R and what a native product may write behind.
    let room: Int
    let width: Int
    let vocabulary: Int
    let gradient: Bool
    /// Floats from one row of logits to the next; rows start on 64-byte bounds where native products don't read them.
    let stride: Int
    /// `[R, V]`
    let logits: UnsafeMutablePointer<Float>
    /// `[R, D]`: rows of h, then of dh.
    let hidden: UnsafeMutablePointer<Float>
    /// `[R]`
    let losses: UnsafeMutablePointer<Double>
    /// `[R]`
    let targets: UnsafeMutablePointer<Int32>

    /// - Parameter limit: bytes of the logits where that leaves room for a run.
    init(
        trained: Int, width: Int, vocabulary: Int, gradient: Bool, limit: Int, isNative: Bool, _ workspace: Workspace
    ) {
        let run = Int(DK_GEMM_K)
        stride = isNative ? vocabulary : padded(vocabulary, to: 16)
        capacity = max(1, min(trained, max(1, limit / (4 * stride * run)) * run))
        (self.width, self.vocabulary, self.gradient) = (width, vocabulary, gradient)
        room = isNative ? padded(capacity, to: run) : capacity
        let parts = [room * stride, room * width, 2 * capacity, capacity].map { padded($0, to: 16) }
        logits = workspace.floats(parts.reduce(0, +))
        hidden = logits + parts[0]
        losses = UnsafeMutableRawPointer(hidden + parts[1]).bindMemory(to: Double.self, capacity: capacity)
        targets = UnsafeMutableRawPointer(hidden + parts[1] + parts[2]).bindMemory(to: Int32.self, capacity: capacity)
    }
}
