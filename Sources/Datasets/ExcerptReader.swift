import Terms

/// Makes the samples of chunks of files, a batch a chunk, in the order in which an excerpt takes them.
struct ExcerptReader: ~Copyable {
    private let files: [DatasetFile]
    private let order: ChunkOrder
    /// For each file which of a lane's workers reads it.
    private let workerOfFile: [Int]
    private let lanes: [Lane]
    private var line: BatchLine
    private var next: Int

    /// A thread's working memory, which nothing but the thread touches: a worker for each kind of file.
    private struct Lane: @unchecked Sendable { let workers: [RowWorker] }

    /// A reader that begins with the chunk at `place`.
    init(
        files: [DatasetFile], order: ChunkOrder, maker: SampleMaker, threads: Int, from place: Int
    ) throws(DatasetError) {
        var kinds: [(format: RowFormat, columns: ColumnMap)] = []
        var workerOfFile: [Int] = []
        for file in files {
            let format = try DatasetReader.detection(of: file).format
            if let known = kinds.firstIndex(where: { $0.format == format && $0.columns == file.columns }) {
                workerOfFile.append(known)
            } else {
                workerOfFile.append(kinds.count)
                kinds.append((format, file.columns))
            }
        }
        lanes = (0..<threads).map { _ in
            Lane(workers: kinds.map { RowWorker(format: $0.format, columns: $0.columns, maker: maker) })
        }
        line = BatchLine(threads: threads)
        next = place
        (self.files, self.order, self.workerOfFile) = (files, order, workerOfFile)
    }

    /// The samples of the next chunk's rows, perhaps none, valid until the next call; nil when all chunks were taken.
    mutating func nextBatch() throws(DatasetError) -> SampleBatch? {
        line.takeBack()
        while line.hasRoom, next < order.count {
            let chunk = order[next]
            next += 1
            let (path, kind) = (files[chunk.file].path, workerOfFile[chunk.file])
            line.begin(line.blank()) { [lanes] thread, batch in
                do throws(DatasetError) {
                    try ChunkReader(path: path).read(chunk.bytes, into: &batch.samples.source)
                } catch { batch.failure = error }
                lanes[thread].workers[kind].fill(batch.samples)
            }
        }
        return try line.next()
    }
}
