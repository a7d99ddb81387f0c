import CKernels
import Kernels
import Testing

@Suite struct ConversionTests {
    private let everyHalf = Array(UInt16.min...UInt16.max)

    /// Bits, with every NaN alike and subnormals as zeros of their sign.
    private func canonical(_ x: [Float]) -> [UInt32] {
        x.map { $0.isNaN ? 0x7FC0_0000 : $0.isSubnormal ? $0.bitPattern & 0x8000_0000 : $0.bitPattern }
    }

    @Test func `every half-precision pattern widens to its value`() {
        let fast = everyCompute.map { compute in
            var y = [Float](repeating: 0, count: 65536)
            compute.widenF16(&y, everyHalf, count: 65536)
            return canonical(y)
        }
        var slow = [Float](repeating: 0, count: 65536)
        dk_widen_f16_reference(&slow, everyHalf, 65536)
        #expect(fast.allSatisfy { $0 == canonical(slow) })
    }

    @Test func `every bf16 pattern widens to its value and narrows back`() {
        for compute in everyCompute {
            var (y, back) = ([Float](repeating: 0, count: 65536), everyHalf)
            compute.widenBF16(&y, everyHalf, count: 65536)
            #expect(zip(y, everyHalf).allSatisfy { $0.bitPattern == UInt32($1) << 16 })
            compute.narrowToBF16(&back, y, count: 65536)
            #expect(zip(back, everyHalf).allSatisfy { $0 == $1 || Float(bitPattern: UInt32($1) << 16).isNaN })
        }
    }

    @Test func `narrowing rounds to nearest, ties to even, and keeps a NaN`() {
        let patterns: [UInt32] = [
            0x3F80_7FFF, 0x3F80_8000, 0x3F80_8001, 0x3F81_8000, 0x7F7F_FFFF, 0x7F80_0001, 0xFFC0_0000, 0x8000_8000,
            0x0000_8001,
        ]
        let expected: [UInt16] = [0x3F80, 0x3F80, 0x3F81, 0x3F82, 0x7F80, 0x7FC0, 0xFFC0, 0x8000, 0x0001]
        let x = patterns.map { Float(bitPattern: $0) }
        for compute in everyCompute {
            var y = [UInt16](repeating: 0, count: x.count)
            compute.narrowToBF16(&y, x, count: x.count)
            #expect(y == expected)
        }
        var slow = [UInt16](repeating: 0, count: x.count)
        dk_narrow_bf16_reference(&slow, x, x.count)
        #expect(slow == expected)
    }
}
