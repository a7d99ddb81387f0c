import Terms

/// One line of a run's history, for people and audits; nothing is ever decided from it.
package struct StoreEvent: Sendable, Equatable {
    /// What happened.
    package enum Kind: String, Sendable, CaseIterable {
        case published, pinned, unpinned, deleted, swept, rejected, fallback, repaired
        case lostWork = "lost_work"
    }

    package var kind: Kind
    /// Wall clock, milliseconds since 1970.
    package var atUnixMilliseconds: Int
    /// The manifest it is about, empty when about none.
    package var manifest: String
    /// A sentence for people.
    package var detail: String

    package init(_ kind: Kind, at atUnixMilliseconds: Int, manifest: String = "", detail: String = "") {
        self.kind = kind
        self.atUnixMilliseconds = atUnixMilliseconds
        self.manifest = manifest
        self.detail = detail
    }
}

/// The framing of `events.log`, little-endian: length (u32), CRC-32C over length and payload (u32), payload (JSON).
package enum EventFrames {
    /// Bytes of the largest payload.
    package static let payloadLimit = 16 << 10

    /// What a log holds, and where it stops making sense.
    package struct Scan: Sendable, Equatable {
        package var events: [StoreEvent] = []
        /// Bytes up to the end of the last whole frame.
        package var soundBytes = 0
        /// What is wrong after `soundBytes`, nil when nothing is.
        package var problem: String?
        /// What is wrong is only the end of the last append, as a crash leaves it: nothing whole stands behind
        /// `soundBytes`.
        package var isTorn = false

        /// The scan of an empty log.
        package init() {}

        fileprivate mutating func stop(_ bytes: [UInt8], _ problem: String) {
            self.problem = problem
            let rest = bytes[soundBytes...]
            isTorn = rest.count <= 8 + EventFrames.payloadLimit && !EventFrames.holdsFrame(rest)
        }
    }

    /// One event as a frame.
    package static func encode(_ event: StoreEvent) -> [UInt8] {
        let json = JSONValue.members([
            "event": .string(event.kind.rawValue), "at_unix_ms": .int(event.atUnixMilliseconds),
            "manifest": .string(shortened(event.manifest, 200)), "detail": .string(shortened(event.detail, 2_000)),
        ])
        let payload = json.encoded(sorted: true)
        precondition(payload.count <= payloadLimit, "an event is short text")
        var length = ByteWriter()
        length.integer(UInt32(payload.count))
        var frame = length
        frame.integer(CRC32C.checksum(payload, continuing: CRC32C.checksum(length.bytes)))
        frame.raw(payload)
        return frame.bytes
    }

    /// Reads a log; total: stops at the first frame that is torn or wrong.
    package static func scan(_ bytes: [UInt8]) -> Scan {
        var scan = Scan()
        while scan.soundBytes < bytes.count {
            var reader = ByteReader(bytes[scan.soundBytes...])
            guard let length = try? reader.integer(UInt32.self), let checksum = try? reader.integer(UInt32.self),
                length <= payloadLimit, let payload = try? reader.raw(Int(length))
            else {
                scan.stop(bytes, "the frame at byte \(scan.soundBytes) is torn")
                return scan
            }
            let head = bytes[scan.soundBytes..<scan.soundBytes + 4]
            guard CRC32C.checksum(payload, continuing: CRC32C.checksum(head)) == checksum,
                let event = event(payload)
            else {
                scan.stop(bytes, "the frame at byte \(scan.soundBytes) does not match its checksum")
                return scan
            }
            scan.events.append(event)
            scan.soundBytes += 8 + payload.count
        }
        return scan
    }

    /// Whether a whole frame begins anywhere in `bytes`, whatever its event is: another release may know it.
    fileprivate static func holdsFrame(_ bytes: ArraySlice<UInt8>) -> Bool {
        func number(_ start: Int) -> UInt32 {
            (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
        }
        return bytes.indices.contains { start in
            guard bytes.endIndex - start > 8 else { return false }
            let length = Int(number(start))
            guard length > 0, length <= bytes.endIndex - start - 8 else { return false }
            let payload = bytes[(start + 8)..<(start + 8 + length)]
            let head = CRC32C.checksum(bytes[start..<(start + 4)])
            return CRC32C.checksum(payload, continuing: head) == number(start + 4)
        }
    }

    /// The first `limit` bytes; a character cut in two becomes U+FFFD.
    private static func shortened(_ text: String, _ limit: Int) -> String {
        text.utf8.count <= limit ? text : String(decoding: text.utf8.prefix(limit), as: UTF8.self)
    }

    private static func event(_ payload: [UInt8]) -> StoreEvent? {
        guard let json = try? JSONValue.parse(payload, limits: JSONLimits(depth: 4, values: 64)),
            let kind = json["event"]?.string.flatMap(StoreEvent.Kind.init), let at = json["at_unix_ms"]?.int,
            let manifest = json["manifest"]?.string, let detail = json["detail"]?.string
        else { return nil }
        return StoreEvent(kind, at: at, manifest: manifest, detail: detail)
    }
}
