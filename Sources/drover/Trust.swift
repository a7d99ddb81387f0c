import CoordinatorShell
import Foundation
import StorageShell
import Terms
import ZeroMQShell

/// Whom this user or worker believes at an address, and the key it proves there.
struct Trust {
    let coordinator: CurvePublicKey
    let keys: CurveKeyPair
}

/// What is known about coordinators, in one folder: its owner's key, and the coordinator's key for each address.
struct TrustFolder {
    let folder: String

    /// The user's own, for clients; the coordinators that this user runs write themselves into it.
    static var user: TrustFolder { TrustFolder(folder: "\(stateHome)/drover/client") }

    /// Where programs keep what they must not forget (XDG base directory specification).
    static var stateHome: String {
        let home = ProcessInfo.processInfo.environment["XDG_STATE_HOME"].flatMap { $0.isEmpty ? nil : $0 }
        return home ?? "\(NSHomeDirectory())/.local/state"
    }

    /// The owner's key; made at first use.
    func keys() throws -> CurveKeyPair {
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        return try SecretFile.pair(at: "\(folder)/key")
    }

    /// The key of the coordinator at `HOST:PORT`, nil = never heard of it.
    func coordinator(_ address: String) -> CurvePublicKey? {
        guard let data = FileManager.default.contents(atPath: path(address)) else { return nil }
        return try? CurvePublicKey(String(decoding: data, as: UTF8.self).trimmingCharacters(in: .newlines))
    }

    /// From now on the coordinator at that address is the owner of `key`.
    func note(_ address: String, _ key: CurvePublicKey) throws {
        try FileManager.default.createDirectory(
            atPath: "\(folder)/coordinators", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        try AtomicFile.write(path(address), Array("\(key)\n".utf8), mode: 0o600)
    }

    private func path(_ address: String) -> String {
        let name = address.map { $0.isLetter || $0.isNumber || $0 == "." || $0 == "-" ? $0 : "_" }
        return "\(folder)/coordinators/\(String(name))"
    }

    func trust(_ address: String) throws -> Trust? {
        try coordinator(address).map { Trust(coordinator: $0, keys: try keys()) }
    }

    /// What a coordinator makes of the owner's key.
    enum Standing { case known, unknown, noAnswer }

    /// Knocks at a coordinator's door with the own key.
    func standing(at address: String, of coordinator: CurvePublicKey) throws -> Standing {
        guard let own = try SecretFile.read("\(folder)/key") else { return .unknown }
        var options = ZeroMQSocket.Options(frameBytes: 4096, queue: 1)
        options.curve = .client(own, server: coordinator)
        options.usesIPv6 = PeerAddress.isIPv6("tcp://\(address)")
        let socket = try ZeroMQSocket(.dealer, options)
        let monitor = try socket.monitor()
        try socket.connect("tcp://\(address)")
        let poller = ZeroMQPoller()
        let end = Date().addingTimeInterval(5)
        while Date() < end {
            try poller.wait([.init(monitor)], milliseconds: 100)
            while let event = try monitor.connectionEvent() {
                switch event.kind {
                case .established: return .known
                case .refused: return .unknown
                case .lost, .handshakeFailed, .other: break
                }
            }
        }
        return .noAnswer
    }

    /// Becomes known to a coordinator by a token, once; whoever is known already needs none, and the same command can
    /// be run again.
    ///
    /// - Parameter role: `worker` or `client`.
    func enrol(at address: String, token text: String, as role: String, name: String) throws {
        guard let token = JoinToken(text) else {
            throw Failure.input("this token is not whole: copy it again, from drv1. to its end")
        }
        switch try standing(at: address, of: token.server) {
        case .known: return try note(address, token.server)
        // It is down: a worker waits for it.
        case .noAnswer where coordinator(address) == token.server: return
        case .unknown, .noAnswer: break
        }
        let own = try keys()
        let client = try CoordinatorClient(address, trust: Trust(coordinator: token.server, keys: token.keys))
        _ = try client.ask(
            .members([
                "op": .string("enrol"), "role": .string(role), "key": .string(own.publicKey.text),
                "name": .string(name),
            ]))
        try note(address, token.server)
    }
}

extension CoordinatorClient {
    /// Connects as this user: with a token, which enrols the user's key, or as one who is known.
    static func connect(_ address: String, token: String?) throws -> CoordinatorClient {
        guard address.contains(":") else { throw Failure.input("--coordinator takes HOST:PORT, not `\(address)`") }
        let folder = TrustFolder.user
        if let token {
            let name = "\(NSUserName())@\(ProcessInfo.processInfo.hostName)"
            try folder.enrol(at: address, token: token, as: "client", name: name)
        }
        guard let trust = try folder.trust(address) else {
            throw Failure.input(
                "this user is not known to a coordinator at \(address): ask for a token with `drover client invite` on its "
                    + "machine and give it once as --token")
        }
        return try CoordinatorClient(address, trust: trust)
    }
}
