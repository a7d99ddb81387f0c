import Terms

/// How a token cache file is laid out; integers are little-endian.
///
/// ```
/// header       192 bytes: magic, version, key digest, counts
/// payload      per sample: its n ids, then its n labels, Int32
/// offsets      UInt64 × (samples + 1), in tokens, ascending from 0
/// trained      UInt32 × samples
/// train        UInt32 × (sequences + 1) starts, UInt32 × documents
/// validation   likewise
/// counts       JSON text: what became of the rows
/// trailer      32 bytes: SHA-256 of all after the header, then the header
/// ```
struct TokenCacheHeader: Equatable {
    static let magic = Array("drvtoks\n".utf8)
    static let version: UInt32 = 1
    static let size = 192
    static let trailerSize = 32

    var key: Digest
    var tokens = 0
    var samples = 0
    var trainSequences = 0
    var trainDocuments = 0
    var validationSequences = 0
    var validationDocuments = 0
    var countsBytes = 0

    init(key: Digest) { self.key = key }

    /// Byte positions of the sections, each from its header counts.
    struct Sections {
        var payload, offsets, trained, trainStarts, trainDocuments: Int
        var validationStarts, validationDocuments, counts, trailer, end: Int
    }

    /// nil when the counts overflow.
    var sections: Sections? {
        var at = TokenCacheHeader.size
        var isSound = true
        func advance(_ count: Int, _ width: Int) -> Int {
            let start = at
            let (bytes, overflow) = count.multipliedReportingOverflow(by: width)
            let (next, beyond) = at.addingReportingOverflow(bytes)
            isSound = isSound && count >= 0 && !overflow && !beyond
            if isSound { at = next }
            return start
        }
        let sections = Sections(
            payload: advance(tokens, 8), offsets: advance(samples &+ 1, 8), trained: advance(samples, 4),
            trainStarts: advance(trainSequences &+ 1, 4), trainDocuments: advance(trainDocuments, 4),
            validationStarts: advance(validationSequences &+ 1, 4),
            validationDocuments: advance(validationDocuments, 4), counts: advance(countsBytes, 1),
            trailer: advance(Self.trailerSize, 1), end: advance(0, 1))
        return isSound ? sections : nil
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.size)
        writer.raw(Self.magic)
        writer.integer(Self.version)
        writer.integer(UInt32(0))
        writer.raw(key.bytes)
        for count in [
            tokens, samples, trainSequences, trainDocuments, validationSequences, validationDocuments, countsBytes,
        ] { writer.integer(UInt64(count)) }
        return writer.bytes + [UInt8](repeating: 0, count: Self.size - writer.bytes.count)
    }

    /// - Throws: a `ByteError` for anything that is no header of this version.
    init(decoding bytes: [UInt8]) throws(ByteError) {
        var reader = ByteReader(bytes)
        guard try reader.raw(Self.magic.count) == Self.magic else { throw .invalid("magic") }
        guard try reader.integer(UInt32.self) == Self.version else { throw .invalid("version") }
        guard try reader.integer(UInt32.self) == 0 else { throw .invalid("reserved field") }
        guard let key = Digest(bytes: try reader.raw(32)) else { throw .invalid("key") }
        func count(_ reader: inout ByteReader) throws(ByteError) -> Int {
            guard let value = Int(exactly: try reader.integer(UInt64.self)) else { throw .invalid("count") }
            return value
        }
        self.key = key
        tokens = try count(&reader)
        samples = try count(&reader)
        trainSequences = try count(&reader)
        trainDocuments = try count(&reader)
        validationSequences = try count(&reader)
        validationDocuments = try count(&reader)
        countsBytes = try count(&reader)
    }
}
