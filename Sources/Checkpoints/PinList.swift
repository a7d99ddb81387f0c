/// What operators pinned: the content of a run's `PINS`, one name a line and a checksum line at the end.
package struct PinList: Sendable, Equatable {
    /// Ascending, each once.
    package private(set) var names: [ManifestName] = []

    /// Most pins of one run.
    package static let limit = 10_000

    package init() {}

    package func contains(_ name: ManifestName) -> Bool { names.contains(name) }

    /// Adds a pin; nothing changes when it is there.
    package mutating func insert(_ name: ManifestName) {
        guard !contains(name) else { return }
        names = (names + [name]).sorted()
    }

    /// Removes a pin; nothing changes when it is not there.
    package mutating func remove(_ name: ManifestName) { names.removeAll { $0 == name } }

    /// The file's bytes.
    package var encoded: [UInt8] {
        let body = names.map { Array(($0.text + "\n").utf8) }.flatMap { $0 }
        return body + Array("crc32c \(CRC32C.hex(CRC32C.checksum(body)))\n".utf8)
    }

    /// Reads the file; only bytes that `encoded` would give back are accepted.
    package init(parsing bytes: [UInt8]) throws(CheckpointError) {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count <= Self.limit else { throw .malformed(file: "PINS", problem: "too many lines") }
        for line in lines.dropLast(2) {
            guard let name = ManifestName(String(line)), names.last.map({ $0 < name }) ?? true else {
                throw .malformed(file: "PINS", problem: "`\(line.prefix(60))` is no manifest name in its place")
            }
            names.append(name)
        }
        guard encoded == bytes else { throw .malformed(file: "PINS", problem: "does not match its checksum line") }
    }
}
