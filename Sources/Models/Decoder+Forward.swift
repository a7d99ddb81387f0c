internal import Kernels

/// One pass over a micro-batch: what every block needs to know of it.
struct Pass {
    let rows: Int
    let documents: [Int32]
    /// `[T]`.
    let positions: UnsafePointer<Int32>
    var memory: Activations
    /// Keys and values of earlier tokens, in generation.
    var cache: KeyValueCache?
    /// Takes part in training mixtures whose configuration asks for it.
    var balance: LoadBalance?
    /// What the load-balancing loss is multiplied by.
    var balanceFactor = 0.0
}

extension Decoder {
    /// The sum of −log p over the trained targets of `batch`; nothing is kept.
    package func loss(_ batch: MicroBatch) -> Double {
        guard batch.trainedTokens > 0 else { return 0 }
        return withPass(batch, trains: false) { pass in
            forward(batch.tokens, pass, keeps: false)
            finish(pass, keeps: false)
            return crossEntropy(batch, pass, dh: nil, dHead: nil)
        }
    }

    /// As `loss`, and −log p of each token into `rowLosses[T]`, 0 where untrained.
    package func loss(_ batch: MicroBatch, rowLosses: UnsafeMutablePointer<Float>) -> Double {
        guard !batch.tokens.isEmpty else { return 0 }
        return withPass(batch, trains: false) { pass in
            forward(batch.tokens, pass, keeps: false)
            finish(pass, keeps: false)
            return crossEntropy(batch, pass, dh: nil, dHead: nil, rowLosses: rowLosses)
        }
    }

    /// Logits `[rows.count, V]` of the tokens `rows` of `batch`; one forward pass a call.
    package func logits(_ batch: MicroBatch, rows: Range<Int>, into logits: UnsafeMutablePointer<Float>) {
        precondition(rows.lowerBound >= 0 && rows.upperBound <= batch.tokens.count, "rows \(rows) are not in the batch")
        guard !rows.isEmpty else { return }
        withPass(batch, trains: false) { pass in
            forward(batch.tokens, pass, keeps: false)
            finish(pass, keeps: false)
            headRows(pass, rows, into: logits)
        }
    }

    /// Logits of the final-normed rows.
    func headRows(_ pass: Pass, _ rows: Range<Int>, into logits: UnsafeMutablePointer<Float>) {
        compute.linear(
            logits, pass.memory.normalised + rows.lowerBound * configuration.width, head, bias: headBias,
            rows: rows.count,
            inputs: configuration.width, outputs: configuration.vocabulary, accumulate: false)
    }

    /// Runs `body` with memory and rotation tables for `batch`.
    func withPass<Result>(_ batch: MicroBatch, trains: Bool, _ body: (Pass) -> Result) -> Result {
        if let longest = configuration.longestDocument {
            precondition(
                batch.longestDocument <= longest, "a document of \(batch.longestDocument) tokens exceeds \(longest)")
        }
        rotaryTable?.reserve(batch.longestDocument)
        let memory = activations(rows: batch.tokens.count, trains: trains)
        return batch.positions.withUnsafeBufferPointer { positions in
            guard let address = positions.baseAddress else { preconditionFailure("an empty batch has no pass") }
            return body(Pass(rows: batch.tokens.count, documents: batch.documents, positions: address, memory: memory))
        }
    }

    /// Embeds and runs all blocks; with `keeps`, what the backward pass needs stays in place. False when `goesOn`,
    /// asked before each block, ended it.
    @discardableResult
    func forward(_ tokens: [Int32], _ pass: Pass, keeps: Bool, goesOn: () -> Bool = { true }) -> Bool {
        embed(tokens, pass, into: stream(0, pass, keeps: keeps))
        for layer in 0..<configuration.layers {
            guard goesOn() else { return false }
            forward(
                blocks[layer], layer, activations(layer, pass, keeps: keeps), from: stream(layer, pass, keeps: keeps),
                into: stream(layer + 1, pass, keeps: keeps), pass)
        }
        return true
    }

    /// The final norm of the last stream, into `normalised`.
    func finish(_ pass: Pass, keeps: Bool) {
        finalNorm.forward(
            pass.memory.normalised, stream(configuration.layers, pass, keeps: keeps), rows: pass.rows,
            pass.memory.finalStatistics, compute)
    }

    func crossEntropy(
        _ batch: MicroBatch, _ pass: Pass, dh: UnsafeMutablePointer<Float>?, dHead: UnsafeMutablePointer<Float>?,
        dBias: UnsafeMutablePointer<Float>? = nil, rowLosses: UnsafeMutablePointer<Float>? = nil
    ) -> Double {
        batch.targets.withUnsafeBufferPointer { targets in
            guard let address = targets.baseAddress else { return 0 }
            return compute.crossEntropy(
                pass.memory.normalised, head: head, bias: headBias, targets: address, rows: pass.rows,
                width: configuration.width, vocabulary: configuration.vocabulary, dh: dh, dHead: dHead, dBias: dBias,
                rowLosses: rowLosses, workspace: workspace)
        }
    }

    /// The stream before block `layer`; above the lowest trained block each has its place, below they take turns.
    func stream(_ layer: Int, _ pass: Pass, keeps: Bool) -> UnsafeMutablePointer<Float> {
        guard keeps else { return pass.memory.streams[layer % 2] }
        let index = layer - lowestTrained
        return pass.memory.streams[index >= 0 ? index : -index % 2]
    }

    /// The place for what block `layer` computes; the first one serves all that keep nothing.
    func activations(_ layer: Int, _ pass: Pass, keeps: Bool) -> BlockActivations {
        pass.memory.blocks[keeps && !recomputes && layer > lowestTrained ? layer - lowestTrained : 0]
    }

    private func embed(_ tokens: [Int32], _ pass: Pass, into stream: UnsafeMutablePointer<Float>) {
        let (rows, width) = (pass.rows, configuration.width)
        for token in tokens {
            precondition(token >= 0 && token < configuration.vocabulary, "token \(token) is not in the vocabulary")
        }
        tokens.withUnsafeBufferPointer { ids in
            guard let address = ids.baseAddress else { return }
            compute.gather(stream, table: embedding, ids: address, rows: rows, width: width)
        }
        guard let positions else { return }
        let scratch = pass.memory.normalised
        compute.gather(scratch, table: positions, ids: pass.positions, rows: rows, width: width)
        compute.add(stream, scratch, count: rows * width)
    }

    /// One block: `from` and `into` are `[T, D]` and different memory. Without `completes`, what only the output needs
    /// is left out.
    func forward(
        _ block: Block, _ layer: Int, _ kept: BlockActivations, from input: UnsafeMutablePointer<Float>,
        into output: UnsafeMutablePointer<Float>, _ pass: Pass, completes: Bool = true
    ) {
        let (rows, memory) = (pass.rows, pass.memory)
        let elements = rows * configuration.width
        // 1. Attention branch: middle = input + [norm](W_o · attention(norm(input))).
        block.attentionNorm.forward(memory.normalised, input, rows: rows, kept.attentionStatistics, compute)
        attentionInputs(block, kept, pass)
        attend(block, layer, kept, pass)
        kept.middle.update(from: input, count: elements)
        if let norm = block.attentionOutputNorm, let branch = kept.attentionBranch {
            block.output.forward(branch, kept.attention, rows: rows, memory.lowRank, compute)
            norm.forward(memory.normalised, branch, rows: rows, kept.attentionBranchStatistics, compute)
            compute.add(kept.middle, memory.normalised, count: elements)
        } else {
            block.output.forward(kept.middle, kept.attention, rows: rows, accumulate: true, memory.lowRank, compute)
        }
        // 2. MLP branch: output = middle + [norm](W_down · act(norm(middle))).
        block.mlpNorm.forward(memory.normalised, kept.middle, rows: rows, kept.mlpStatistics, compute)
        if let mlp = block.mlp {
            if let gate = mlp.gate, let gateRows = kept.gate {
                gate.forward(gateRows, memory.normalised, rows: rows, memory.lowRank, compute)
            }
            mlp.up.forward(kept.up, memory.normalised, rows: rows, memory.lowRank, compute)
        }
        if let experts = block.experts, let keptExperts = kept.experts {
            if completes { output.update(from: kept.middle, count: elements) }
            forward(experts, keptExperts, into: completes ? output : nil, pass, counts: completes)
        }
        guard let mlp = block.mlp, completes || kept.mlpBranch != nil else { return }
        activate(mlp, kept, pass)
        if let norm = block.mlpOutputNorm, let branch = kept.mlpBranch {
            mlp.down.forward(branch, memory.activated, rows: rows, memory.lowRank, compute)
            norm.forward(memory.normalised, branch, rows: rows, kept.mlpBranchStatistics, compute)
            guard completes else { return }
            output.update(from: kept.middle, count: elements)
            compute.add(output, memory.normalised, count: elements)
        } else {
            if block.experts == nil { output.update(from: kept.middle, count: elements) }
            mlp.down.forward(output, memory.activated, rows: rows, accumulate: true, memory.lowRank, compute)
        }
    }

    /// `activated = silu(gate)·up`, or `gelu(up)`.
    func activate(_ mlp: MLP, _ kept: BlockActivations, _ pass: Pass) {
        let count = pass.rows * mlp.inner
        if let gate = kept.gate {
            compute.swiglu(pass.memory.activated, gate: gate, up: kept.up, count: count)
        } else {
            compute.gelu(pass.memory.activated, kept.up, count: count)
        }
    }

    /// Queries, keys and values of the normalised rows: projected, normalised by head and rotated as the family does.
    private func attentionInputs(_ block: Block, _ kept: BlockActivations, _ pass: Pass) {
        let (rows, memory, heads) = (pass.rows, pass.memory, kept.heads)
        switch block.inputs {
        case .fused(let projection):
            projection.forward(heads.query, memory.normalised, rows: rows, memory.lowRank, compute)
        case .separate(let query, let key, let value):
            let (queryRows, keyRows) = (kept.rawQuery ?? heads.query, kept.rawKey ?? heads.key)
            query.forward(queryRows, memory.normalised, rows: rows, memory.lowRank, compute)
            key.forward(keyRows, memory.normalised, rows: rows, memory.lowRank, compute)
            value.forward(heads.value, memory.normalised, rows: rows, memory.lowRank, compute)
        }
        let before = configuration.family.queryKeyNormalization != .afterRotary
        if before { normaliseHeads(block, kept, pass) }
        rotate(before ? heads.query : kept.rawQuery ?? heads.query, heads: configuration.heads, pass, inverse: false)
        rotate(before ? heads.key : kept.rawKey ?? heads.key, heads: configuration.keyValueHeads, pass, inverse: false)
        if !before { normaliseHeads(block, kept, pass) }
    }

    private func normaliseHeads(_ block: Block, _ kept: BlockActivations, _ pass: Pass) {
        guard let queryNorm = block.queryNorm, let keyNorm = block.keyNorm, let rawQuery = kept.rawQuery,
            let rawKey = kept.rawKey
        else { return }
        queryNorm.forward(
            kept.heads.query, rawQuery, rows: pass.rows * configuration.heads, kept.queryStatistics, compute)
        keyNorm.forward(
            kept.heads.key, rawKey, rows: pass.rows * configuration.keyValueHeads, kept.keyStatistics, compute)
    }

    /// Rotates `[T, heads, hd]` in place by position, or back.
    func rotate(_ x: UnsafeMutablePointer<Float>, heads: Int, _ pass: Pass, inverse: Bool) {
        guard let rotary = configuration.rotary, let rotaryTable else { return }
        compute.rope(
            x, positions: pass.positions, cos: rotaryTable.cosines.pointer, sin: rotaryTable.sines.pointer,
            rows: pass.rows, heads: heads, headWidth: configuration.headWidth, rotary: rotary.width,
            layout: rotary.layout, inverse: inverse)
    }

    private func attend(_ block: Block, _ layer: Int, _ kept: BlockActivations, _ pass: Pass) {
        let heads = kept.heads
        if let cache = pass.cache {
            cache.store(layer, heads, rows: pass.rows)
            if cache.length > 0 {
                attendToCache(block, layer, kept, pass, cache)
                return
            }
        }
        compute.attention(
            kept.attention, lse: kept.logSum, q: heads.query, k: heads.key, v: heads.value, documents: pass.documents,
            rows: pass.rows, heads: configuration.heads, kvHeads: configuration.keyValueHeads,
            headWidth: configuration.headWidth, scale: block.scale, window: block.window, qStride: heads.queryStride,
            kvStride: heads.keyValueStride)
    }

    /// Each new token against the cache up to itself.
    private func attendToCache(
        _ block: Block, _ layer: Int, _ kept: BlockActivations, _ pass: Pass, _ cache: KeyValueCache
    ) {
        for row in 0..<pass.rows {
            compute.attentionDecode(
                kept.attention + row * configuration.queryWidth, q: kept.heads.query + row * kept.heads.queryStride,
                keys: cache.keys(layer), values: cache.values(layer), length: cache.length + row + 1,
                heads: configuration.heads, kvHeads: configuration.keyValueHeads, headWidth: configuration.headWidth,
                scale: block.scale, window: block.window)
        }
    }
}
