internal import Kernels

extension Decoder {
    /// The sum of −log p over the trained targets of `batch`, and its gradient added to `gradient[P]`.
    ///
    /// `gradient` is laid out as `layout`, which must not be nil. Only trained tensors cost anything: frozen weights
    /// get no gradient, and nothing goes below the lowest trained block. A tied head adds to the embedding's gradient
    /// first, the look-ups after it. A mixture of experts whose configuration asks for it adds `LoadBalance`.
    /// `step` and `batch.places` decide what dropout drops, if there is any.
    package func lossAndGradient(
        _ batch: MicroBatch, step: Int = 0, gradient: UnsafeMutablePointer<Float>
    ) -> Double {
        lossAndGradient(batch, step: step, gradient: gradient) { true } ?? 0
    }

    /// The same; `goesOn` is asked before each layer, forward and backward, and ends it when false: nil, and what has
    /// been added to `gradient` is of no use.
    package func lossAndGradient(
        _ batch: MicroBatch, step: Int = 0, gradient: UnsafeMutablePointer<Float>, goesOn: () -> Bool
    ) -> Double? {
        batch.places.withUnsafeBufferPointer { places in
            let noise = drops ? places.baseAddress.map { Noise(places: $0, step: UInt64(step)) } : nil
            return lossAndGradient(batch, noise, gradient, goesOn)
        }
    }

    private func lossAndGradient(
        _ batch: MicroBatch, _ noise: Noise?, _ gradient: UnsafeMutablePointer<Float>, _ goesOn: () -> Bool
    ) -> Double? {
        precondition(layout != nil, "this decoder trains nothing")
        guard batch.trainedTokens > 0 else { return 0 }
        return withPass(batch, trains: true) { pass in
            var pass = pass
            pass.memory.lowRank.noise = noise
            if let mixture = configuration.mixture, mixture.balance > 0 {
                pass.balance = LoadBalance(mixture)
                pass.balanceFactor = mixture.balance * Double(batch.trainedTokens)
            }
            guard let gradients = pass.memory.gradients else { preconditionFailure("memory without gradients") }
            guard forward(batch.tokens, pass, keeps: true, goesOn: goesOn) else { return nil }
            finish(pass, keeps: true)
            let loss = crossEntropy(
                batch, pass, dh: gradients.normalised, dHead: headGradient.map { gradient + $0 },
                dBias: headBiasGradient.map { gradient + $0 })
            finalNorm.backward(
                gradients.stream, accumulate: false, gradients.normalised,
                stream(configuration.layers, pass, keeps: true), rows: pass.rows, pass.memory.finalStatistics,
                gradient: gradient, compute)
            for layer in stride(from: configuration.layers - 1, through: lowestTrained, by: -1) {
                guard goesOn() else { return nil }
                backward(layer, gradients, pass, gradient)
            }
            embeddingBackward(batch.tokens, gradients.stream, pass, gradient)
            return loss + (pass.balance.map { pass.balanceFactor * $0.loss } ?? 0)
        }
    }

    /// One block: `gradients.stream` holds the gradient of its output before and of its input after.
    private func backward(
        _ layer: Int, _ gradients: Activations.Gradients, _ pass: Pass, _ gradient: UnsafeMutablePointer<Float>
    ) {
        let block = blocks[layer]
        let kept = activations(layer, pass, keeps: true)
        let input = stream(layer, pass, keeps: true)
        if recomputes {
            forward(
                block, layer, kept, from: input, into: stream(layer + 1, pass, keeps: true), pass, completes: false)
        }
        let needs = block.needs(below: layer > lowestTrained || embeddingGradient != nil)
        mlpBackward(block, needs, kept, gradients, pass, gradient)
        guard needs.attentionBranch else { return }
        attentionBackward(block, needs, kept, input, gradients, pass, gradient)
    }

    private func mlpBackward(
        _ block: Block, _ needs: Block.Needs, _ kept: BlockActivations, _ gradients: Activations.Gradients,
        _ pass: Pass, _ gradient: UnsafeMutablePointer<Float>
    ) {
        let (rows, memory) = (pass.rows, pass.memory)
        var branch = gradients.stream
        if let norm = block.mlpOutputNorm, let raw = kept.mlpBranch, let own = gradients.branch {
            norm.backward(
                own, accumulate: false, branch, raw, rows: rows, kept.mlpBranchStatistics, gradient: gradient, compute)
            branch = own
        }
        let dInput = needs.mlpInput ? gradients.normalised : nil
        if block.usesNormalisedInMLP {
            block.mlpNorm.forward(memory.normalised, kept.middle, rows: rows, kept.mlpStatistics, compute)
        }
        if let mlp = block.mlp {
            backward(mlp, needs, kept, branch, dInput: dInput, gradients, pass, gradient)
        } else {
            dInput?.update(repeating: 0, count: rows * configuration.width)
        }
        if let experts = block.experts, let keptExperts = kept.experts {
            backward(experts, keptExperts, branch, dInput: dInput, gradients, pass, gradient)
        }
        guard let dInput else { return }
        block.mlpNorm.backward(
            gradients.stream, accumulate: true, dInput, kept.middle, rows: rows, kept.mlpStatistics,
            gradient: gradient, compute)
    }

    /// Back through a dense MLP or the shared expert, whose input's gradient is written to `dInput`.
    private func backward(
        _ mlp: MLP, _ needs: Block.Needs, _ kept: BlockActivations, _ branch: UnsafePointer<Float>,
        dInput: UnsafeMutablePointer<Float>?, _ gradients: Activations.Gradients, _ pass: Pass,
        _ gradient: UnsafeMutablePointer<Float>
    ) {
        let (rows, memory) = (pass.rows, pass.memory)
        if mlp.down.isTrained { activate(mlp, kept, pass) }
        mlp.down.backward(
            dx: needs.mlpInner ? gradients.activated : nil, branch, memory.activated, rows: rows, gradient: gradient,
            memory.lowRank, compute)
        guard needs.mlpInner else { return }
        let count = rows * mlp.inner
        if let gate = kept.gate {
            compute.swigluBackward(
                dgate: gate, dup: kept.up, gradients.activated, gate: gate, up: kept.up, count: count)
        } else {
            compute.geluBackward(kept.up, gradients.activated, kept.up, count: count)
        }
        if let gate = mlp.gate, let dGate = kept.gate {
            gate.backward(
                dx: dInput, dGate, memory.normalised, rows: rows, gradient: gradient, memory.lowRank, compute)
        }
        mlp.up.backward(
            dx: dInput, accumulate: mlp.gate != nil, kept.up, memory.normalised, rows: rows, gradient: gradient,
            memory.lowRank, compute)
    }

    private func attentionBackward(
        _ block: Block, _ needs: Block.Needs, _ kept: BlockActivations, _ input: UnsafeMutablePointer<Float>,
        _ gradients: Activations.Gradients, _ pass: Pass, _ gradient: UnsafeMutablePointer<Float>
    ) {
        let (rows, memory) = (pass.rows, pass.memory)
        var branch = gradients.stream
        if let norm = block.attentionOutputNorm, let raw = kept.attentionBranch, let own = gradients.branch {
            norm.backward(
                own, accumulate: false, branch, raw, rows: rows, kept.attentionBranchStatistics, gradient: gradient,
                compute)
            branch = own
        }
        block.output.backward(
            dx: needs.heads ? gradients.attention : nil, branch, kept.attention, rows: rows, gradient: gradient,
            memory.lowRank, compute)
        guard needs.heads else { return }
        let (heads, dHeads) = (kept.heads, gradients.heads)
        compute.attentionBackward(
            dq: dHeads.query, dk: dHeads.key, dv: dHeads.value, dout: gradients.attention, out: kept.attention,
            lse: kept.logSum, q: heads.query, k: heads.key, v: heads.value, documents: pass.documents, rows: rows,
            heads: configuration.heads, kvHeads: configuration.keyValueHeads, headWidth: configuration.headWidth,
            scale: block.scale, window: block.window, qStride: heads.queryStride, kvStride: heads.keyValueStride,
            dqStride: dHeads.queryStride, dkvStride: dHeads.keyValueStride)
        if block.inputs.areTrained {
            block.attentionNorm.forward(memory.normalised, input, rows: rows, kept.attentionStatistics, compute)
        }
        let dInput = needs.attentionInput ? gradients.normalised : nil
        inputsBackward(block, kept, dHeads, dInput, pass, gradient)
        guard let dInput else { return }
        block.attentionNorm.backward(
            gradients.stream, accumulate: true, dInput, input, rows: rows, kept.attentionStatistics, gradient: gradient,
            compute)
    }

    /// From the gradients of queries, keys and values to that of the normalised rows.
    private func inputsBackward(
        _ block: Block, _ kept: BlockActivations, _ dHeads: HeadRows, _ dInput: UnsafeMutablePointer<Float>?,
        _ pass: Pass, _ gradient: UnsafeMutablePointer<Float>
    ) {
        let (rows, memory) = (pass.rows, pass.memory)
        switch block.inputs {
        case .fused(let projection):
            projection.backward(
                dx: dInput, dHeads.query, memory.normalised, rows: rows, gradient: gradient, memory.lowRank, compute)
        case .separate(let query, let key, let value):
            let dQuery = headBackward(
                block.queryNorm, dHeads.query, kept.rawQuery, over: kept.heads.query, kept.queryStatistics,
                heads: configuration.heads, pass, gradient)
            let dKey = headBackward(
                block.keyNorm, dHeads.key, kept.rawKey, over: kept.heads.key, kept.keyStatistics,
                heads: configuration.keyValueHeads, pass, gradient)
            query.backward(
                dx: dInput, dQuery, memory.normalised, rows: rows, gradient: gradient, memory.lowRank, compute)
            key.backward(
                dx: dInput, accumulate: true, dKey, memory.normalised, rows: rows, gradient: gradient, memory.lowRank,
                compute)
            value.backward(
                dx: dInput, accumulate: true, dHeads.value, memory.normalised, rows: rows, gradient: gradient,
                memory.lowRank, compute)
        }
    }

    /// Back through rotation and head norm; the result is in `dy` itself, or over the rows that attention saw.
    private func headBackward(
        _ norm: Norm?, _ dy: UnsafeMutablePointer<Float>, _ raw: UnsafeMutablePointer<Float>?,
        over seen: UnsafeMutablePointer<Float>, _ statistics: Norm.Statistics, heads: Int, _ pass: Pass,
        _ gradient: UnsafeMutablePointer<Float>
    ) -> UnsafeMutablePointer<Float> {
        guard let norm, let raw else {
            rotate(dy, heads: heads, pass, inverse: true)
            return dy
        }
        let before = configuration.family.queryKeyNormalization == .beforeRotary
        if before { rotate(dy, heads: heads, pass, inverse: true) }
        norm.backward(
            seen, accumulate: false, dy, raw, rows: pass.rows * heads, statistics, gradient: gradient, compute)
        if !before { rotate(seen, heads: heads, pass, inverse: true) }
        return seen
    }

    private func embeddingBackward(
        _ tokens: [Int32], _ dStream: UnsafeMutablePointer<Float>, _ pass: Pass, _ gradient: UnsafeMutablePointer<Float>
    ) {
        guard let embeddingGradient else { return }
        let (rows, width) = (pass.rows, configuration.width)
        if let positionsGradient {
            compute.scatterAdd(gradient + positionsGradient, dStream, ids: pass.positions, rows: rows, width: width)
        }
        if let frozen = configuration.frozenRow {
            for (row, token) in tokens.enumerated() where token == frozen {
                (dStream + row * width).update(repeating: 0, count: width)
            }
        }
        tokens.withUnsafeBufferPointer { ids in
            guard let address = ids.baseAddress else { return }
            compute.scatterAdd(gradient + embeddingGradient, dStream, ids: address, rows: rows, width: width)
        }
    }
}
