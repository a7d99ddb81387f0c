import Hashing
package import Terms

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Writes a token cache once: samples as they come, then the sequences; nothing appears under the final name before all
/// of it is durable.
///
/// What an interrupted writer leaves behind, `….partial` and its journal, is where the next one for the same name goes
/// on. Memory: 8 bytes a sample and a fixed buffer, whatever the size of the data.
package struct TokenCacheWriter: ~Copyable {
    private let path: String
    private let temporary: String
    private let descriptor: Int32
    private var header: TokenCacheHeader
    private var hasher = SHA256Hasher()
    private var journal: BuildJournal
    /// Samples at the last mark.
    private var marked = 0
    private var buffer: [UInt8] = []
    private static let bufferSize = 1 << 20

    /// Tokens of each sample so far.
    package private(set) var lengths: [UInt32] = []
    /// Trained tokens of each sample so far.
    package private(set) var trained: [UInt32] = []
    /// Where an interrupted build is gone on with; nil = from the start.
    let resumed: BuildJournal.Mark?
    /// Payload bytes since the last mark.
    private(set) var unmarkedBytes = 0

    /// Starts the cache that will appear as `path`, or goes on with it. Two writers of one name exclude each other.
    package init(path: String, key: Digest) throws(DatasetError) {
        let temporary = path + Self.partialSuffix
        let descriptor = open(temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .unwritable(path: temporary, reason: FileCalls.lastError) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw .unwritable(path: temporary, reason: "another process is making this token cache now")
        }
        do {
            let head = try Self.takeOver(descriptor, journal: path + Self.journalSuffix, temporary, key)
            journal = try BuildJournal(path: path + Self.journalSuffix, keeping: head.journalSize)
            (resumed, lengths, trained, hasher) = (head.mark, head.lengths, head.trained, head.hasher)
            marked = head.lengths.count
        } catch {
            close(descriptor)
            throw error
        }
        self.path = path
        self.temporary = temporary
        self.descriptor = descriptor
        header = TokenCacheHeader(key: key)
        header.tokens = resumed?.tokens ?? 0
        buffer.reserveCapacity(Self.bufferSize + 4096)
    }

    deinit { close(descriptor) }

    static let partialSuffix = ".partial"
    static let journalSuffix = ".partial-marks"

    /// What an earlier writer left.
    private struct Head {
        var mark: BuildJournal.Mark?
        var lengths: [UInt32] = []
        var trained: [UInt32] = []
        var hasher = SHA256Hasher()
        var journalSize = 0
    }

    /// Reads as much of an unfinished cache as its journal vouches for, and cuts off the rest.
    private static func takeOver(
        _ descriptor: Int32, journal: String, _ path: String, _ key: Digest
    ) throws(DatasetError) -> Head {
        var head = Head()
        var end = TokenCacheHeader.size
        // The unfinished file begins with the header that says what it is for.
        let start = TokenCacheHeader(key: key).encoded()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferSize, alignment: 16)
        defer { buffer.deallocate() }
        let isOurs =
            try FileCalls.read(descriptor, into: .init(rebasing: buffer[..<start.count]), path: path)
            == start.count && buffer[..<start.count].elementsEqual(start)
        for entry in isOurs ? BuildJournal.read(path: journal) : [] {
            var hasher = head.hasher
            var left = TokenCacheHeader.size + 8 * entry.mark.tokens - end
            while left > 0 {
                let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(left, buffer.count)])
                let count = try FileCalls.read(descriptor, into: room, path: path)
                guard count > 0 else { break }
                let read = UnsafeRawBufferPointer(rebasing: room[..<count])
                hasher.update(read)
                left -= count
            }
            guard left == 0, hasher.finish() == entry.mark.payload else { break }
            (head.mark, head.hasher, head.journalSize) = (entry.mark, hasher, entry.end)
            head.lengths += entry.lengths
            head.trained += entry.trained
            end = TokenCacheHeader.size + 8 * entry.mark.tokens
        }
        guard ftruncate(descriptor, off_t(end)) == 0, lseek(descriptor, off_t(end), SEEK_SET) >= 0 else {
            throw .unwritable(path: path, reason: FileCalls.lastError)
        }
        try start.withUnsafeBytesOfArray { raw throws(DatasetError) in
            try FileCalls.write(descriptor, raw, at: 0, path: path)
        }
        return head
    }

    /// Makes all samples so far durable, so that the next writer can go on from here.
    ///
    /// - Parameter mark: where the reader stands; tokens, samples and payload are filled in.
    mutating func mark(_ mark: BuildJournal.Mark) throws(DatasetError) {
        try flush()
        guard fdatasync(descriptor) == 0 else { throw .unwritable(path: temporary, reason: FileCalls.lastError) }
        var mark = mark
        (mark.tokens, mark.samples, mark.payload) = (header.tokens, lengths.count, hasher.finish())
        try journal.append(mark, lengths: lengths[marked...], trained: trained[marked...])
        (marked, unmarkedBytes) = (lengths.count, 0)
    }

    /// Removes everything written, for data that has faults.
    package consuming func discard() { removeLeftovers() }

    private func removeLeftovers() {
        unlink(temporary)
        unlink(path + Self.journalSuffix)
    }

    /// Appends one sample; its number is the count of samples before it.
    package mutating func append(_ sample: Sample) throws(DatasetError) {
        try begin(tokens: sample.count, trained: sample.trainedTokens)
        try put(sample.ids)
        try put(sample.labels)
    }

    /// Notes one more sample, whose ids and labels are put next.
    mutating func begin(tokens: Int, trained: Int) throws(DatasetError) {
        precondition(tokens > 0, "an empty sample has no place in a cache")
        guard lengths.count < Int(UInt32.max) - 1, let length = UInt32(exactly: tokens) else {
            throw .settings("a token cache holds fewer than 2³² samples of fewer than 2³² tokens")
        }
        lengths.append(length)
        self.trained.append(UInt32(trained))
        header.tokens += tokens
        unmarkedBytes += 8 * tokens
    }

    /// Appends the sequences and publishes the file.
    ///
    /// - Returns: the SHA-256 that stands in its trailer: the identity of the data as it is trained on.
    package mutating func finish(
        train: SequenceTable, validation: SequenceTable, counts: DatasetCounts
    ) throws(DatasetError) -> Digest {
        header.samples = lengths.count
        var offset: UInt64 = 0
        try put([offset])
        for length in lengths {
            offset += UInt64(length)
            try put([offset])
        }
        try put(trained)
        (header.trainSequences, header.trainDocuments) = (train.count, train.documents.count)
        (header.validationSequences, header.validationDocuments) = (validation.count, validation.documents.count)
        for table in [train, validation] {
            try put(table.starts)
            try put(table.documents)
        }
        let text = counts.json.encoded()
        header.countsBytes = text.count
        try put(text)
        try flush()
        let head = header.encoded()
        hasher.update(head)
        let digest = hasher.finish()
        try write(digest.bytes)
        try write(head, at: 0)
        try FileCalls.publish(descriptor, temporary: temporary, as: path)
        unlink(path + Self.journalSuffix)
        return digest
    }

    private mutating func put(_ values: [some FixedWidthInteger]) throws(DatasetError) {
        #if _endian(little)
            values.withUnsafeBytes { buffer.append(contentsOf: $0) }
        #else
            for value in values { withUnsafeBytes(of: value.littleEndian) { buffer.append(contentsOf: $0) } }
        #endif
        if buffer.count >= Self.bufferSize { try flush() }
    }

    /// Puts ids or labels from elsewhere; many of them go past the buffer.
    mutating func put(_ values: UnsafeBufferPointer<Int32>) throws(DatasetError) {
        #if _endian(little)
            let raw = UnsafeRawBufferPointer(values)
            guard raw.count >= Self.bufferSize / 16 else {
                buffer.append(contentsOf: raw)
                if buffer.count >= Self.bufferSize { try flush() }
                return
            }
            try flush()
            hasher.update(raw)
            try FileCalls.write(descriptor, raw, path: temporary)
        #else
            try put(Array(values))
        #endif
    }

    private mutating func flush() throws(DatasetError) {
        hasher.update(buffer)
        try write(buffer)
        buffer.removeAll(keepingCapacity: true)
    }

    private func write(_ bytes: [UInt8], at offset: Int? = nil) throws(DatasetError) {
        try bytes.withUnsafeBytesOfArray { raw throws(DatasetError) in
            try FileCalls.write(descriptor, raw, at: offset, path: temporary)
        }
    }
}

extension [UInt8] {
    /// `withUnsafeBytes` with a typed error.
    func withUnsafeBytesOfArray<Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        let result: Result<Void, Failure> = withUnsafeBytes { raw in
            do throws(Failure) { return .success(try body(raw)) } catch { return .failure(error) }
        }
        try result.get()
    }
}
