import Hashing
package import Terms

/// A tokenised dataset in one memory-mapped file: training and validation sequences, ready to be trained on.
package struct TokenCache: Sendable {
    /// What is trained on.
    package let train: SequenceSet
    /// What was kept apart by `val_size`.
    package let validation: SequenceSet
    /// What became of the rows.
    package let counts: DatasetCounts
    /// What the cache was made for; see `CacheKey`.
    package let key: Digest
    /// SHA-256 over all of the content: the identity of the data as it is trained on.
    package let digest: Digest

    private let file: MappedFile
    private let sections: TokenCacheHeader.Sections

    /// The file, when somebody has written to it since the last call, and as long as it holds other bytes: nothing that
    /// came from it meanwhile is to be used. Asks the system.
    ///
    /// - Parameter mayGrow: the file is made here block by block; only whoever shortens it is noticed.
    package func changedFile(mayGrow: Bool = false) -> String? {
        let isIntact = file.isIntact(mayGrow: mayGrow) { Self.contentDigest(file, sections) == digest }
        return isIntact ? nil : file.path
    }

    /// SHA-256 over all but the trailer, the header last.
    private static func contentDigest(_ file: MappedFile, _ sections: TokenCacheHeader.Sections) -> Digest {
        var hasher = SHA256Hasher()
        for start in stride(from: TokenCacheHeader.size, to: sections.trailer, by: 1 << 20) {
            let end = min(start + (1 << 20), sections.trailer)
            hasher.update(UnsafeRawBufferPointer(rebasing: file.bytes[start..<end]))
            file.hasRead(end - start)
        }
        hasher.update(UnsafeRawBufferPointer(rebasing: file.bytes[..<TokenCacheHeader.size]))
        return hasher.finish()
    }

    /// Opens a cache.
    ///
    /// - Parameters:
    ///   - key: what the cache must have been made for; nil = anything.
    ///   - verifying: whether every byte is hashed (a second or so a gigabyte); the structure is always checked.
    package init(path: String, key: Digest? = nil, verifying: Bool = true) throws(DatasetError) {
        let file = try MappedFile(path: path)
        func damaged(_ reason: String) -> DatasetError { .cacheDamaged(path: path, reason: reason) }
        guard file.bytes.count >= TokenCacheHeader.size + TokenCacheHeader.trailerSize else {
            throw damaged("shorter than a header")
        }
        let head = Array(file.bytes[..<TokenCacheHeader.size])
        let header: TokenCacheHeader
        do { header = try TokenCacheHeader(decoding: head) } catch { throw damaged("header: \(error)") }
        guard header.encoded() == head else { throw damaged("header: bytes that have no meaning") }
        guard let sections = header.sections, sections.end == file.bytes.count else {
            throw damaged("the length doesn't fit the header's counts")
        }
        if let key, header.key != key { throw .cacheOfOtherKey(path: path) }
        guard let digest = Digest(bytes: file.bytes[sections.trailer..<sections.end]) else {
            throw damaged("no digest")
        }
        if verifying, Self.contentDigest(file, sections) != digest {
            throw damaged("the content doesn't have the digest in its trailer")
        }
        guard let json = try? JSONValue.parse(Array(file.bytes[sections.counts..<sections.trailer])),
            let counts = DatasetCounts(json: json)
        else { throw damaged("the row counts can't be read") }
        (self.file, self.sections) = (file, sections)
        let samples = CachedSamples(
            file: file, sections: sections, count: header.samples, tokens: header.tokens)
        train = SequenceSet(
            samples: samples, starts: sections.trainStarts, documents: sections.trainDocuments,
            sequenceCount: header.trainSequences, documentCount: header.trainDocuments)
        validation = SequenceSet(
            samples: samples, starts: sections.validationStarts, documents: sections.validationDocuments,
            sequenceCount: header.validationSequences, documentCount: header.validationDocuments)
        self.counts = counts
        self.key = header.key
        self.digest = digest
        guard samples.isSound, train.isSound, validation.isSound else {
            throw damaged("the index points outside the data")
        }
    }
}

extension TokenCache {
    /// Bytes at the beginning of the file from which `tables` can be told.
    package static var headBytes: Int { TokenCacheHeader.size }

    /// Where all lies that is read when a cache is opened without verifying, besides its first `headBytes` bytes; nil
    /// when these are not the first bytes of a cache of so many bytes.
    package static func tables(head: [UInt8], size: Int) -> Range<Int>? {
        guard head.count >= headBytes, let header = try? TokenCacheHeader(decoding: Array(head.prefix(headBytes))),
            let sections = header.sections, sections.end == size
        else { return nil }
        return sections.offsets..<sections.end
    }
}

/// Tokens and next-token targets of one sequence.
package struct TokenSequence: Sendable, Equatable {
    /// T tokens, document after document.
    package var tokens: [Int32]
    /// [T]: the token to be predicted after each token, −1 = none (untrained, or the last of its document).
    package var targets: [Int32]
    /// Where each document starts in `tokens`, ascending from 0.
    package var documentStarts: [Int32]

    /// A sequence of the given parts.
    package init(tokens: [Int32], targets: [Int32], documentStarts: [Int32]) {
        self.tokens = tokens
        self.targets = targets
        self.documentStarts = documentStarts
    }

    /// The target of a token after which nothing is to be predicted.
    package static let noTarget: Int32 = -1
}

/// The sequences of one section of a cache.
package struct SequenceSet: Sendable {
    private let samples: CachedSamples
    private let starts: Int
    private let documents: Int
    /// S.
    package let sequenceCount: Int
    private let documentCount: Int

    fileprivate init(samples: CachedSamples, starts: Int, documents: Int, sequenceCount: Int, documentCount: Int) {
        self.samples = samples
        self.starts = starts
        self.documents = documents
        self.sequenceCount = sequenceCount
        self.documentCount = documentCount
    }

    /// The sample numbers of sequence `index`, in `0 ..< sequenceCount`.
    package func documents(of index: Int) -> [Int] {
        precondition(index >= 0 && index < sequenceCount, "sequence outside the cache")
        let lower = Int(samples.file.integer(UInt32.self, starts, index))
        let upper = Int(samples.file.integer(UInt32.self, starts, index + 1))
        // They were in order when the file was opened; somebody may have written to it since.
        return (min(lower, documentCount)..<min(max(lower, upper), documentCount))
            .map { Int(samples.file.integer(UInt32.self, documents, $0)) }.filter { $0 < samples.count }
    }

    /// Input tokens of sequence `index`.
    package func tokens(_ index: Int) -> Int {
        documents(of: index).reduce(0) { $0 + samples.range(of: $1).count }
    }

    /// Targets of sequence `index` that count in the loss.
    package func trainedTokens(_ index: Int) -> Int {
        documents(of: index).reduce(0) { $0 + samples.trained(of: $1) }
    }

    /// Where the bytes of sequence `index` lie in the file, document by document.
    package func places(of index: Int) -> [Range<Int>] {
        documents(of: index).map { document in
            let tokens = samples.range(of: document)
            return samples.sections.payload + 8 * tokens.lowerBound..<samples.sections.payload + 8 * tokens.upperBound
        }
    }

    /// Sequence `index` with its labels shifted to next-token targets inside each document.
    package func sequence(_ index: Int) -> TokenSequence {
        let documents = documents(of: index)
        var sequence = TokenSequence(tokens: [], targets: [], documentStarts: [])
        sequence.documentStarts.reserveCapacity(documents.count)
        let count = documents.reduce(0) { $0 + samples.range(of: $1).count }
        sequence.tokens.reserveCapacity(count)
        sequence.targets.reserveCapacity(count)
        for document in documents {
            sequence.documentStarts.append(Int32(sequence.tokens.count))
            samples.append(document, to: &sequence)
        }
        return sequence
    }

    /// Whether all positions and document numbers lie inside their tables.
    fileprivate var isSound: Bool {
        var last = 0
        for index in 0...sequenceCount {
            let start = Int(samples.file.integer(UInt32.self, starts, index))
            guard start >= last, start <= documentCount, index > 0 || start == 0 else { return false }
            last = start
        }
        return last == documentCount
            && (0..<documentCount).allSatisfy { samples.file.integer(UInt32.self, documents, $0) < samples.count }
    }
}

/// The samples of a cache, by number.
private struct CachedSamples: Sendable {
    let file: MappedFile
    let sections: TokenCacheHeader.Sections
    let count: Int
    /// Of all samples.
    let tokens: Int

    /// The sample's place in the payload, in tokens.
    func range(of sample: Int) -> Range<Int> {
        // As above.
        let start = min(Int(clamping: file.integer(UInt64.self, sections.offsets, sample)), tokens)
        let end = min(Int(clamping: file.integer(UInt64.self, sections.offsets, sample + 1)), tokens)
        return start..<max(start, end)
    }

    func trained(of sample: Int) -> Int { Int(file.integer(UInt32.self, sections.trained, sample)) }

    func append(_ sample: Int, to sequence: inout TokenSequence) {
        let range = range(of: sample)
        let ids = sections.payload + range.lowerBound * 8
        let labels = ids + range.count * 4
        for place in 0..<range.count {
            sequence.tokens.append(file.integer(Int32.self, ids, place))
            let label = place + 1 < range.count ? file.integer(Int32.self, labels, place + 1) : Sample.ignored
            sequence.targets.append(label == Sample.ignored ? TokenSequence.noTarget : label)
        }
        file.hasRead(8 * range.count)
    }

    var isSound: Bool {
        var last: UInt64 = 0
        for index in 0...count {
            let offset = file.integer(UInt64.self, sections.offsets, index)
            guard offset >= last, offset <= UInt64(tokens), index > 0 || offset == 0 else { return false }
            last = offset
        }
        return last == UInt64(tokens)
    }
}
