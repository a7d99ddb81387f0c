import Testing
import ZeroMQShell

@Suite struct CurveKeyTests {
    @Test func `keys are fresh, read back, and show no secret`() throws {
        let keys = try CurveKeyPair.generate()
        #expect(try keys != CurveKeyPair.generate())
        #expect(try CurveKeyPair(secretText: keys.secretText) == keys)
        #expect(try CurvePublicKey(bytes: keys.publicKey.bytes) == keys.publicKey)
        #expect(keys.publicKey.bytes.count == 32)
        for text in [
            "\(keys)", String(reflecting: keys), String(describing: Mirror(reflecting: keys).children.map { $0 }),
        ] {
            #expect(!text.contains(keys.secretText))
        }
    }

    @Test func `no key looks like an option of a command`() throws {
        // One in 85 would begin with a hyphen.
        for _ in 0..<1500 { #expect(try !CurveKeyPair.generate().publicKey.text.hasPrefix("-")) }
    }

    @Test func `Z85 text is that of the specification`() throws {
        // ZeroMQ RFC 32: eight bytes 86 4F D2 6F B5 59 F7 5B are written HelloWorld; here four times.
        let bytes = [[UInt8]](repeating: [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B], count: 4).flatMap { $0 }
        let key = try CurvePublicKey(bytes: bytes)
        #expect(key.text == "HelloWorldHelloWorldHelloWorldHelloWorld")
        #expect(key.bytes == bytes)
    }

    @Test func `what is no key and what everybody knows is refused`() {
        for text in ["", "short", String(repeating: "~", count: 40), String(repeating: "#", count: 40)] {
            #expect(throws: CurveKeyError.malformed) { try CurvePublicKey(text) }
            #expect(throws: CurveKeyError.malformed) { try CurveKeyPair(secretText: text) }
        }
        #expect(throws: CurveKeyError.malformed) { try CurvePublicKey(bytes: [1]) }
        #expect(throws: CurveKeyError.published) { try CurvePublicKey("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7") }
    }
}

@Suite struct ZAPRequestTests {
    private func frames(_ mechanism: String, _ credentials: [[UInt8]]) -> [[UInt8]] {
        ["1.0", "7", "drover.workers", "10.0.0.1", ""].map { Array($0.utf8) } + [Array(mechanism.utf8)] + credentials
    }

    @Test func `requests are read and anything else is nil`() throws {
        let key = try CurveKeyPair.generate().publicKey
        let request = ZAPRequest(frames: frames("CURVE", [key.bytes]))
        #expect(request?.mechanism == .curve(key))
        #expect(request?.domain == "drover.workers" && request?.address == "10.0.0.1" && request?.id == [0x37])
        #expect(ZAPRequest(frames: frames("NULL", []))?.mechanism == .other("NULL"))
        for wrong in [
            [], frames("CURVE", []), frames("CURVE", [[1, 2]]), frames("CURVE", [key.bytes, []]),
            Array(frames("NULL", []).dropLast()), [[0x32]] + frames("NULL", []).dropFirst(),
            frames("\u{FFFD}", [[], [], [], []]),
        ] { #expect(ZAPRequest(frames: wrong) == nil) }
    }
}

/// One suite, one after another: a process has one authentication handler.
@Suite(.serialized) struct CurveConnectionTests {
    private let fixture = ZeroMQFixture()

    private func server(_ keys: CurveKeyPair) throws -> (socket: ZeroMQSocket, endpoint: String) {
        var options = ZeroMQFixture.options
        options.curve = .server(keys, domain: "drover.workers")
        let socket = try ZeroMQSocket(.router, options)
        return (socket, try socket.bind("tcp://127.0.0.1:*"))
    }

    private func client(_ keys: CurveKeyPair, server: CurvePublicKey) throws -> ZeroMQSocket {
        var options = ZeroMQFixture.options
        options.curve = .client(keys, server: server)
        return try ZeroMQSocket(.dealer, options)
    }

    private func kind(
        _ monitor: ZeroMQSocket, _ handler: ZAPHandler?, _ decide: (ZAPRequest) -> ZAPDecision
    ) throws -> ConnectionEvent.Kind {
        try fixture.wait([monitor] + (handler.map { [$0.socket] } ?? [])) {
            try handler?.answer(decide)
            while let event = try monitor.connectionEvent() {
                switch event.kind {
                case .refused, .handshakeFailed, .lost: return event.kind
                case .established, .other: continue
                }
            }
            return nil
        }
    }

    @Test func `an accepted key talks under the name that the handler gave it`() throws {
        let (server, worker) = (try CurveKeyPair.generate(), try CurveKeyPair.generate())
        let handler = try ZAPHandler()
        let (router, endpoint) = try self.server(server)
        let dealer = try client(worker, server: server.publicKey)
        try dealer.connect(endpoint)
        var asked: [ZAPRequest] = []

        let frames = try fixture.wait([router, handler.socket]) {
            try handler.answer { request in
                asked.append(request)
                return .accept(userID: "worker-1")
            }
            _ = try dealer.send([[5]])
            return try router.receive()
        }

        #expect(frames.last?.bytes == [5] && frames.last?.userID == "worker-1")
        #expect(asked.map(\.mechanism) == [.curve(worker.publicKey)])
        #expect(asked.first?.domain == "drover.workers" && asked.first?.address == "127.0.0.1")
    }

    @Test func `a refused key is told so and nothing it says is heard`() throws {
        let (server, stranger) = (try CurveKeyPair.generate(), try CurveKeyPair.generate())
        let handler = try ZAPHandler()
        let (router, endpoint) = try self.server(server)
        let dealer = try client(stranger, server: server.publicKey)
        let monitor = try dealer.monitor()
        try dealer.connect(endpoint)

        #expect(try kind(monitor, handler) { _ in .refuse("not enrolled") } == .refused)
        #expect(try dealer.send([[1]]) == .wouldBlock)
        #expect(try router.receive() == nil)
    }

    @Test func `without a handler nobody is let in`() throws {
        let (server, worker) = (try CurveKeyPair.generate(), try CurveKeyPair.generate())
        let (router, endpoint) = try self.server(server)
        let dealer = try client(worker, server: server.publicKey)
        let monitor = try dealer.monitor()
        try dealer.connect(endpoint)

        #expect(try kind(monitor, nil) { _ in .accept(userID: "x") } != .established)
        #expect(try router.receive() == nil)
    }

    @Test func `a client without encryption and one with a wrong server key stay outside`() throws {
        let (server, worker) = (try CurveKeyPair.generate(), try CurveKeyPair.generate())
        let handler = try ZAPHandler()
        let (router, endpoint) = try self.server(server)
        let plain = try ZeroMQSocket(.dealer, ZeroMQFixture.options)
        let plainMonitor = try plain.monitor()
        try plain.connect(endpoint)
        let wrong = try client(worker, server: worker.publicKey)
        let wrongMonitor = try wrong.monitor()
        try wrong.connect(endpoint)

        for monitor in [plainMonitor, wrongMonitor] {
            #expect(try kind(monitor, handler) { _ in .accept(userID: "x") } != .established)
        }
        #expect(try router.receive() == nil)
    }
}
