/// What operators pinned, and gave back to pruning: the content of a run's `PINS`, one name a line, those given back
/// last and behind a `-`, and a checksum line at the end.
package struct PinList: Sendable, Equatable {
    /// Pinned ones, ascending, each once.
    package private(set) var names: [ManifestName] = []
    /// Those given back: not even a kind that a person asked for keeps them. Ascending, each once, none of them pinned.
    package private(set) var released: [ManifestName] = []

    /// Most pins of one run.
    package static let limit = 10_000

    package init() {}

    package func contains(_ name: ManifestName) -> Bool { names.contains(name) }

    /// Adds a pin; nothing changes when it is there.
    package mutating func insert(_ name: ManifestName) {
        guard !contains(name) else { return }
        remove(name)
        names = (names + [name]).sorted()
    }

    /// Gives a checkpoint back; nothing changes when it was.
    package mutating func release(_ name: ManifestName) {
        guard !released.contains(name) else { return }
        remove(name)
        released = (released + [name]).sorted()
    }

    /// Forgets what was said of a checkpoint; nothing changes when nothing was.
    package mutating func remove(_ name: ManifestName) {
        names.removeAll { $0 == name }
        released.removeAll { $0 == name }
    }

    /// The file's bytes.
    package var encoded: [UInt8] {
        let lines = names.map { $0.text + "\n" } + released.map { "-" + $0.text + "\n" }
        let body = Array(lines.joined().utf8)
        return body + Array("crc32c \(CRC32C.hex(CRC32C.checksum(body)))\n".utf8)
    }

    /// Reads the file; only bytes that `encoded` would give back are accepted.
    package init(parsing bytes: [UInt8]) throws(CheckpointError) {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count <= Self.limit else { throw .malformed(file: "PINS", problem: "too many lines") }
        for line in lines.dropLast(2) {
            let isReleased = line.first == "-"
            let last = isReleased ? released.last : names.last
            guard let name = ManifestName(String(isReleased ? line.dropFirst() : line)),
                last.map({ $0 < name }) ?? true, !contains(name)
            else { throw .malformed(file: "PINS", problem: "`\(line.prefix(60))` is no manifest name in its place") }
            if isReleased { released.append(name) } else { names.append(name) }
        }
        guard encoded == bytes else { throw .malformed(file: "PINS", problem: "does not match its checksum line") }
    }
}
