internal import CKernels

extension Compute {
    /// Linear head and cross-entropy in one: the sum of -log p over trained rows; full logits never exist.
    ///
    /// h `[T,D]`, head `[V,D]`, bias `[V]`; `targets[t]` in `0 ..< V`, or -1 = untrained, which costs nothing. Gradients are those
    /// of the sum: `dh[T,D]` is overwritten (zero where untrained), `dHead[V,D]` and `dBias[V]` are added to. `rowLosses[T]`
    /// receives each row's loss (0 where untrained).
    ///
    /// Trained rows are gathered and worked off in chunks of whole runs of 256 rows, whose logits fill at most 256 MiB of
    /// `workspace`; how many runs make a chunk changes no bit.
    package func crossEntropy(
        _ h: UnsafePointer<Float>, head: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
        targets: UnsafePointer<Int32>, rows: Int, width: Int, vocabulary: Int, dh: UnsafeMutablePointer<Float>?,
        dHead: UnsafeMutablePointer<Float>?, dBias: UnsafeMutablePointer<Float>?,
        rowLosses: UnsafeMutablePointer<Float>? = nil, workspace: Workspace
    ) -> Double {
        let trained = (0..<rows).filter { targets[$0] >= 0 }
        precondition(trained.allSatisfy { targets[$0] < vocabulary }, "a target lies beyond the vocabulary")
        dh?.update(repeating: 0, count: rows * width)
        rowLosses?.update(repeating: 0, count: rows)
        let chunk = CrossEntropyChunk(
            trained: trained.count, width: width, vocabulary: vocabulary, gradient: dh != nil || dHead != nil || dBias != nil,
            workspace)
        var total = 0.0
        for start in stride(from: 0, to: trained.count, by: chunk.capacity) {
            let tokens = trained[start..<min(trained.count, start + chunk.capacity)]
            gatherChunk(chunk, tokens, h, targets)
            linear(
                chunk.logits, chunk.hidden, head, bias: bias, rows: tokens.count, inputs: width, outputs: vocabulary,
                accumulate: false)
            softmax(chunk, rows: tokens.count)
            for (row, token) in tokens.enumerated() {
                total += chunk.losses[row]
                rowLosses?[token] = Float(chunk.losses[row])
            }
            chunkGradients(chunk, tokens, head: head, dh: dh, dHead: dHead, dBias: dBias)
        }
        return total
    }

    /// Copies the chunk's rows of h and their targets side by side.
    private func gatherChunk(
        _ chunk: CrossEntropyChunk, _ tokens: ArraySlice<Int>, _ h: UnsafePointer<Float>, _ targets: UnsafePointer<Int32>
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
                chunk.losses + row, chunk.logits + row * chunk.vocabulary, chunk.targets + row, run.count,
                chunk.vocabulary, chunk.vocabulary, chunk.gradient ? 1 : 0)
        }
    }

    /// What the chunk's logit gradients add to dh, dHead and dBias.
    private func chunkGradients(
        _ chunk: CrossEntropyChunk, _ tokens: ArraySlice<Int>, head: UnsafePointer<Float>,
        dh: UnsafeMutablePointer<Float>?, dHead: UnsafeMutablePointer<Float>?, dBias: UnsafeMutablePointer<Float>?
    ) {
        let rows = tokens.count, width = chunk.width, vocabulary = chunk.vocabulary
        if let dHead {
            linearWeightGradient(dHead, chunk.logits, chunk.hidden, rows: rows, inputs: width, outputs: vocabulary)
        }
        if let dBias { biasGradient(dBias, chunk.logits, rows: rows, outputs: vocabulary) }
        guard let dh else { return }
        linearInputGradient(
            chunk.hidden, chunk.logits, head, rows: rows, inputs: width, outputs: vocabulary, accumulate: false)
        for (row, token) in tokens.enumerated() {
            dh.advanced(by: token * width).update(from: chunk.hidden + row * width, count: width)
        }
    }
}

/// The memory of one chunk of trained rows, R = `capacity`.
private struct CrossEntropyChunk {
    let capacity: Int
    let width: Int
    let vocabulary: Int
    let gradient: Bool
    /// `[R, V]`
    let logits: UnsafeMutablePointer<Float>
    /// `[R, D]`: rows of h, then of dh.
    let hidden: UnsafeMutablePointer<Float>
    /// `[R]`
    let losses: UnsafeMutablePointer<Double>
    /// `[R]`
    let targets: UnsafeMutablePointer<Int32>

    init(trained: Int, width: Int, vocabulary: Int, gradient: Bool, _ workspace: Workspace) {
        let run = Int(DK_GEMM_K), budget = 64 << 20
        capacity = max(1, min(trained, max(1, budget / (vocabulary * run)) * run))
        (self.width, self.vocabulary, self.gradient) = (width, vocabulary, gradient)
        let parts = [capacity * vocabulary, capacity * width, 2 * capacity, capacity].map { padded($0, to: 16) }
        logits = workspace.floats(parts.reduce(0, +))
        hidden = logits + parts[0]
        losses = UnsafeMutableRawPointer(hidden + parts[1]).bindMemory(to: Double.self, capacity: capacity)
        targets = UnsafeMutableRawPointer(hidden + parts[1] + parts[2]).bindMemory(to: Int32.self, capacity: capacity)
    }
}
