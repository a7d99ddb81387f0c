import Terms

/// The moving part of one build: what was read, kept and found wrong so far.
struct BuildRun {
    let builder: DatasetBuilder
    let start: Instant
    var counts = DatasetCounts()
    /// Sample count after each finished file.
    var filesEnd: [Int] = []
    var faults: [RowFault] = []
    var faultCount = 0
    private let bytes: [Int]
    /// Where an interrupted build stopped, nil = there was none.
    private let resumed: BuildJournal.Mark?

    /// - Parameter bytes: of each file.
    init(builder: DatasetBuilder, bytes: [Int], start: Instant, from mark: BuildJournal.Mark?) {
        self.builder = builder
        self.bytes = bytes
        self.start = start
        resumed = mark
        if let mark { (counts, filesEnd) = (mark.counts, mark.filesEnd) }
    }

    /// Reads one file to its end and appends its samples.
    mutating func read(_ number: Int, into writer: inout TokenCacheWriter) throws(DatasetError) {
        let file = builder.files[number]
        let position = resumed?.file == number ? resumed?.position : nil
        var reader = try DatasetReader(file: file, maker: builder.maker, threads: builder.threads, from: position)
        while let batch = try reader.nextBatch() {
            for row in batch { try take(row, of: file, into: &writer) }
            report(number, bytesRead: reader.bytesRead)
            if faultCount == 0, writer.unmarkedBytes >= builder.markBytes, let position = reader.position {
                try writer.mark(
                    BuildJournal.Mark(
                        file: number, position: position, filesEnd: filesEnd, counts: counts))
            }
            if builder.isCancelled() { throw .interrupted }
        }
        filesEnd.append(writer.lengths.count)
    }

    private func report(_ number: Int, bytesRead: Int) {
        let before = resumed.map { bytes[..<$0.file].reduce(0, +) + ($0.position?.offset ?? 0) } ?? 0
        builder.progress(
            BuildProgress(
                file: builder.files[number].path, rows: counts.rows, tokens: counts.tokens,
                bytesRead: bytes[..<number].reduce(0, +) + bytesRead, bytesTotal: bytes.reduce(0, +),
                elapsed: builder.now() - start, tokensBefore: resumed?.counts.tokens ?? 0, bytesBefore: before))
    }

    private mutating func take(
        _ row: DatasetReader.Row, of file: DatasetFile, into writer: inout TokenCacheWriter
    ) throws(DatasetError) {
        counts.rows += 1
        switch row.sample {
        case .failure(let problem): note(row.line, file, problem.description)
        case .success(let sample):
            guard let fitting = fit(sample, line: row.line, file) else { return }
            counts.samples += 1
            counts.tokens += fitting.count
            counts.trainedTokens += fitting.trainedTokens
            if fitting.trainedTokens == 0 { counts.untrained += 1 }
            // After a fault nothing will be published, so the rest is only checked.
            if faultCount == 0 { try writer.append(fitting) }
        }
    }

    private mutating func note(_ line: Int, _ file: DatasetFile, _ reason: String) {
        faultCount += 1
        if faults.count < builder.faultLimit { faults.append(RowFault(file: file.path, line: line, reason: reason)) }
    }

    /// The sample as it fits into a sequence; nil when it is left out.
    private mutating func fit(_ sample: Sample, line: Int, _ file: DatasetFile) -> Sample? {
        let limit = builder.settings.cutoffLength
        guard sample.count > limit else { return sample }
        switch builder.settings.excess {
        case .error:
            note(
                line, file,
                "the row has \(sample.count) tokens, cutoff_len is \(limit); "
                    + "raise it or set excess_length to drop or truncate")
            return nil
        case .drop:
            counts.dropped += 1
            counts.droppedTrainedTokens += sample.trainedTokens
            return nil
        case .truncate:
            let cut = Sample(ids: Array(sample.ids[..<limit]), labels: Array(sample.labels[..<limit]))
            counts.truncated += 1
            counts.truncatedTrainedTokens += sample.trainedTokens - cut.trainedTokens
            return cut
        }
    }
}
