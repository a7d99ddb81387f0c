import Foundation
import StorageShell
import Terms
import Wire
package import ZeroMQShell

/// Who is let in: the coordinator's own key, the keys it knows, and the answer to every new connection.
///
/// Nothing here can be switched off; a coordinator has a gate or listens inside its own process tree on loopback.
/// Lives on the service's thread.
package final class Gate {
    /// The coordinator's own key.
    let keys: CurveKeyPair
    private let handler: ZAPHandler
    private let journal: any Journal
    private(set) var book = KeyBook()
    static let domain = "drover.coordinator"
    /// Seconds that an invitation holds.
    static let invitationLife = 15 * 60
    private static let prefix = "key."

    /// Opens the gate of the coordinator whose database is `journal`; makes its key in `folder` at the first start.
    init(folder: String, journal: any Journal) throws {
        keys = try SecretFile.pair(at: "\(folder)/server.key")
        self.journal = journal
        for setting in try journal.values() where setting.key.hasPrefix(Self.prefix) {
            let key = String(setting.key.dropFirst(Self.prefix.count))
            guard let value = try? JSONValue.parse(Array((setting.value ?? "").utf8)),
                let entry = KeyBook.Entry(key: key, json: value)
            else { throw DeskError(description: "\(folder)/journal.sqlite: the entry of key \(key) can't be read") }
            book.insert(entry)
        }
        handler = try ZAPHandler()
    }

    var socket: ZeroMQSocket { handler.socket }

    /// What everybody may know who is to believe this coordinator.
    package var publicKey: CurvePublicKey { keys.publicKey }

    /// Seconds since 1970.
    static func clock() -> Int { Int(Date().timeIntervalSince1970) }

    /// Answers the connections that wait at the door.
    func answer() throws {
        try handler.answer { [book] request in
            guard case .curve(let key) = request.mechanism, book.entry(key, now: Self.clock()) != nil else {
                return .refuse("this key is not enrolled")
            }
            return .accept(userID: key.text)
        }
    }

    /// What the owner of a key may say now; nil = nothing.
    func entry(_ userID: String?) -> KeyBook.Entry? {
        guard let userID, let key = try? CurvePublicKey(userID) else { return nil }
        return book.entry(key, now: Self.clock())
    }

    /// Makes a one-time key for one worker or client.
    package func invite(_ role: KeyBook.Role) throws -> JoinToken {
        let once = try CurveKeyPair.generate()
        try forgetExpired()
        try insert(.init(key: once.publicKey, role: role, name: "", expires: Self.clock() + Self.invitationLife))
        return JoinToken(server: keys.publicKey, keys: once)
    }

    /// Takes in the key that an invitation's owner names; the invitation is worth nothing then.
    func enrol(_ key: CurvePublicKey, name: String, by invitation: KeyBook.Entry) throws -> KeyBook.Entry? {
        guard let role = invitation.role.granted, key != invitation.key, key != keys.publicKey else { return nil }
        let entry = KeyBook.Entry(key: key, role: role, name: name, expires: nil)
        try write([entry], removing: [invitation.key])
        return entry
    }

    /// A key of this machine's own user: he owns the coordinator.
    package func enrolOwner(_ key: CurvePublicKey) throws {
        guard book.entry(key, now: Self.clock())?.isOwner != true else { return }
        try insert(.init(key: key, role: .client, name: "the coordinator's own user", expires: nil, isOwner: true))
    }

    /// Takes a key out, for good.
    func revoke(_ key: CurvePublicKey) throws { try write([], removing: [key]) }

    private func insert(_ entry: KeyBook.Entry) throws { try write([entry], removing: []) }

    private func forgetExpired() throws {
        let now = Self.clock()
        let old = book.entries.filter { $0.expires.map { $0 <= now } ?? false }.map(\.key)
        if !old.isEmpty { try write([], removing: old) }
    }

    /// Durable first, then true.
    private func write(_ entries: [KeyBook.Entry], removing keys: [CurvePublicKey]) throws {
        let settings =
            keys.map { JournalSetting(Self.prefix + $0.text, nil) }
            + entries.map { JournalSetting(Self.prefix + $0.key.text, $0.json.text) }
        _ = try journal.append([], settings: settings)
        for key in keys { book.remove(key) }
        for entry in entries { book.insert(entry) }
    }

    /// Proves at start that a key that nobody knows stays outside; throws when it gets in.
    func test(_ endpoint: String) throws {
        let stranger = try ZeroMQSocket(
            .dealer,
            {
                var options = ZeroMQSocket.Options(frameBytes: 4096, queue: 1)
                options.usesIPv6 = PeerAddress.isIPv6(endpoint)
                options.curve = .client(try CurveKeyPair.generate(), server: keys.publicKey)
                return options
            }())
        let monitor = try stranger.monitor()
        try stranger.connect(endpoint)
        let poller = ZeroMQPoller()
        let end = Date().addingTimeInterval(5)
        while Date() < end {
            try poller.wait([.init(handler.socket), .init(monitor)], milliseconds: 100)
            try answer()
            while let event = try monitor.connectionEvent() {
                if event.kind == .established {
                    throw DeskError(
                        description: "a key that nobody knows got in: this libzmq is not safe to listen with")
                }
                if event.kind == .refused { return }
            }
        }
        throw DeskError(description: "the coordinator's own door does not answer at \(endpoint)")
    }
}

extension KeyBook.Role {
    /// Which messages the owner of such a key may send.
    func allows(_ message: Message) -> Bool {
        switch (self, message) {
        case (.client, .request): true
        case (.client, .hello(let hello)): hello.role == .client
        case (.worker, .request): false
        case (.worker, .hello(let hello)): hello.role == .worker
        case (.worker, _): true
        case (.workerInvitation, .request), (.clientInvitation, .request): true
        case (.workerInvitation, .hello(let hello)), (.clientInvitation, .hello(let hello)): hello.role == .client
        case (.client, .heartbeat), (.client, .goodbye): true
        case (.client, _), (.workerInvitation, _), (.clientInvitation, _): false
        }
    }
}
