import Terms
import Tokenization

/// The moving part of one build: what was read, kept and found wrong so far.
struct BuildRun {
    let builder: DatasetBuilder
    let start: Instant
    var counts = DatasetCounts()
    /// Sample count after each finished part: a file, or a chunk of an excerpt.
    var partsEnd: [Int] = []
    var faults: [RowFault] = []
    var faultCount = 0
    /// The file of each part; nil = the parts are the files.
    var filesOfParts: [Int]?
    let bytes: [Int]
    /// Where an interrupted build stopped, nil = there was none.
    private let resumed: BuildJournal.Mark?

    /// - Parameter bytes: of each file.
    init(builder: DatasetBuilder, bytes: [Int], start: Instant, from mark: BuildJournal.Mark?) {
        self.builder = builder
        self.bytes = bytes
        self.start = start
        resumed = mark
        if let mark { (counts, partsEnd) = (mark.counts, mark.partsEnd) }
    }

    /// Reads one file to its end and appends its samples.
    mutating func read(_ number: Int, into writer: inout TokenCacheWriter) throws(DatasetError) {
        let file = builder.files[number]
        let position = resumed?.part == number ? resumed?.position : nil
        var reader = try DatasetReader(file: file, maker: builder.maker, threads: builder.threads, from: position)
        while let batch = try reader.nextBatch() {
            try take(batch, of: file, into: &writer)
            report(number, bytesRead: reader.bytesRead)
            if faultCount == 0, writer.unmarkedBytes >= builder.markBytes, let position = reader.position {
                try writer.mark(
                    BuildJournal.Mark(
                        part: number, position: position, partsEnd: partsEnd, counts: counts))
            }
            if builder.isCancelled() { throw .interrupted }
        }
        partsEnd.append(writer.lengths.count)
    }

    private func report(_ number: Int, bytesRead: Int) {
        report(
            number, bytesRead: bytes[..<number].reduce(0, +) + bytesRead, of: bytes.reduce(0, +),
            before: resumed.map { bytes[..<$0.part].reduce(0, +) + ($0.position?.offset ?? 0) } ?? 0)
    }

    func report(_ number: Int, bytesRead: Int, of total: Int, before: Int) {
        builder.progress(
            BuildProgress(
                file: builder.files[number].path, rows: counts.rows, tokens: counts.tokens, bytesRead: bytesRead,
                bytesTotal: total, elapsed: builder.now() - start, tokensBefore: resumed?.counts.tokens ?? 0,
                bytesBefore: before))
    }

    /// How samples of such lengths are laid into sequences.
    func plan(_ lengths: [UInt32]) -> SequencePlan {
        SequencePlan(
            lengths: lengths, partsEnd: partsEnd, weights: builder.files.map(\.weight), settings: builder.settings,
            limits: builder.files.map(\.sampleLimit), files: filesOfParts)
    }

    mutating func take(
        _ batch: SampleBatch, of file: DatasetFile, into writer: inout TokenCacheWriter
    ) throws(DatasetError) {
        // Samples that stand one after another in the batch are written as one.
        var whole = 0..<0
        func write(_ range: Range<Int>) throws(DatasetError) {
            guard !range.isEmpty else { return }
            try writer.put(UnsafeBufferPointer(rebasing: batch.payload.ids[range]))
        }
        for row in batch.rows {
            counts.rows += 1
            if let problem = row.problem { note(row.line, file, problem.description) }
            guard row.problem == nil, let (count, trained) = fit(row, batch, file) else { continue }
            counts.samples += 1
            counts.tokens += count
            counts.trainedTokens += trained
            if trained == 0 { counts.untrained += 1 }
            // After a fault nothing will be published, so the rest is only checked.
            guard faultCount == 0 else { continue }
            try writer.begin(tokens: count, trained: trained)
            if count < row.count || row.start != whole.upperBound {
                try write(whole)
                whole = row.start..<row.start
            }
            whole = whole.lowerBound..<row.start + (count == row.count ? 2 * count : count)
            if count < row.count {
                try write(whole)
                try write(row.start + row.count..<row.start + row.count + count)
                whole = row.start + 2 * row.count..<row.start + 2 * row.count
            }
        }
        if faultCount == 0 { try write(whole) }
    }

    private mutating func note(_ line: Int, _ file: DatasetFile, _ reason: String) {
        faultCount += 1
        if faults.count < builder.faultLimit { faults.append(RowFault(file: file.path, line: line, reason: reason)) }
    }

    /// Tokens and trained tokens of the sample as it fits into a sequence; nil when it is left out.
    private mutating func fit(
        _ row: SampleBatch.Row, _ batch: SampleBatch, _ file: DatasetFile
    ) -> (count: Int, trained: Int)? {
        let limit = builder.settings.cutoffLength
        guard row.count > limit else { return (row.count, row.trainedTokens) }
        switch builder.settings.excess {
        case .error:
            note(
                row.line, file,
                "the row has \(row.count) tokens, cutoff_len is \(limit); "
                    + "raise it or set excess_length to drop or truncate")
            return nil
        case .drop:
            counts.dropped += 1
            counts.droppedTrainedTokens += row.trainedTokens
            return nil
        case .truncate:
            let labels = batch.payload.ids[row.start + row.count..<row.start + row.count + limit]
            let trained = labels.dropFirst().reduce(0) { $0 + ($1 == Sample.ignored ? 0 : 1) }
            counts.truncated += 1
            counts.truncatedTrainedTokens += row.trainedTokens - trained
            return (limit, trained)
        }
    }
}
