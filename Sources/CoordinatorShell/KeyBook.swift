import Terms
package import ZeroMQShell

/// The keys that a coordinator knows, what each may do, and until when: a plain value.
package struct KeyBook: Sendable, Equatable {
    package enum Role: String, Sendable {
        /// May train.
        case worker
        /// May submit, look and give orders.
        case client
        /// May name one worker's key, once.
        case workerInvitation = "worker-invitation"
        /// May name one client's key, once.
        case clientInvitation = "client-invitation"

        /// What the key that an invitation names becomes; nil for keys that stay.
        package var granted: Role? {
            switch self {
            case .workerInvitation: .worker
            case .clientInvitation: .client
            case .worker, .client: nil
            }
        }
    }

    package struct Entry: Sendable, Equatable {
        package let key: CurvePublicKey
        package let role: Role
        /// Who it is, for people.
        package let name: String
        /// Seconds since 1970 after which it is worth nothing; nil = it stays.
        package let expires: Int?
        /// True for the user who runs the coordinator: he may name files of its machine.
        package var isOwner = false
    }

    /// By key.
    package private(set) var entries: [Entry] = []

    package init() {}

    /// The entry of a key that is worth something now.
    package func entry(_ key: CurvePublicKey, now: Int) -> Entry? {
        guard let place = place(key), entries.indices.contains(place), entries[place].key == key else { return nil }
        return entries[place].expires.map { now < $0 } ?? true ? entries[place] : nil
    }

    package mutating func insert(_ entry: Entry) {
        let place = place(entry.key) ?? entries.count
        if entries.indices.contains(place), entries[place].key == entry.key {
            entries[place] = entry
        } else {
            entries.insert(entry, at: place)
        }
    }

    package mutating func remove(_ key: CurvePublicKey) { entries.removeAll { $0.key == key } }

    /// First entry that is not before the key.
    private func place(_ key: CurvePublicKey) -> Int? { entries.firstIndex { !($0.key < key) } }
}

extension KeyBook.Entry {
    /// As it stands in the coordinator's database.
    var json: JSONValue {
        .members([
            "role": .string(role.rawValue), "name": .string(name), "expires": expires.map { .int($0) } ?? .null,
            "owner": .bool(isOwner),
        ])
    }

    init?(key: String, json: JSONValue) {
        guard let key = try? CurvePublicKey(key), let role = json["role"]?.string.flatMap(KeyBook.Role.init(rawValue:)),
            let name = json["name"]?.string
        else { return nil }
        self.init(key: key, role: role, name: name, expires: json["expires"]?.int)
        isOwner = json["owner"]?.bool ?? false
    }
}
