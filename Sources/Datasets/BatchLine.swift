import Dispatch

/// Batches that threads make by turns, given in the order in which they were begun.
struct BatchLine: ~Copyable {
    /// The samples of some rows, on their way.
    final class Batch: @unchecked Sendable {
        let samples = SampleBatch()
        /// Why its rows could not be read.
        var failure: DatasetError?
        fileprivate let isMade = DispatchSemaphore(value: 0)
    }

    private let queues: [DispatchQueue]
    /// On their way, in order, while earlier ones are written.
    private var ahead: [Batch] = []
    /// What was given last, to be used again.
    private var given: Batch?
    private var idle: [Batch] = []
    private var begun = 0

    /// A line of so many threads; one means that batches are made at once, by whoever begins them.
    init(threads: Int) {
        precondition(threads > 0, "tokenising needs a thread")
        queues = (0..<threads).map { DispatchQueue(label: "samples \($0)", qos: .userInitiated) }
    }

    /// Whether another batch should be begun: two a thread, so that none waits for the one that reads and writes.
    var hasRoom: Bool { ahead.count < (queues.count > 1 ? 2 * queues.count + 1 : 1) }

    /// Takes back what was given last.
    mutating func takeBack() {
        if let given, given.samples.source.bytes.capacity < SampleBatch.keptBytes { idle.append(given) }
        given = nil
    }

    /// A batch without rows, to be begun.
    mutating func blank() -> Batch {
        let batch = idle.popLast() ?? Batch()
        batch.samples.source.removeAll()
        batch.failure = nil
        return batch
    }

    /// Has `work` done on a batch by the thread whose turn it is, which is told by its number. Batches are independent,
    /// so which thread makes one can't change it.
    mutating func begin(_ batch: Batch, _ work: @escaping @Sendable (_ thread: Int, Batch) -> Void) {
        let thread = begun % queues.count
        begun += 1
        ahead.append(batch)
        guard queues.count > 1 else {
            work(thread, batch)
            batch.isMade.signal()
            return
        }
        queues[thread].async {
            work(thread, batch)
            batch.isMade.signal()
        }
    }

    /// The next batch, valid until it is taken back; nil when none was begun.
    mutating func next() throws(DatasetError) -> SampleBatch? {
        guard !ahead.isEmpty else { return nil }
        let batch = ahead.removeFirst()
        batch.isMade.wait()
        given = batch
        if let failure = batch.failure { throw failure }
        return batch.samples
    }
}
