import Checkpoints
import Terms
import Testing

@Suite struct TextFileTests {
    @Test func `CRC-32C of the digits 1 to 9 is the published check value`() {
        #expect(CRC32C.checksum("123456789".utf8) == 0xE306_9283)
        #expect(CRC32C.checksum("6789".utf8, continuing: CRC32C.checksum("12345".utf8)) == 0xE306_9283)
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)  // RFC 3720, B.4
        #expect(CRC32C.hex(0x1F) == "0000001f")
    }

    @Test func `pins are read back and any changed byte is refused`() throws {
        var pins = PinList()
        let names = (1...3).map { ManifestName(step: 4 - $0, epoch: 1, digest: digest(UInt8($0))) }
        for name in names + names { pins.insert(name) }
        #expect(pins.names == names.sorted())
        #expect(try PinList(parsing: pins.encoded) == pins)
        #expect(try PinList(parsing: PinList().encoded) == PinList())
        let bytes = pins.encoded
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            #expect(throws: CheckpointError.self) { try PinList(parsing: changed) }
            #expect(throws: CheckpointError.self) { try PinList(parsing: Array(bytes.prefix(index))) }
        }
        pins.remove(names[0])
        #expect(!pins.contains(names[0]) && pins.contains(names[1]))
    }

    @Test func `what was given back stands behind the pins, and files without any are read as before`() throws {
        let names = (1...4).map { ManifestName(step: $0, epoch: 1, digest: digest(UInt8($0))) }
        let body = Array((names[0].text + "\n" + names[1].text + "\n").utf8)
        let old = body + Array("crc32c \(CRC32C.hex(CRC32C.checksum(body)))\n".utf8)
        var pins = try PinList(parsing: old)
        #expect(pins.names == [names[0], names[1]] && pins.released.isEmpty && pins.encoded == old)

        for name in [names[3], names[1], names[2], names[1]] { pins.release(name) }
        pins.insert(names[2])

        #expect(pins.names == [names[0], names[2]] && pins.released == [names[1], names[3]])
        #expect(try PinList(parsing: pins.encoded) == pins)
        let lines = String(decoding: pins.encoded, as: UTF8.self).split(separator: "\n").map { String($0) }
        #expect(Array(lines.dropLast()) == [names[0].text, names[2].text, "-\(names[1].text)", "-\(names[3].text)"])
        let twice = Array((names[0].text + "\n-" + names[0].text + "\n").utf8)
        #expect(throws: CheckpointError.self) {
            try PinList(parsing: twice + Array("crc32c \(CRC32C.hex(CRC32C.checksum(twice)))\n".utf8))
        }
    }

    @Test func `events are read back up to the first torn or changed frame`() {
        let events = [
            StoreEvent(.published, at: 1, manifest: "m", detail: "d"), StoreEvent(.swept, at: 2),
            StoreEvent(.lostWork, at: 3, detail: String(repeating: "\u{1F600}\u{0301}", count: 5_000)),
        ]
        let frames = events.map(EventFrames.encode)
        let bytes = frames.flatMap { $0 }

        let scan = EventFrames.scan(bytes)
        #expect(scan.events.map(\.kind) == [.published, .swept, .lostWork])
        #expect(scan.events[0] == events[0] && scan.problem == nil && scan.soundBytes == bytes.count)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 0x40
            #expect(EventFrames.scan(changed).problem != nil)
            let cut = EventFrames.scan(Array(bytes.prefix(index)))
            let whole = cut.soundBytes == index
            #expect((cut.problem == nil) == whole)
        }
        #expect(EventFrames.scan([255, 255, 255, 255, 0, 0, 0, 0]).problem != nil)
    }

    @Test func `torn is an end behind which nothing whole stands, also nothing that only another release knows`() {
        let frames = (1...3).map { EventFrames.encode(StoreEvent(.published, at: $0, manifest: "m\($0)")) }
        let bytes = frames.flatMap { $0 }
        #expect(!EventFrames.scan(bytes).isTorn)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 0x40
            #expect(EventFrames.scan(changed).isTorn == (index >= frames[0].count + frames[1].count), "byte \(index)")
            let cut = EventFrames.scan(Array(bytes.prefix(index)))
            #expect(cut.isTorn == (cut.problem != nil), "\(index) bytes")
        }

        let payload = Array(#"{"at_unix_ms":1,"detail":"","event":"moved","manifest":""}"#.utf8)
        var foreign = ByteWriter()
        foreign.integer(UInt32(payload.count))
        let head = foreign.bytes
        foreign.integer(CRC32C.checksum(payload, continuing: CRC32C.checksum(head)))
        foreign.raw(payload)
        let scan = EventFrames.scan(bytes + foreign.bytes)
        #expect(scan.events.count == 3 && scan.problem != nil && !scan.isTorn)
    }

    @Test func `places in the repository`() {
        let object = digest(0xAB)
        #expect(RepositoryLayout.object(object) == "objects/ab/" + object.hex)
        #expect(RepositoryLayout.digest(folder: "ab", name: object.hex) == object)
        #expect(RepositoryLayout.digest(folder: "ac", name: object.hex) == nil)
        #expect(RepositoryLayout.digest(folder: "", name: object.hex) == nil)
        for name in ["", "..", "a/b", "a.b", "ü", String(repeating: "a", count: 65)] {
            #expect(!RepositoryLayout.isRunName(name), "\(name)")
        }
        #expect(RepositoryLayout.isRunName("Shop_assistant-2"))
    }
}
