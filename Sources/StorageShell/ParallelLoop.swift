import Glibc
import Synchronization

/// Runs a body for each index on a few threads of its own: waiting for a disk in eight places is eight times as fast.
enum ParallelLoop {
    /// Calls `body(0)` … `body(count - 1)`, each once, on up to `threads` threads, and returns when all are done.
    ///
    /// The first error (by index) is thrown; after an error no further index is begun. One thread keeps index order.
    static func run<Failure: Error>(
        _ count: Int, threads: Int, _ body: @Sendable (Int) throws(Failure) -> Void
    ) throws(Failure) {
        if threads <= 1 || count <= 1 {
            for index in 0..<count { try body(index) }
            return
        }
        try withoutActuallyEscaping(body) {
            (escaping: @escaping @Sendable (Int) throws(Failure) -> Void) throws(Failure) in
            let shared = Shared(count: count, body: escaping)
            var others: [pthread_t] = []
            for _ in 1..<min(threads, count) {
                var thread = pthread_t()
                let box = Unmanaged.passRetained(Job { shared.work() })
                let code = pthread_create(
                    &thread, nil,
                    { argument in
                        Unmanaged<Job>.fromOpaque(argument!).takeRetainedValue().run()
                        return nil
                    }, box.toOpaque())
                // Without that thread the rest do its share.
                if code == 0 { others.append(thread) } else { box.release() }
            }
            shared.work()
            for thread in others { pthread_join(thread, nil) }
            if let error = shared.firstError { throw error }
        }
    }

    private final class Job: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private final class Shared<Failure: Error>: Sendable {
        private let count: Int
        private let body: @Sendable (Int) throws(Failure) -> Void
        private let next = Mutex(0)
        private let failed = Mutex<(index: Int, error: Failure)?>(nil)

        init(count: Int, body: @escaping @Sendable (Int) throws(Failure) -> Void) {
            self.count = count
            self.body = body
        }

        var firstError: Failure? { failed.withLock { $0?.error } }

        func work() {
            while let index = take() {
                do throws(Failure) { try body(index) } catch {
                    failed.withLock { if $0.map({ index < $0.index }) ?? true { $0 = (index, error) } }
                }
            }
        }

        private func take() -> Int? {
            if failed.withLock({ $0 != nil }) { return nil }
            return next.withLock { index in
                guard index < count else { return nil }
                defer { index += 1 }
                return index
            }
        }
    }
}
