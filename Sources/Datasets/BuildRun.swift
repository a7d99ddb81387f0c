import Terms

/// The moving part of one build: what was read, kept and found wrong so far.
struct BuildRun {
    let builder: DatasetBuilder
    let bytesTotal: Int
    let start: Instant
    var counts = DatasetCounts()
    /// Sample count after each file.
    var filesEnd: [Int] = []
    var faults: [RowFault] = []
    var faultCount = 0
    private var bytesBefore = 0

    init(builder: DatasetBuilder, bytesTotal: Int, start: Instant) {
        self.builder = builder
        self.bytesTotal = bytesTotal
        self.start = start
    }

    /// Reads one file to its end and appends its samples.
    mutating func read(_ file: DatasetFile, into writer: inout TokenCacheWriter) throws(DatasetError) {
        var reader = try DatasetReader(file: file, maker: builder.maker, threads: builder.threads)
        while let batch = try reader.nextBatch() {
            for row in batch { try take(row, of: file, into: &writer) }
            report(file, bytesRead: bytesBefore + reader.bytesRead)
        }
        bytesBefore += reader.bytesRead
        filesEnd.append(writer.lengths.count)
    }

    private func report(_ file: DatasetFile, bytesRead: Int) {
        builder.progress(BuildProgress(
            file: file.path, rows: counts.rows, tokens: counts.tokens, bytesRead: bytesRead, bytesTotal: bytesTotal,
            elapsed: builder.now() - start))
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
            note(line, file, "the row has \(sample.count) tokens, cutoff_len is \(limit); "
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
