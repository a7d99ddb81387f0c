package import Terms

/// How far the building of a cache is.
package struct BuildProgress: Sendable, Equatable {
    /// The file that is read now.
    package var file: String
    /// Rows read of all files so far.
    package var rows: Int
    /// Tokens of the samples kept so far.
    package var tokens: Int
    /// Bytes read of all files so far, those that an interrupted build had read included.
    package var bytesRead: Int
    /// Bytes that will be read: of all files together, or of an excerpt, as it looks now.
    package var bytesTotal: Int
    /// Since the start.
    package var elapsed: Span
    /// Tokens and bytes that an interrupted build had done already.
    package var tokensBefore = 0
    package var bytesBefore = 0

    /// Tokens a second; 0 before any time has passed.
    package var rate: Double { elapsed.nanoseconds > 0 ? Double(tokens - tokensBefore) / elapsed.seconds : 0 }

    /// Seconds to go at the rate so far; nil before anything was read.
    package var secondsLeft: Double? {
        guard bytesRead > bytesBefore else { return nil }
        return elapsed.seconds * Double(max(0, bytesTotal - bytesRead)) / Double(bytesRead - bytesBefore)
    }
}

/// Turns data files into a token cache, row by row, in bounded memory.
package struct DatasetBuilder {
    /// What is read, in this order.
    package let files: [DatasetFile]
    /// What makes samples of rows.
    package let maker: SampleMaker
    /// How samples become sequences.
    package let settings: DatasetSettings
    /// Threads that tokenise; never changes the result.
    package let threads: Int
    /// Bad rows that are told one by one; further ones are counted.
    package var faultLimit = 100
    /// Payload bytes between two places from which an interrupted build can be gone on with.
    package var markBytes = 128 << 20
    /// Asked after each batch of rows; true ends the build with `.interrupted`, to be gone on with later.
    package var isCancelled: () -> Bool = { false }
    /// The clock that `BuildProgress.elapsed` is read from.
    package var now: () -> Instant
    /// Called after each batch of rows.
    package var progress: (BuildProgress) -> Void

    /// A builder; nothing is read before `build`.
    package init(
        files: [DatasetFile], maker: SampleMaker, settings: DatasetSettings, threads: Int = 1,
        now: @escaping () -> Instant = { Instant(nanoseconds: 0) },
        progress: @escaping (BuildProgress) -> Void = { _ in }
    ) {
        self.files = files
        self.maker = maker
        self.settings = settings
        self.threads = threads
        self.now = now
        self.progress = progress
    }

    /// How each file was understood, a sentence each, from its first row.
    package func detections() throws(DatasetError) -> [RowFormat.Detection] {
        var detections: [RowFormat.Detection] = []
        for file in files { detections.append(try DatasetReader.detection(of: file)) }
        return detections
    }

    /// Reads all files and publishes the cache at `path`; goes on where an interrupted build for it stopped.
    ///
    /// - Throws: `.badRows` with every bad line (up to `faultLimit`) after all rows were read; then nothing is
    ///   published.
    package func build(path: String, key: Digest) throws(DatasetError) {
        try checkSettings()
        var writer = try TokenCacheWriter(path: path, key: key)
        var run = BuildRun(builder: self, bytes: try fileBytes(), start: now(), from: writer.resumed)
        if let excerpt = settings.excerpt {
            try run.readExcerpt(excerpt, into: &writer)
        } else {
            for number in files.indices.dropFirst(run.partsEnd.count) { try run.read(number, into: &writer) }
        }
        guard run.faultCount == 0 else {
            writer.discard()
            throw .badRows(run.faults, total: run.faultCount)
        }
        guard !writer.lengths.isEmpty else {
            writer.discard()
            guard run.counts.dropped == 0 else {
                throw .settings(
                    "all \(run.counts.dropped) rows are longer than cutoff_len \(settings.cutoffLength); "
                        + "raise cutoff_len or set excess_length: truncate")
            }
            throw .noRows(paths: files.map(\.path))
        }
        let (train, validation) = try run.plan(writer.lengths).tables()
        _ = try writer.finish(train: train, validation: validation, counts: run.counts)
    }

    private func checkSettings() throws(DatasetError) {
        guard !files.isEmpty else { throw .settings("dataset: no files are named") }
        guard settings.cutoffLength > 1, settings.cutoffLength <= 1 << 24 else {
            throw .settings("cutoff_len must lie in 2...\(1 << 24)")
        }
        for file in files where !(file.weight > 0 && file.weight <= 1000) {
            throw .settings("dataset: the weight of \(file.path) must be above 0 and at most 1000")
        }
        if settings.excerpt != nil, let obstacle = try ExcerptSettings.obstacle(files) {
            throw .settings("streaming: \(obstacle)")
        }
    }

    /// Bytes of each file.
    private func fileBytes() throws(DatasetError) -> [Int] {
        var sizes: [Int] = []
        for file in files { sizes.append(try FileReader(path: file.path).size) }
        return sizes
    }
}
