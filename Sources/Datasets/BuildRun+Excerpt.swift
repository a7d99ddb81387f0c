import Terms

extension BuildRun {
    /// Takes chunk after chunk until there is enough to train on, and appends their samples.
    ///
    /// Whether it goes on is asked between two chunks and depends on those taken so far alone, so that an excerpt is the
    /// same whatever the threads and the interruptions.
    mutating func readExcerpt(
        _ excerpt: ExcerptSettings, into writer: inout TokenCacheWriter
    ) throws(DatasetError) {
        let order = ChunkOrder(sizes: bytes, settings: excerpt, seed: builder.settings.seed)
        var goal = ExcerptGoal(excerpt, settings: builder.settings, weights: builder.files.map(\.weight))
        filesOfParts = partsEnd.indices.map { order[$0].file }
        takeAgain(order, writer.lengths, into: &goal)
        let before = goal.bytes
        var lines = ChunkLines()
        var reader = try ExcerptReader(
            files: builder.files, order: order, maker: builder.maker, threads: builder.threads, from: partsEnd.count)
        while !isEnough(goal, writer.lengths), let batch = try reader.nextBatch() {
            let chunk = order[partsEnd.count]
            let (earlier, faultsBefore) = (counts, faults.count)
            try take(batch, of: builder.files[chunk.file], into: &writer)
            lines.note(faultsBefore..<faults.count, file: chunk.file, start: batch.source.start)
            partsEnd.append(writer.lengths.count)
            filesOfParts?.append(chunk.file)
            goal.take(
                chunk, samples: counts.samples - earlier.samples, tokens: counts.tokens - earlier.tokens)
            report(chunk.file, bytesRead: goal.bytes, of: goal.bytesWanted(of: order.bytes), before: before)
            if faultCount == 0, writer.unmarkedBytes >= builder.markBytes {
                try writer.mark(BuildJournal.Mark(part: partsEnd.count, partsEnd: partsEnd, counts: counts))
            }
            if builder.isCancelled() { throw .interrupted }
        }
        try lines.settle(&faults, files: builder.files.map(\.path))
        counts.excerpt = ExcerptExtent(
            chunks: partsEnd.count, ofChunks: order.count, bytes: goal.bytes, ofBytes: order.bytes)
    }

    /// Counts the chunks that an interrupted build had taken.
    private func takeAgain(_ order: ChunkOrder, _ lengths: [UInt32], into goal: inout ExcerptGoal) {
        var first = 0
        for (place, end) in partsEnd.enumerated() {
            let tokens = lengths[first..<end].reduce(0) { $0 + Int($1) }
            goal.take(order[place], samples: end - first, tokens: tokens)
            first = end
        }
    }

    /// Whether the chunks so far hold all that the job will see.
    private func isEnough(_ goal: ExcerptGoal, _ lengths: [UInt32]) -> Bool {
        guard goal.isLikelyReached(chunks: partsEnd.count) else { return false }
        // After a fault nothing is written that could be counted, or published.
        guard faultCount == 0 else { return true }
        // What can't be planned yet, such as more rows for validation than there are, more chunks may mend.
        guard let (train, _) = try? plan(lengths).tables() else { return false }
        return goal.isReached(by: train, lengths: lengths)
    }
}

/// The true lines of faults that were found in chunks, where lines are counted from the chunk's first one.
private struct ChunkLines {
    private var places: [(fault: Int, file: Int, start: Int)] = []

    mutating func note(_ faults: Range<Int>, file: Int, start: Int) {
        places += faults.map { ($0, file, start) }
    }

    /// Gives the faults their lines, and the order of files and lines. Only now is what lies before them read.
    func settle(_ faults: inout [RowFault], files: [String]) throws(DatasetError) {
        guard !places.isEmpty else { return }
        let sorted = places.sorted { ($0.file, $0.start, $0.fault) < ($1.file, $1.start, $1.fault) }
        var settled: [RowFault] = []
        for file in files.indices {
            let own = sorted.filter { $0.file == file }
            guard !own.isEmpty else { continue }
            let lines = try ChunkReader(path: files[file]).lines(at: own.map(\.start))
            for (place, line) in zip(own, lines) {
                var fault = faults[place.fault]
                fault.line += line - 1
                settled.append(fault)
            }
        }
        faults = settled
    }
}
