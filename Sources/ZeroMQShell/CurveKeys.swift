import CZeroMQ
import Glibc

/// Why text is no key, or no key can be made.
package enum CurveKeyError: Error, Equatable, CustomStringConvertible {
    /// Not 40 characters of Z85, or not 32 bytes.
    case malformed
    /// One of the example keys in the manual, whose secret halves everybody knows.
    case published
    /// libzmq was built without CURVE encryption.
    case noCurve

    package var description: String {
        switch self {
        case .malformed: "a CURVE key has 40 characters of the Z85 alphabet; copy it again as a whole"
        case .published: "this key is printed in the manual of libzmq, everybody has its secret half; make a new one"
        case .noCurve: "this libzmq has no CURVE encryption; install one that was built with libsodium"
        }
    }
}

/// A CURVE public key: 32 bytes, written as 40 characters of Z85 (ZeroMQ RFC 32).
package struct CurvePublicKey: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// 40 characters.
    package let text: String

    /// A key from text that came from outside; refuses what is no Z85 and the example keys printed in zmq_curve(7).
    package init(_ text: String) throws(CurveKeyError) {
        guard Z85.isKey(text) else { throw .malformed }
        guard !Self.published.contains(text) else { throw .published }
        self.text = text
    }

    /// A key from its 32 bytes.
    package init(bytes: [UInt8]) throws(CurveKeyError) {
        guard let text = Z85.encode(bytes) else { throw .malformed }
        try self.init(text)
    }

    /// 32 bytes.
    package var bytes: [UInt8] { Z85.decode(text) }
    package var description: String { text }

    package static func < (left: CurvePublicKey, right: CurvePublicKey) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }

    /// The public keys of the examples in zmq_curve(7).
    private static let published = [
        "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
    ]
}

/// Both halves of a CURVE key; the secret half shows itself to nobody by accident.
package struct CurveKeyPair: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    package let publicKey: CurvePublicKey
    /// 40 characters of Z85; for a file of mode 0600 and nothing else.
    package let secretText: String

    /// A fresh pair from the system's randomness, whose public half can stand in a command line: one that begins with a
    /// hyphen would be taken for an option.
    package static func generate() throws(CurveKeyError) -> CurveKeyPair {
        while true {
            var publicText = [CChar](repeating: 0, count: 41)
            var secretText = [CChar](repeating: 0, count: 41)
            guard zmq_curve_keypair(&publicText, &secretText) == 0 else { throw .noCurve }
            let pair = try CurveKeyPair(secretText: Z85.text(secretText))
            if !pair.publicKey.text.hasPrefix("-") { return pair }
        }
    }

    /// The pair that a secret half belongs to.
    package init(secretText: String) throws(CurveKeyError) {
        guard Z85.isKey(secretText) else { throw .malformed }
        var publicText = [CChar](repeating: 0, count: 41)
        guard zmq_curve_public(&publicText, secretText) == 0 else {
            throw zmq_errno() == EINVAL ? .malformed : .noCurve
        }
        publicKey = try CurvePublicKey(Z85.text(publicText))
        self.secretText = secretText
    }

    package var description: String { "key pair of \(publicKey)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["publicKey": publicKey]) }
}

/// ZeroMQ's text form of binary data: five characters for four bytes.
enum Z85 {
    private static let alphabet = Array(
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#".utf8)

    /// True for the text of a 32-byte key: 40 characters, each group of five below 2³².
    static func isKey(_ text: String) -> Bool { text.utf8.count == 40 && value(Array(text.utf8)) != nil }

    /// The text of exactly 32 bytes, else nil.
    static func encode(_ bytes: [UInt8]) -> String? {
        guard bytes.count == 32 else { return nil }
        var text: [UInt8] = []
        for start in stride(from: 0, to: 32, by: 4) {
            var word = bytes[start..<start + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            var group: [UInt8] = []
            for _ in 0..<5 {
                group.insert(alphabet[Int(word % 85)], at: 0)
                word /= 85
            }
            text += group
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of a text that `isKey`.
    static func decode(_ text: String) -> [UInt8] {
        guard let bytes = value(Array(text.utf8)) else {
            preconditionFailure("a key's text was checked when it was made")
        }
        return bytes
    }

    /// The text in a C buffer.
    static func text(_ buffer: [CChar]) -> String {
        String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private static func value(_ text: [UInt8]) -> [UInt8]? {
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: text.count - text.count % 5, by: 5) {
            var word: UInt64 = 0
            for character in text[start..<start + 5] {
                guard let digit = alphabet.firstIndex(of: character) else { return nil }
                word = word * 85 + UInt64(digit)
            }
            guard let word = UInt32(exactly: word) else { return nil }
            for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(shift))) }
        }
        return bytes
    }
}
