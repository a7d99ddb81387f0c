#if canImport(COneDNN)
    import COneDNN
    import Testing

    @Suite struct OneDNNTests {
        @Test(arguments: [(false, false), (true, false), (false, true), (true, true)])
        func `oneDNN multiplies plain and packed matrices and adds to the old result`(packs: Bool, transposes: Bool) {
            let (rows, columns, k) = (5, 7, 9)
            let a = (0..<rows * k).map { Float($0 % 7 - 3) }
            let b = (0..<k * columns).map { Float($0 % 5 - 2) }
            var c = [Float](repeating: 1, count: rows * columns)
            var product = odn_product()
            #expect(odn_product_create(&product, rows, columns, k, 0, transposes ? 1 : 0, 1, 0, packs ? 1 : 0) == 0)
            defer { odn_product_destroy(&product) }
            let memory = UnsafeMutableRawPointer.allocate(
                byteCount: product.packed_bytes + product.scratch_bytes + 128, alignment: 64)
            defer { memory.deallocate() }
            let scratch = memory + (product.packed_bytes + 63) / 64 * 64
            if packs { #expect(odn_product_pack(&product, b, memory) == 0) }
            let status = b.withUnsafeBytes {
                odn_product_run(&product, a, packs ? UnsafeRawPointer(memory) : $0.baseAddress!, &c, scratch)
            }

            #expect(status == 0)
            for i in 0..<rows {
                for j in 0..<columns {
                    var sum: Float = 1
                    for at in 0..<k { sum += a[i * k + at] * b[transposes ? j * k + at : at * columns + j] }
                    #expect(c[i * columns + j] == sum)
                }
            }
        }

        @Test func `bf16 is there or refused, never wrong`() {
            var product = odn_product()
            let status = odn_product_create(&product, 16, 16, 32, 0, 0, 0, 1, 0)
            defer { if status == 0 { odn_product_destroy(&product) } }
            guard status == 0 else {
                #expect(status == Int32(dnnl_unimplemented.rawValue) && odn_instructions() & 0xE7 != 0xE7)
                return
            }
            // Halves and small integers are exact in bf16, and so are their sums in fp32.
            let a = (0..<16 * 32).map { UInt16(truncatingIfNeeded: (Float($0 % 3) / 2).bitPattern >> 16) }
            let b = (0..<32 * 16).map { UInt16(truncatingIfNeeded: Float($0 % 4).bitPattern >> 16) }
            var c = [Float](repeating: 0, count: 256)
            let scratch = UnsafeMutableRawPointer.allocate(byteCount: product.scratch_bytes + 64, alignment: 64)
            defer { scratch.deallocate() }
            #expect(odn_product_run(&product, a, b, &c, scratch) == 0)
            var first: Float = 0
            for i in 0..<32 { first += Float(i % 3) / 2 * Float(i * 16 % 4) }
            #expect(c[0] == first)
        }

        @Test func `the version is one the shim was written for`() {
            #expect((20_000..<40_000).contains(odn_version()))
        }
    }
#endif
