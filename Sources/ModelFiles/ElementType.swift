/// A number format of the safetensors format.
package enum ElementType: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case u8 = "U8"
    case i8 = "I8"
    case f8e5m2 = "F8_E5M2"
    case f8e4m3 = "F8_E4M3"
    case i16 = "I16"
    case u16 = "U16"
    case f16 = "F16"
    case bf16 = "BF16"
    case i32 = "I32"
    case u32 = "U32"
    case f32 = "F32"
    case i64 = "I64"
    case u64 = "U64"
    case f64 = "F64"

    /// Size of one element, bytes.
    package var byteCount: Int {
        switch self {
        case .bool, .u8, .i8, .f8e5m2, .f8e4m3: 1
        case .i16, .u16, .f16, .bf16: 2
        case .i32, .u32, .f32: 4
        case .i64, .u64, .f64: 8
        }
    }

    /// Whether weights may be stored in this format: F32, BF16 and F16 widen to fp32 exactly.
    package var widensExactly: Bool { self == .f32 || self == .bf16 || self == .f16 }
}

/// Conversions between stored bytes (little-endian, any alignment) and fp32 memory.
enum Widening {
    /// fp32 values of `source`, whose elements are of a type that `widensExactly`; counts must agree.
    static func widen(
        _ source: UnsafeRawBufferPointer, as type: ElementType, into target: UnsafeMutablePointer<Float>
    ) {
        precondition(type.widensExactly, "Only F32, BF16 and F16 are widened.")
        guard let base = source.baseAddress else { return }
        let count = source.count / type.byteCount
        switch type {
        case .f32: UnsafeMutableRawPointer(target).copyMemory(from: base, byteCount: source.count)
        case .bf16: widenBF16(base, count: count, into: target)
        default: widenF16(base, count: count, into: target)
        }
    }

    /// bf16 values of `source`, likewise, rounded to nearest even where it holds more.
    static func narrow(
        _ source: UnsafeRawBufferPointer, as type: ElementType, into target: UnsafeMutablePointer<UInt16>
    ) {
        precondition(type.widensExactly, "Only F32, BF16 and F16 are widened.")
        guard let base = source.baseAddress else { return }
        let count = source.count / type.byteCount
        if type == .bf16 {
            for index in 0..<count {
                target[index] = UInt16(littleEndian: base.loadUnaligned(fromByteOffset: index &* 2, as: UInt16.self))
            }
            return
        }
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 4096) { values in
            guard let wide = values.baseAddress else { return }
            for start in stride(from: 0, to: count, by: values.count) {
                let length = min(values.count, count - start)
                let bytes = UnsafeRawBufferPointer(
                    start: base + start * type.byteCount, count: length * type.byteCount)
                widen(bytes, as: type, into: wide)
                for index in 0..<length { target[start + index] = bf16(wide[index]) }
            }
        }
    }

    private static func widenBF16(_ source: UnsafeRawPointer, count: Int, into target: UnsafeMutablePointer<Float>) {
        for index in 0..<count {
            let bits = source.loadUnaligned(fromByteOffset: index &* 2, as: UInt16.self)
            target[index] = Float(bitPattern: UInt32(UInt16(littleEndian: bits)) << 16)
        }
    }

    private static func widenF16(_ source: UnsafeRawPointer, count: Int, into target: UnsafeMutablePointer<Float>) {
        for index in 0..<count {
            let bits = source.loadUnaligned(fromByteOffset: index &* 2, as: UInt16.self)
            target[index] = f16(UInt16(littleEndian: bits))
        }
    }

    /// IEEE 754 binary16 → binary32, exact, also where the processor flushes subnormals to zero.
    static func f16(_ bits: UInt16) -> Float {
        let sign = UInt32(bits & 0x8000) << 16
        let exponent = UInt32(bits >> 10) & 0x1F
        let fraction = UInt32(bits & 0x3FF)
        if exponent == 0 {
            let magnitude = Float(fraction) * 0x1p-24
            return Float(bitPattern: magnitude.bitPattern | sign)
        }
        let wide = exponent == 31 ? 0xFF : exponent &+ 112
        return Float(bitPattern: sign | wide << 23 | fraction << 13)
    }

    /// fp32 → bfloat16, round to nearest, ties to even; not-a-number stays one.
    static func bf16(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    }
}
