internal import Kernels

extension Decoder {
    /// The experts' half of a sparse block on the normalised rows: routes, and keeps what the backward pass needs.
    ///
    /// With `output`, adds each expert's result to it, one expert after another. Without `counts`, the pass was counted
    /// before.
    func forward(
        _ experts: Experts, _ kept: ExpertActivations, into output: UnsafeMutablePointer<Float>?, _ pass: Pass,
        counts: Bool
    ) {
        guard let mixture = configuration.mixture else { preconditionFailure("sparse blocks need a mixture") }
        let (memory, count) = (pass.memory, pass.rows)
        experts.router.forward(kept.probabilities, memory.normalised, rows: count, memory.lowRank, compute)
        softmax(kept.probabilities, rows: count, width: mixture.experts)
        if counts { pass.balance?.add(kept.probabilities, count: count) }
        let routing = Routing(
            kept.probabilities, bias: experts.selectionBias, count: count, perToken: experts.perToken, mixture)
        for (expert, mlp) in experts.list.enumerated() where !routing.rows(of: expert).isEmpty {
            let rows = routing.rows(of: expert)
            let start = rows.lowerBound * mixture.inner
            let (gate, up) = (kept.gate + start, kept.up + start)
            gather(memory.normalised, routing, rows, into: memory.expertInputs)
            mlp.gate?.forward(gate, memory.expertInputs, rows: rows.count, memory.lowRank, compute)
            mlp.up.forward(up, memory.expertInputs, rows: rows.count, memory.lowRank, compute)
            guard let output else { continue }
            activate(gate, up, routing, rows, mixture, scaled: true, pass)
            mlp.down.forward(memory.expertOutputs, memory.activated, rows: rows.count, memory.lowRank, compute)
            scatter(memory.expertOutputs, routing, rows, into: output)
        }
    }

    /// Back through the experts and the router of a sparse block.
    ///
    /// `dy` is the gradient of the block's output; what reaches the normalised rows is added to `dInput` unless that is
    /// nil. Whatever is trained adds to `gradient`.
    func backward(
        _ experts: Experts, _ kept: ExpertActivations, _ dy: UnsafePointer<Float>, dInput: UnsafeMutablePointer<Float>?,
        _ gradients: Activations.Gradients, _ pass: Pass, _ gradient: UnsafeMutablePointer<Float>
    ) {
        guard let mixture = configuration.mixture else { preconditionFailure("sparse blocks need a mixture") }
        let routing = Routing(
            kept.probabilities, bias: experts.selectionBias, count: pass.rows, perToken: experts.perToken, mixture)
        let routes = dInput != nil || experts.router.isTrained
        var weightGradients = Array(repeating: Float(0), count: routing.tokens.count)
        weightGradients.withUnsafeMutableBufferPointer { weightGradients in
            for (expert, mlp) in experts.list.enumerated() where !routing.rows(of: expert).isEmpty {
                let rows = routing.rows(of: expert)
                let own = routes ? weightGradients.baseAddress.map { $0 + rows.lowerBound } : nil
                backward(
                    mlp, kept, routing, rows, dy, dInput: dInput, weightGradients: own, gradients, pass, gradient)
            }
        }
        guard routes else { return }
        let slopes = pass.balance?.slopes(pass.balanceFactor)
        routing.backward(
            gradients.router, weightGradients: weightGradients, slopes: slopes, kept.probabilities)
        experts.router.backward(
            dx: dInput, accumulate: true, gradients.router, pass.memory.normalised, rows: pass.rows, gradient: gradient,
            pass.memory.lowRank, compute)
    }

    /// One expert's `rows`. Its output is `down(w · act)`, so that down's input is the scaled activation.
    private func backward(
        _ mlp: MLP, _ kept: ExpertActivations, _ routing: Routing, _ rows: Range<Int>, _ dy: UnsafePointer<Float>,
        dInput: UnsafeMutablePointer<Float>?, weightGradients: UnsafeMutablePointer<Float>?,
        _ gradients: Activations.Gradients, _ pass: Pass, _ gradient: UnsafeMutablePointer<Float>
    ) {
        guard let mixture = configuration.mixture, let dense = mlp.gate else { return }
        let (memory, inner, count) = (pass.memory, mixture.inner, rows.count)
        let (gate, up) = (kept.gate + rows.lowerBound * inner, kept.up + rows.lowerBound * inner)
        let innerIsTrained = dense.isTrained || mlp.up.isTrained
        let needsInner = dInput != nil || innerIsTrained
        gather(dy, routing, rows, into: memory.expertOutputs)
        activate(gate, up, routing, rows, mixture, scaled: true, pass)
        mlp.down.backward(
            dx: needsInner || weightGradients != nil ? gradients.activated : nil, memory.expertOutputs,
            memory.activated, rows: count, gradient: gradient, memory.lowRank, compute)
        if let weightGradients {
            activate(gate, up, routing, rows, mixture, scaled: false, pass)
            compute.dotRows(weightGradients, memory.activated, gradients.activated, rows: count, width: inner)
        }
        guard needsInner else { return }
        scale(gradients.activated, routing, rows, width: inner)
        compute.swigluBackward(
            dgate: gate, dup: up, gradients.activated, gate: gate, up: up, count: count * inner)
        if innerIsTrained { gather(memory.normalised, routing, rows, into: memory.expertInputs) }
        // The gathered gradient of the output is spent; its memory takes that of the input.
        let dx = dInput == nil ? nil : memory.expertOutputs
        dense.backward(
            dx: dx, gate, memory.expertInputs, rows: count, gradient: gradient, memory.lowRank, compute)
        mlp.up.backward(
            dx: dx, accumulate: true, up, memory.expertInputs, rows: count, gradient: gradient, memory.lowRank, compute)
        if let dInput { scatter(memory.expertOutputs, routing, rows, into: dInput) }
    }

    /// `activated = silu(gate)·up` of an expert's rows, `scaled` by their weights or not.
    private func activate(
        _ gate: UnsafePointer<Float>, _ up: UnsafePointer<Float>, _ routing: Routing, _ rows: Range<Int>,
        _ mixture: Mixture, scaled: Bool, _ pass: Pass
    ) {
        compute.swiglu(pass.memory.activated, gate: gate, up: up, count: rows.count * mixture.inner)
        if scaled { scale(pass.memory.activated, routing, rows, width: mixture.inner) }
    }

    private func scale(_ x: UnsafeMutablePointer<Float>, _ routing: Routing, _ rows: Range<Int>, width: Int) {
        routing.weights.withUnsafeBufferPointer { weights in
            guard let base = weights.baseAddress else { return }
            compute.scaleRows(x, by: base + rows.lowerBound, rows: rows.count, width: width)
        }
    }

    private func gather(
        _ table: UnsafePointer<Float>, _ routing: Routing, _ rows: Range<Int>, into target: UnsafeMutablePointer<Float>
    ) {
        routing.tokens.withUnsafeBufferPointer { tokens in
            guard let base = tokens.baseAddress else { return }
            compute.gather(
                target, table: table, ids: base + rows.lowerBound, rows: rows.count, width: configuration.width)
        }
    }

    /// Adds each row to its token's.
    private func scatter(
        _ x: UnsafePointer<Float>, _ routing: Routing, _ rows: Range<Int>, into target: UnsafeMutablePointer<Float>
    ) {
        routing.tokens.withUnsafeBufferPointer { tokens in
            guard let base = tokens.baseAddress else { return }
            compute.scatterAdd(
                target, x, ids: base + rows.lowerBound, rows: rows.count, width: configuration.width)
        }
    }

    /// Each row of `x[rows, width]` becomes its softmax, summed in fp64 in order.
    private func softmax(_ x: UnsafeMutablePointer<Float>, rows: Int, width: Int) {
        nonisolated(unsafe) let x = x
        let block = 16
        compute.team.run((rows + block - 1) / block) { index in
            var powers = Array(repeating: 0.0, count: width)
            for row in index * block..<min((index + 1) * block, rows) {
                let logits = x + row * width
                var top = logits[0]
                for column in 1..<max(1, width) where logits[column] > top { top = logits[column] }
                var sum = 0.0
                for column in 0..<width {
                    powers[column] = Elementary.exponential(Double(logits[column]) - Double(top))
                    sum += powers[column]
                }
                for column in 0..<width { logits[column] = Float(powers[column] / sum) }
            }
        }
    }
}
