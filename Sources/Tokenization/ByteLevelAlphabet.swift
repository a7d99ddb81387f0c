/// The printable stand-ins for bytes in byte-level vocabularies.
///
/// Bytes 33–126, 161–172 and 174–255 stand for the code point of the same number; the other 68 bytes stand for
/// U+0100… in order. Source: openai/gpt-2, `bytes_to_unicode`.
enum ByteLevelAlphabet {
    /// Byte → its stand-in, a code point below 0x144.
    static let standIns: [UInt32] = {
        var next: UInt32 = 0x100
        return (0...255).map { (byte: UInt32) in
            if (33...126).contains(byte) || (161...172).contains(byte) || (174...255).contains(byte) { return byte }
            defer { next += 1 }
            return next
        }
    }()

    /// Stand-in → byte, −1 where a code point below 0x144 is none.
    private static let bytes: [Int16] = {
        var bytes = [Int16](repeating: -1, count: 0x144)
        for (byte, standIn) in standIns.enumerated() { bytes[Int(standIn)] = Int16(byte) }
        return bytes
    }()

    /// The bytes that a token of stand-ins means; nil when it holds any other character.
    static func decode(_ token: [UInt8]) -> [UInt8]? {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(token.count)
        var at = 0
        while at < token.count {
            let first = UInt32(token[at])
            // Stand-ins have one or two UTF-8 bytes.
            let scalar: UInt32
            if first < 0x80 {
                scalar = first
                at += 1
            } else {
                guard first < 0xE0, at + 1 < token.count else { return nil }
                scalar = (first & 0x1F) << 6 | UInt32(token[at + 1] & 0x3F)
                at += 2
            }
            guard scalar < 0x144, bytes[Int(scalar)] >= 0 else { return nil }
            decoded.append(UInt8(bytes[Int(scalar)]))
        }
        return decoded
    }

    /// The token of stand-ins, as UTF-8, for bytes.
    static func encode(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var token: [UInt8] = []
        for byte in bytes {
            let scalar = standIns[Int(byte)]
            if scalar < 0x80 {
                token.append(UInt8(scalar))
            } else {
                token.append(UInt8(0xC0 | scalar >> 6))
                token.append(UInt8(0x80 | scalar & 0x3F))
            }
        }
        return token
    }
}
