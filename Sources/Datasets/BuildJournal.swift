import Hashing
import Terms

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// How far an interrupted building of a token cache came: marks in a file beside the unfinished cache.
///
/// A mark is appended only after the payload before it is durable, and carries the digest of all payload so far, so
/// that whatever a crash leaves behind, what is taken over is what was written. A mark: its length (8 bytes), JSON
/// text, the lengths and trained counts of the samples since the last mark (4 bytes each), SHA-256 of all of it.
struct BuildJournal: ~Copyable {
    /// Where a build stands between two batches of rows.
    struct Mark: Equatable {
        /// The part that is read (a file, or a chunk of an excerpt), its number and the place in it; nil = its start.
        var part = 0
        var position: RowSource.Position?
        /// Sample count after each finished part.
        var partsEnd: [Int] = []
        var counts = DatasetCounts()
        /// Tokens and samples written, and the digest of the payload so far.
        var tokens = 0
        var samples = 0
        var payload = Digest.sha256(of: "")
    }

    /// A mark with the numbers of its samples.
    struct Entry {
        var mark: Mark
        var lengths: [UInt32]
        var trained: [UInt32]
        /// The journal's size with it.
        var end: Int
    }

    private let path: String
    private let descriptor: Int32

    /// Bytes of the longest mark that is believed.
    private static let entryLimit = 1 << 30

    /// Opens the journal for further marks behind its first `size` bytes.
    init(path: String, keeping size: Int) throws(DatasetError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .unwritable(path: path, reason: FileCalls.lastError) }
        guard ftruncate(descriptor, off_t(size)) == 0, lseek(descriptor, 0, SEEK_END) >= 0 else {
            let reason = FileCalls.lastError
            close(descriptor)
            throw .unwritable(path: path, reason: reason)
        }
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Appends a mark and makes it durable.
    func append(_ mark: Mark, lengths: ArraySlice<UInt32>, trained: ArraySlice<UInt32>) throws(DatasetError) {
        let text = mark.json.encoded()
        var writer = ByteWriter(capacity: text.count + 8 * lengths.count + 64)
        writer.integer(UInt64(16 + text.count + 8 * lengths.count + 32))
        writer.integer(UInt64(text.count))
        writer.raw(text)
        for number in lengths { writer.integer(number) }
        for number in trained { writer.integer(number) }
        let bytes = writer.bytes + Digest.sha256(of: writer.bytes).bytes
        try bytes.withUnsafeBytesOfArray { raw throws(DatasetError) in
            try FileCalls.write(descriptor, raw, path: path)
        }
        guard fdatasync(descriptor) == 0 else { throw .unwritable(path: path, reason: FileCalls.lastError) }
    }

    /// The marks of a journal up to the first one that is not whole; none when there is no journal.
    static func read(path: String) -> [Entry] {
        guard FileCalls.exists(path), let file = try? MappedFile(path: path) else { return [] }
        var entries: [Entry] = []
        var at = 0
        var samples = 0
        while let entry = entry(in: file.bytes, at: at, after: samples) {
            entries.append(entry)
            (at, samples) = (entry.end, entry.mark.samples)
        }
        return entries
    }

    private static func entry(in bytes: UnsafeRawBufferPointer, at: Int, after samples: Int) -> Entry? {
        guard bytes.count - at >= 48 else { return nil }
        let size = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
        guard size >= 48, size <= UInt64(min(entryLimit, bytes.count - at)) else { return nil }
        let whole = UnsafeRawBufferPointer(rebasing: bytes[at..<at + Int(size)])
        let body = UnsafeRawBufferPointer(rebasing: whole[..<(whole.count - 32)])
        var hasher = SHA256Hasher()
        hasher.update(body)
        guard hasher.finish().bytes.elementsEqual(whole[(whole.count - 32)...]) else { return nil }
        let text = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
        guard text <= UInt64(body.count - 16) else { return nil }
        let start = 16 + Int(text)
        guard let json = try? JSONValue.parse(UnsafeRawBufferPointer(rebasing: body[16..<start])),
            let mark = Mark(json: json)
        else { return nil }
        let count = (body.count - start) / 8
        guard (body.count - start) % 8 == 0, count == mark.samples - samples else { return nil }
        func numbers(_ from: Int) -> [UInt32] {
            (0..<count).map { UInt32(littleEndian: body.loadUnaligned(fromByteOffset: from + 4 * $0, as: UInt32.self)) }
        }
        return Entry(
            mark: mark, lengths: numbers(start), trained: numbers(start + 4 * count), end: at + Int(size))
    }
}

extension BuildJournal.Mark {
    var json: JSONValue {
        .members([
            "file": .int(part),
            "position": position.map { .array([.int($0.offset), .int($0.line), .int($0.state)]) } ?? .null,
            "files_end": .array(partsEnd.map(JSONValue.int)), "counts": counts.json, "tokens": .int(tokens),
            "samples": .int(samples), "payload": .string(payload.hex),
        ])
    }

    init?(json: JSONValue) {
        guard let part = json["file"]?.int, let counts = json["counts"].flatMap(DatasetCounts.init(json:)),
            let ends = json["files_end"]?.array, let tokens = json["tokens"]?.int, let samples = json["samples"]?.int,
            let payload = json["payload"]?.string.flatMap(Digest.init(hex:)), let place = json["position"]
        else { return nil }
        if !place.isNull {
            guard let numbers = place.array?.compactMap(\.int), numbers.count == 3 else { return nil }
            position = RowSource.Position(offset: numbers[0], line: numbers[1], state: numbers[2])
        }
        (self.part, self.counts, self.tokens, self.samples, self.payload) = (part, counts, tokens, samples, payload)
        partsEnd = ends.compactMap(\.int)
        guard partsEnd.count == ends.count, partsEnd.count == part, tokens >= 0, samples >= 0 else { return nil }
    }
}
