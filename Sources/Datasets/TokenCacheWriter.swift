#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif
import Hashing
package import Terms

/// Writes a token cache once: samples as they come, then the sequences; nothing appears under the final name before all
/// of it is durable. Left unfinished, it removes what it wrote.
///
/// Memory: 8 bytes a sample and a fixed buffer, whatever the size of the data.
package struct TokenCacheWriter: ~Copyable {
    private let path: String
    private let temporary: String
    private let descriptor: Int32
    private var isPublished = false
    private var header: TokenCacheHeader
    private var hasher = SHA256Hasher()
    private var buffer: [UInt8] = []
    private static let bufferSize = 1 << 20

    /// Tokens of each sample so far.
    package private(set) var lengths: [UInt32] = []
    /// Trained tokens of each sample so far.
    package private(set) var trained: [UInt32] = []

    /// Starts a cache that will appear as `path`; a left-over of an interrupted attempt is replaced.
    package init(path: String, key: Digest) throws(DatasetError) {
        let temporary = path + ".partial-\(getpid())"
        unlink(temporary)
        let descriptor = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .unwritable(path: temporary, reason: FileCalls.lastError) }
        // The header's place; its bytes follow when the counts are known.
        guard lseek(descriptor, off_t(TokenCacheHeader.size), SEEK_SET) >= 0 else {
            let reason = FileCalls.lastError
            close(descriptor)
            unlink(temporary)
            throw .unwritable(path: temporary, reason: reason)
        }
        self.path = path
        self.temporary = temporary
        self.descriptor = descriptor
        header = TokenCacheHeader(key: key)
        buffer.reserveCapacity(Self.bufferSize + 4096)
    }

    deinit {
        close(descriptor)
        if !isPublished { unlink(temporary) }
    }

    /// Appends one sample; its number is the count of samples before it.
    package mutating func append(_ sample: Sample) throws(DatasetError) {
        precondition(sample.count > 0, "an empty sample has no place in a cache")
        guard lengths.count < Int(UInt32.max) - 1, let length = UInt32(exactly: sample.count) else {
            throw .settings("a token cache holds fewer than 2³² samples of fewer than 2³² tokens")
        }
        lengths.append(length)
        trained.append(UInt32(sample.trainedTokens))
        header.tokens += sample.count
        try put(sample.ids)
        try put(sample.labels)
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
        isPublished = true
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
