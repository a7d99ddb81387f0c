import Kernels
import Testing

@Suite struct GradientWireTests {
    /// Values of all sizes, from a fixed sequence; tiny, zero and negative ones among them.
    private static func values(_ count: Int) -> [Float] {
        var state: UInt64 = 88_172_645_463_325_252
        return (0..<count).map { index in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            let unit = Float(Int64(bitPattern: state) >> 40) / Float(1 << 23)
            return index % 11 == 0 ? 0 : unit * Float(sign: .plus, exponent: Int(state % 60) - 40, significand: 1)
        }
    }

    private static func rounded(_ values: [Float], _ wire: GradientWire, from lower: Int = 0) -> [Float] {
        var copy = values
        copy.withUnsafeMutableBufferPointer { wire.round($0.baseAddress!, lower..<lower + values.count) }
        return copy
    }

    private static func sent(_ values: [Float], _ wire: GradientWire, from lower: Int = 0) -> [Float]? {
        let range = lower..<lower + values.count
        let bytes = [UInt8](unsafeUninitializedCapacity: wire.bytes(of: range)) { buffer, count in
            values.withUnsafeBufferPointer {
                wire.encode($0.baseAddress!, range, into: UnsafeMutableRawPointer(buffer.baseAddress!))
            }
            count = wire.bytes(of: range)
        }
        var received = [Float](repeating: .nan, count: values.count)
        let isRead = received.withUnsafeMutableBufferPointer { target in
            bytes.withUnsafeBytes { wire.decode($0, range, to: target.baseAddress!) }
        }
        return isRead ? received : nil
    }

    @Test(arguments: GradientWire.Format.allCases)
    func `what was rounded crosses the wire unchanged, and is not rounded again`(format: GradientWire.Format) {
        let wire = GradientWire(format, tensors: [100, 1, 700, 4096])
        let once = Self.rounded(Self.values(4897), wire)

        #expect(Self.rounded(once, wire).map(\.bitPattern) == once.map(\.bitPattern))
        #expect(Self.sent(once, wire)?.map(\.bitPattern) == once.map(\.bitPattern))
    }

    @Test(arguments: GradientWire.Format.allCases)
    func `a part that begins at a block is rounded as the whole is`(format: GradientWire.Format) {
        let wire = GradientWire(format, tensors: [1000, 3097])
        let values = Self.values(4097)
        let whole = Self.rounded(values, wire)

        for lower in [64, 960, 1024, 4032] {
            let part = Self.rounded(Array(values[lower...]), wire, from: lower)
            #expect(part.map(\.bitPattern) == whole[lower...].map(\.bitPattern))
        }
    }

    @Test func `eight bits keep seven of the largest value of a block, ties go to the even neighbour`() {
        let wire = GradientWire(.int8, tensors: [64])
        var values = [Float](repeating: 0, count: 64)
        (values[0], values[1], values[2], values[3], values[4]) = (100, 0.5, 1.5, -2.5, 63.49)

        #expect(Array(Self.rounded(values, wire)[..<5]) == [100, 0, 2, -2, 63])
    }

    @Test(arguments: [0, 1, 15, 16, 17, 100, 1000]) func `what is kept past the caches is a copy, at any address`(
        count: Int
    ) {
        let values = Self.values(count + 40)
        for (from, to) in [(0, 0), (1, 0), (0, 3), (5, 7), (16, 15)] {
            var target = [Float](repeating: 7, count: count + 40)
            values.withUnsafeBytes { source in
                target.withUnsafeMutableBufferPointer {
                    GradientWire.keep(source.baseAddress! + 4 * from + 2, count, to: $0.baseAddress! + to)
                }
            }
            var wanted = [Float](repeating: 7, count: count + 40)
            values.withUnsafeBytes { source in
                wanted.withUnsafeMutableBytes {
                    $0.baseAddress!.advanced(by: 4 * to)
                        .copyMemory(from: source.baseAddress! + 4 * from + 2, byteCount: 4 * count)
                }
            }
            #expect(target.map(\.bitPattern) == wanted.map(\.bitPattern))
        }
    }

    @Test func `two tensors never share a scale`() {
        let wire = GradientWire(.int8, tensors: [32, 32])
        let values = [Float](repeating: 1000, count: 32) + [Float](repeating: 0.001, count: 32)
        let rounded = Self.rounded(values, wire)

        #expect(wire.bytes(of: 0..<64) == 66)
        #expect(abs(rounded[40] - 0.001) < 0.00001)
    }

    @Test func `bf16 is the nearest of its numbers, ties to even`() {
        let wire = GradientWire(.bf16, tensors: [4])
        let values: [Float] = [1.00390625, 1.01171875, -3.1415927, 65_535]

        #expect(Self.rounded(values, wire) == [1, 1.015625, -3.140625, 65_536])
    }

    @Test(arguments: [GradientWire.Format.bf16, .int8])
    func `what is not finite stays so`(format: GradientWire.Format) {
        let wire = GradientWire(format, tensors: [128])
        for bad in [Float.infinity, .nan, -.infinity] {
            var values = Self.values(128)
            values[70] = bad
            let rounded = Self.rounded(values, wire)
            #expect(!rounded[70].isFinite && rounded[..<64].allSatisfy(\.isFinite))
            #expect(Self.sent(rounded, wire)?[70].isFinite == false)
        }
    }

    @Test(arguments: GradientWire.Format.allCases)
    func `bytes of another length are refused`(format: GradientWire.Format) {
        let wire = GradientWire(format, tensors: [128])
        var values = [Float](repeating: 0, count: 128)
        for count in [0, 1, wire.bytes(of: 0..<128) - 1, wire.bytes(of: 0..<128) + 1] {
            let isRead = values.withUnsafeMutableBufferPointer { target in
                [UInt8](repeating: 255, count: count).withUnsafeBytes {
                    wire.decode($0, 0..<128, to: target.baseAddress!)
                }
            }
            #expect(!isRead)
        }
    }
}
