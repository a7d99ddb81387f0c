import CKernels
import COneDNN
import Kernels
import Testing

/// Shapes around the heights of blocks (16 … 256), the runs of tokens (64 … 1,024) and the slices of columns (192).
private let shapes: [(rows: Int, inputs: Int, outputs: Int)] =
    (1...9).map { ($0, 10 - $0, $0 % 4 + 1) } + [
        (33, 65, 17), (65, 33, 257), (257, 5, 33), (5, 257, 65), (193, 300, 40), (530, 64, 200), (16, 96, 400),
        (1100, 48, 31), (70, 16, 450),
    ]

/// The path of native products with fp32 operands, which every machine with oneDNN can take.
@Suite struct NativeProductsTests {
    private func compute(_ threads: Int) -> Compute {
        Compute(team: Team(threads: threads)).using(.bf16, native: NativeProducts(.fp32, threads: threads))
    }

    private func onEveryCount(_ body: (Compute) -> [[Float]]) -> [[Float]] {
        let results = [1, 2, 3].map { body(compute($0)) }
        for result in results.dropFirst() { #expect(bits(result) == bits(results[0]), "threads differ") }
        return results[0]
    }

    @Test(arguments: shapes) func `products and gradients equal their references, on any number of threads`(
        rows: Int, inputs: Int, outputs: Int
    ) {
        var numbers = Numbers(1)
        let (x, w, dy) = (
            numbers.floats(rows * inputs), numbers.floats(outputs * inputs), numbers.floats(rows * outputs)
        )
        let turned = (0..<inputs * outputs).map { w[$0 % outputs * inputs + $0 / outputs] }
        let bias = numbers.floats(outputs)
        for (accumulate, biased) in [(false, false), (false, true), (true, false), (true, true)] {
            let fast = onEveryCount { compute in
                var (y, other, dx, dw) = (dy, dy, x, w)
                let bias = biased ? bias : nil
                compute.linear(
                    &y, x, w, bias: bias, rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
                compute.linearTransposed(
                    &other, x, turned, bias: bias, rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
                compute.linearInputGradient(
                    &dx, dy, w, rows: rows, inputs: inputs, outputs: outputs, accumulate: accumulate)
                compute.linearWeightGradient(&dw, dy, x, rows: rows, inputs: inputs, outputs: outputs)
                return [y, other, dx, dw]
            }
            var (y, dx, dw) = (dy, x, w)
            dk_linear_f32_reference(&y, x, w, biased ? bias : nil, rows, inputs, outputs, accumulate ? 1 : 0)
            dk_linear_input_gradient_f32_reference(&dx, dy, w, rows, inputs, outputs, accumulate ? 1 : 0)
            dk_linear_weight_gradient_f32_reference(&dw, dy, x, rows, inputs, outputs)
            for (value, reference) in zip(fast, [y, y, dx, dw]) { expectClose(value, reference, tolerance: 5e-5) }
        }
    }

    @Test(arguments: [(30, 40), (200, 300), (513, 64)])
    func `a row has the bits it has among others, whatever block it lies in`(inputs: Int, outputs: Int) {
        var numbers = Numbers(2)
        let rows = 700
        let (x, w) = (numbers.floats(rows * inputs), numbers.floats(outputs * inputs))
        let compute = compute(2)
        func product(_ part: Range<Int>) -> [Float] {
            var y = [Float](repeating: 0, count: part.count * outputs)
            let from = Array(x[part.lowerBound * inputs..<part.upperBound * inputs])
            compute.linear(
                &y, from, w, bias: nil, rows: part.count, inputs: inputs, outputs: outputs, accumulate: false)
            return y
        }
        let all = product(0..<rows)
        for part in [0..<1, 7..<20, 100..<349, 191..<193, 130..<700, 699..<700] {
            #expect(bits([product(part)]) == bits([Array(all[part.lowerBound * outputs..<part.upperBound * outputs])]))
        }
    }

    @Test(arguments: [(3, 20), (9, 300)])
    func `products along a vocabulary equal their references and keep their bits`(width: Int, rows: Int) {
        var numbers = Numbers(8)
        let vocabulary = 16_384 + 700
        let (h, head) = (numbers.floats(rows * width), numbers.floats(vocabulary * width))
        let (logits, bias) = (numbers.floats(rows * vocabulary, scale: 0.01), numbers.floats(vocabulary))
        for accumulate in [false, true] {
            let fast = onEveryCount { compute in
                var (y, dx, alone) = (logits, h, Array(logits.suffix(vocabulary)))
                compute.linear(
                    &y, h, head, bias: bias, rows: rows, inputs: width, outputs: vocabulary, accumulate: accumulate)
                compute.linearInputGradient(
                    &dx, logits, head, rows: rows, inputs: width, outputs: vocabulary, accumulate: accumulate)
                compute.linear(
                    &alone, Array(h.suffix(width)), head, bias: bias, rows: 1, inputs: width, outputs: vocabulary,
                    accumulate: accumulate)
                return [y, dx, alone]
            }
            #expect(bits([fast[2]]) == bits([Array(fast[0].suffix(vocabulary))]))
            var (y, dx) = (logits, h)
            dk_linear_f32_reference(&y, h, head, bias, rows, width, vocabulary, accumulate ? 1 : 0)
            dk_linear_input_gradient_f32_reference(&dx, logits, head, rows, width, vocabulary, accumulate ? 1 : 0)
            for (value, reference) in zip(fast, [y, dx]) { expectClose(value, reference, tolerance: 5e-5) }
        }
    }

    @Test func `packed copies are kept, and others are made anew`() {
        var numbers = Numbers(3)
        let (rows, inputs, outputs) = (5, 30, 20)
        let x = numbers.floats(rows * inputs)
        let weights = FloatBuffer(count: inputs * outputs)
        func fill(_ values: [Float]) { weights.pointer.update(from: values, count: values.count) }
        let (kept, fresh) = (Matrix(.fp32(weights.pointer)).keepingCopies(), Matrix(.fp32(weights.pointer)))
        let compute = compute(2)
        func results(_ matrix: Matrix) -> [[Float]] {
            var (y, dx) = ([Float](repeating: 0, count: rows * outputs), x)
            compute.linear(&y, x, matrix, bias: nil, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
            compute.linearInputGradient(&dx, y, matrix, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
            return [y, dx]
        }
        fill(numbers.floats(inputs * outputs))
        let old = results(kept)
        #expect(bits(results(fresh)) == bits(old))
        fill(numbers.floats(inputs * outputs))
        #expect(bits(results(kept)) == bits(old))
        #expect(bits(results(fresh)) != bits(old))
    }

    @Test func `weights kept as bf16 multiply as what they stand for`() {
        var numbers = Numbers(4)
        let (rows, inputs, outputs) = (9, 200, 70)
        let (x, w) = (numbers.floats(rows * inputs), numbers.floats(inputs * outputs))
        var halves = [UInt16](repeating: 0, count: w.count)
        var wide = w
        dk_narrow_bf16_reference(&halves, w, w.count)
        dk_round_bf16_reference(&wide, w, w.count)
        let compute = compute(2)
        func product(_ matrix: Matrix) -> [Float] {
            var y = [Float](repeating: 0, count: rows * outputs)
            compute.linear(&y, x, matrix, bias: nil, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
            return y
        }
        let one = halves.withUnsafeBufferPointer { product(Matrix(.bf16($0.baseAddress!))) }
        let two = wide.withUnsafeBufferPointer { product(Matrix(.fp32($0.baseAddress!))) }
        #expect(bits([one]) == bits([two]))
    }

    @Test func `the loss and its gradients equal those of the other path`() {
        var numbers = Numbers(5)
        let (rows, width, vocabulary) = (300, 40, 500)
        let (h, head) = (numbers.floats(rows * width), numbers.floats(vocabulary * width))
        let bias = numbers.floats(vocabulary)
        let targets = numbers.ids(rows, below: vocabulary).enumerated().map { $0 % 5 == 0 ? -1 : $1 }
        func results(_ compute: Compute) -> [[Float]] {
            var (dh, dHead, dBias) = (h, head, bias)
            let loss = compute.crossEntropy(
                h, head: head, bias: bias, targets: targets, rows: rows, width: width, vocabulary: vocabulary, dh: &dh,
                dHead: &dHead, dBias: &dBias, workspace: Workspace())
            return [[Float(loss)], dh, dHead, dBias]
        }
        let native = onEveryCount(results)
        for (value, reference) in zip(native, results(anyCompute)) { expectClose(value, reference, tolerance: 5e-5) }
    }

    @Test func `bf16 operands multiply or are refused, never wrong`() {
        guard Compute.hasNativeBF16 else {
            // With AVX-512 the library rounds in software where there is no bf16: it offers what we don't take.
            let isWide = odn_instructions() & 0x27 == 0x27
            var product = odn_product()
            let status = odn_product_create(&product, 256, 64, 64, 0, 0, 1, nil)
            #expect(status == 0 ? isWide : status == Int32(dnnl_unimplemented.rawValue))
            odn_product_destroy(&product)
            return
        }
        for (rows, inputs, outputs) in shapes + [(20, 3, 16_384 + 700)] {
            var numbers = Numbers(6)
            let (x, w, dy) = (
                numbers.floats(rows * inputs), numbers.floats(outputs * inputs), numbers.floats(rows * outputs)
            )
            let compute = anyCompute.using(.bf16)
            var (y, dx, dw) = (dy, x, w)
            compute.linear(&y, x, w, bias: nil, rows: rows, inputs: inputs, outputs: outputs, accumulate: true)
            compute.linearInputGradient(&dx, dy, w, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
            compute.linearWeightGradient(&dw, dy, x, rows: rows, inputs: inputs, outputs: outputs)
            var (ySlow, dxSlow, dwSlow) = (dy, x, w)
            dk_linear_bf16_reference(&ySlow, x, w, nil, rows, inputs, outputs, 1)
            dk_linear_input_gradient_bf16_reference(&dxSlow, dy, w, rows, inputs, outputs, 0)
            dk_linear_weight_gradient_bf16_reference(&dwSlow, dy, x, rows, inputs, outputs)
            for (value, reference) in zip([y, dx, dw], [ySlow, dxSlow, dwSlow]) {
                expectClose(value, reference, tolerance: 1e-4)
            }
        }
    }

    @Test func `a shape that is no shape is refused, which is no failure`() {
        var product = odn_product()
        let status = odn_product_create(&product, 16, -1, 16, 0, 0, 0, nil)
        #expect(status != 0 && odn_is_refusal(status) != 0)
        #expect(odn_is_refusal(Int32(dnnl_out_of_memory.rawValue)) == 0)
        #expect(odn_is_refusal(Int32(dnnl_runtime_error.rawValue)) == 0)
    }

    @Test func `the library runs products on the calling thread`() {
        #expect(odn_runs_alone() != 0)
    }

    @Test(arguments: [(1, 1), (70, 130), (64, 64), (301, 37), (1024, 200)])
    func `our packing is the library's, byte for byte`(k: Int, columns: Int) {
        var product = odn_product()
        guard Compute.hasNativeBF16, odn_product_create(&product, 256, columns, k, 0, 0, 1, nil) == 0 else { return }
        defer { odn_product_destroy(&product) }
        let height = odn_pairs(&product)
        guard height > 0 else { return }
        var numbers = Numbers(7)
        for isTurned in [false, true] {
            let dense = numbers.floats(k * columns)
            var halves = [UInt16](repeating: 0, count: dense.count)
            dk_narrow_bf16_reference(&halves, dense, dense.count)
            var (ours, theirs) = (
                [UInt16](repeating: 1, count: product.packed_bytes / 2),
                [UInt16](repeating: 2, count: product.packed_bytes / 2)
            )
            var (packer, slot) = (odn_packer(), odn_slot())
            #expect(odn_packer_create(&packer, &product, k, 0, columns, isTurned ? 1 : 0, 1) == 0)
            #expect(odn_packer_slot(&packer, &slot) == 0)
            #expect(odn_packer_run(&packer, &slot, halves, &theirs) == 0)
            odn_slot_destroy(&slot)
            odn_packer_destroy(&packer)
            ours.withUnsafeMutableBufferPointer { ours in
                dense.withUnsafeBufferPointer { dense in
                    for column in stride(from: 0, to: columns, by: Int(DK_PAIR_COLUMNS)) {
                        anyCompute.packPairs(
                            ours.baseAddress! + column * height, dense.baseAddress! + column * (isTurned ? k : 1),
                            step: isTurned ? k : columns, k: k, columns: min(Int(DK_PAIR_COLUMNS), columns - column),
                            padded: height, isTurned: isTurned)
                    }
                }
            }
            #expect(ours == theirs)
        }
    }

    @Test(arguments: [(20, 130, 200), (300, 24, 16_384 + 700), (7, 16_384 + 700, 24)])
    func `native weights multiply as what they stand for, bf16 or fp32, their packed copies kept or not`(
        rows: Int, inputs: Int, outputs: Int
    ) {
        guard Compute.hasNativeBF16 else { return }
        var numbers = Numbers(10)
        let (x, w, dy) = (
            numbers.floats(rows * inputs), numbers.floats(inputs * outputs), numbers.floats(rows * outputs)
        )
        var halves = [UInt16](repeating: 0, count: w.count)
        dk_narrow_bf16_reference(&halves, w, w.count)
        func products(_ matrix: Matrix) -> [[Float]] {
            let compute = anyCompute.using(.bf16)
            var (y, dx) = (dy, x)
            compute.linear(&y, x, matrix, bias: nil, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
            compute.linearInputGradient(
                &dx, dy, matrix, rows: rows, inputs: inputs, outputs: outputs, accumulate: false)
            return [y, dx]
        }
        halves.withUnsafeBufferPointer { halves in
            w.withUnsafeBufferPointer { w in
                let matrices = [Matrix(.bf16(halves.baseAddress!)), Matrix(.fp32(w.baseAddress!))]
                let expected = bits(products(matrices[0]))
                #expect(bits(products(matrices[1])) == expected)
                for kept in matrices.map({ $0.keepingCopies() }) {
                    for _ in 1...2 { #expect(bits(products(kept)) == expected) }
                }
            }
        }
    }

    @Test(arguments: [(96, 500), (1024, 1024)])
    func `few rows in bf16 have the bits they have among many`(inputs: Int, outputs: Int) {
        guard Compute.hasNativeBF16 else { return }
        let products = NativeProducts(.bf16, threads: 2)
        #expect(products.pieces(inputs: inputs, outputs: outputs) > 1)
        var numbers = Numbers(9)
        let rows = 130
        let (x, w) = (numbers.floats(rows * inputs), numbers.floats(outputs * inputs))
        let compute = Compute(team: Team(threads: 2)).using(.bf16, native: products)
        func product(_ part: Range<Int>) -> [Float] {
            var y = [Float](repeating: 1, count: part.count * outputs)
            let from = Array(x[part.lowerBound * inputs..<part.upperBound * inputs])
            compute.linear(
                &y, from, w, bias: nil, rows: part.count, inputs: inputs, outputs: outputs, accumulate: true)
            return y
        }
        let all = product(0..<rows)
        for part in [0..<1, 7..<20, 129..<130] {
            #expect(bits([product(part)]) == bits([Array(all[part.lowerBound * outputs..<part.upperBound * outputs])]))
        }
    }

    @Test func `the version is one the shim was written for`() {
        #expect((20_000..<40_000).contains(odn_version()))
    }
}
