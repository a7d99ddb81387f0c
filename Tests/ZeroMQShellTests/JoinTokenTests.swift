import Testing

@testable import ZeroMQShell

struct JoinTokenTests {
    @Test func `a token comes back from its text, which no shell changes`() throws {
        for _ in 0..<50 {
            let token = JoinToken(server: try CurveKeyPair.generate().publicKey, keys: try CurveKeyPair.generate())
            let text = token.text
            #expect(JoinToken(text) == token)
            #expect(
                text.utf8.allSatisfy {
                    UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || 65...90 ~= $0 || 97...122 ~= $0
                        || [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_")].contains($0)
                })
            #expect(!"\(token)".contains(token.keys.secretText) && !"\(token)".contains(text.suffix(43)))
        }
    }

    @Test func `a token that was not copied whole is none`() throws {
        let text = JoinToken(server: try CurveKeyPair.generate().publicKey, keys: try CurveKeyPair.generate()).text
        for broken in [
            "", "drv1", "drv1..", String(text.dropLast()), String(text.dropFirst()), text + "A", text + ".x",
            text.replacing("drv1", with: "drv2"), "drv1." + String(repeating: "é", count: 43) + ".x",
        ] {
            #expect(JoinToken(broken) == nil, "\(broken)")
        }
    }
}

struct PeerAddressTests {
    @Test func `a socket on every address is reached where its owner was`() throws {
        let key = try CurveKeyPair.generate().publicKey
        func reached(_ endpoint: String, _ dialled: String) -> String? {
            PeerAddress("\(endpoint)#\(key)")?.reached(through: dialled).description
        }
        #expect(reached("tcp://0.0.0.0:41", "10.0.0.1:7780") == "tcp://10.0.0.1:41#\(key)")
        #expect(reached("tcp://[::]:41", "[fe80::1]:7780") == "tcp://[fe80::1]:41#\(key)")
        #expect(reached("tcp://[::]:41", "head:7780") == "tcp://head:41#\(key)")
        #expect(reached("tcp://10.0.0.2:41", "head:7780") == "tcp://10.0.0.2:41#\(key)")
        #expect(PeerAddress.withPort("*", "tcp://[::1]:80") == "tcp://[::1]:*")
        #expect(PeerAddress.isIPv6("tcp://[::1]:80") && !PeerAddress.isIPv6("tcp://127.0.0.1:80"))
    }

    @Test func `an address on this machine may be plain, every other one names a key`() throws {
        let key = try CurveKeyPair.generate().publicKey
        for text in ["tcp://127.0.0.1:4000", "tcp://10.0.0.2:4000#\(key)", "tcp://127.0.0.1:4000#\(key)"] {
            #expect(PeerAddress(text)?.description == text)
        }
        for text in [
            "", "tcp://", "tcp://10.0.0.2:4000", "tcp://10.0.0.2:4000#", "tcp://10.0.0.2:4000#short", "ipc:///tmp/x",
            "tcp://127.0.0.1.evil.org:4000", "tcp://127.0.0.256:1", "tcp://1270.0.0.1:4000",
        ] {
            #expect(PeerAddress(text) == nil, "\(text)")
        }
    }
}
