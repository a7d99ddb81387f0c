import Coordination
import Logging
import Wire
import ZeroMQShell

/// Every message is held against the key that its sender proved, at the moment it arrives.
extension CoordinatorService {
    /// Whose message it is, `.some(nil)` without gate; nil when its sender may not say it, which he is told.
    func admitted(_ message: Message, _ frames: [ZeroMQSocket.Frame]) -> KeyBook.Entry?? {
        guard let gate else { return .some(nil) }
        guard let entry = gate.entry(frames[1].userID) else {
            refuse(frames[0].bytes, .revoked, "this key is not enrolled here any more: ask for a new join line")
            return nil
        }
        guard entry.role.allows(message), Self.isHonest(message, entry.key) else {
            refuse(frames[0].bytes, .revoked, "a \(entry.role.rawValue)'s key may not do that")
            log.warning("\(entry.role.rawValue) \(entry.key) said what it may not say")
            return nil
        }
        return .some(entry)
    }

    /// Whether a worker that says hello names no other key than its own for its data socket.
    private static func isHonest(_ message: Message, _ key: CurvePublicKey) -> Bool {
        guard case .hello(let hello) = message, hello.role == .worker else { return true }
        guard let address = PeerAddress(hello.dataEndpoint) else { return false }
        return address.key.map { $0 == key } ?? true
    }

    private func refuse(_ route: [UInt8], _ code: Refusal.Code, _ text: String) {
        // Whoever is refused may be gone already.
        do { _ = try control.send([route, Message.refuse(Refusal(code: code, text: text)).encoded()]) } catch {
            log.warning("\(error)")
        }
    }

    /// Takes a key out and ends what its owner has here.
    func revoke(_ key: CurvePublicKey) throws {
        try gate?.revoke(key)
        for connection in connections where connection.key == key.text {
            refuse(connection.route, .revoked, "this key was revoked: ask for a new join line")
            connections.removeAll { $0.session == connection.session }
            followers.removeAll { $0.session == connection.session }
            try feed(.connectionClosed(connection.session))
        }
    }
}
