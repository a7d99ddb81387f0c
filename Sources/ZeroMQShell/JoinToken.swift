import Foundation

/// What a stranger needs to be enrolled, as text: `drv1.SERVER.SECRET`.
///
/// SERVER is the coordinator's public key, so that nobody can stand in for it; SECRET is the secret half of a key that
/// the coordinator lets in once, to name another key that stays. Both are 32 bytes in base64url (RFC 4648 §5).
package struct JoinToken: Sendable, Equatable, CustomStringConvertible {
    package let server: CurvePublicKey
    /// The one-time key.
    package let keys: CurveKeyPair

    package init(server: CurvePublicKey, keys: CurveKeyPair) {
        self.server = server
        self.keys = keys
    }

    /// Reads a token; nil when it was not copied as a whole.
    package init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "drv1",
            let server = Self.bytes(parts[1]).flatMap({ try? CurvePublicKey(bytes: $0) }),
            let secret = Self.bytes(parts[2]).flatMap(Z85.encode), let keys = try? CurveKeyPair(secretText: secret)
        else { return nil }
        self.init(server: server, keys: keys)
    }

    /// The whole token, secret included: for the person who asked for it and nobody else.
    package var text: String { "drv1.\(Self.text(server.bytes)).\(Self.text(Z85.decode(keys.secretText)))" }

    package var description: String { "token of \(keys.publicKey)" }

    private static func text(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    private static func bytes(_ text: Substring) -> [UInt8]? {
        guard text.utf8.count == 43 else { return nil }
        return Data(base64Encoded: text.replacing("-", with: "+").replacing("_", with: "/") + "=").map { [UInt8]($0) }
    }
}
