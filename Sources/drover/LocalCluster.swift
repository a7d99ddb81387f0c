import Budgeting
import Coordination
import CoordinatorShell
import Foundation
import Logging
import Synchronization
import Terms
import WorkerShell

/// A coordinator in this process and worker processes beside it, on loopback, for one job.
final class LocalCluster {
    let service: CoordinatorService
    private let finished = DispatchSemaphore(value: 0)
    private let failure = FailureNote()
    private var workers: [WorkerSlot] = []
    private var threads = 1
    private var state = ""
    private let run: String
    /// Where workers look for the machine's energy counters.
    private let powercap: String

    /// One local worker process, started again when it dies.
    private struct WorkerSlot {
        var pid: pid_t
        var startedAt: Date
        /// Deaths within `quickDeath` of the start, one after another.
        var quickDeaths = 0
        var isGivenUp = false
    }

    /// Seconds below which a worker's life counts as a failure to start.
    private static let quickDeath = 10.0
    private static let mostQuickDeaths = 3

    /// What the coordinator's thread leaves behind when it fails.
    private final class FailureNote: Sendable { let text = Mutex<String?>(nil) }

    /// - Parameters:
    ///   - run: the job's folder; it holds the journal too.
    ///   - powercap: folder of the machine's energy counters.
    init(
        run: String, rates: RateCard, powercap: String = Powercap.standardPath, log: Logger,
        observer: @escaping CoordinatorService.Observer
    ) throws {
        self.run = run
        self.powercap = powercap
        var options = CoordinatorService.Options(listen: "tcp://127.0.0.1:*", state: "\(run)/state") { _ in run }
        options.rates = rates
        service = try CoordinatorService(options, log: log, observer: observer)
    }

    /// Starts the coordinator's loop on a thread of its own.
    func start() throws {
        try RunDoor.note(service.endpoint, run: run)
        let thread = Thread { [service, finished, failure] in
            do { try service.run() } catch { failure.text.withLock { $0 = "\(error)" } }
            finished.signal()
        }
        thread.stackSize = 8 << 20
        thread.name = "coordinator"
        thread.start()
    }

    /// Starts worker processes from the main thread: they are killed by the kernel when that thread ends.
    ///
    /// - Parameters:
    ///   - count: how many.
    ///   - threads: of each.
    func startWorkers(_ count: Int, threads: Int, state: String) throws {
        self.threads = threads
        self.state = state
        for number in 0..<count { workers.append(WorkerSlot(pid: try start(number), startedAt: Date())) }
    }

    private func start(_ number: Int) throws -> pid_t {
        try Self.spawn([
            "worker", "join", service.endpoint.replacingOccurrences(of: "tcp://", with: ""), "--threads",
            String(threads),
            "--state", "\(state)/worker\(number)", "--child-of", String(getpid()), "--store", "\(run)/checkpoints",
            "--powercap", powercap,
        ])
    }

    /// Starts dead workers again; gives one up that dies again and again right after its start.
    ///
    /// - Returns: false once no worker is left.
    func keepWorkersAlive() throws -> Bool {
        for number in workers.indices where !workers[number].isGivenUp {
            var status: Int32 = 0
            guard waitpid(workers[number].pid, &status, WNOHANG) != 0 else { continue }
            let isQuick = Date().timeIntervalSince(workers[number].startedAt) < Self.quickDeath
            workers[number].quickDeaths = isQuick ? workers[number].quickDeaths + 1 : 0
            workers[number].isGivenUp = workers[number].quickDeaths >= Self.mostQuickDeaths
            guard !workers[number].isGivenUp else { continue }
            workers[number].pid = try start(number)
            workers[number].startedAt = Date()
        }
        return workers.contains { !$0.isGivenUp }
    }

    /// Ends one worker without warning; it is started again by `keepWorkersAlive`.
    func killWorker(_ number: Int) {
        // A death on purpose is no failure to start.
        workers[number].startedAt = .distantPast
        kill(workers[number].pid, SIGKILL)
    }

    private static func spawn(_ arguments: [String]) throws -> pid_t {
        var pid: pid_t = 0
        var list: [UnsafeMutablePointer<CChar>?] = (["drover"] + arguments).map { strdup($0) }
        list.append(nil)
        defer { list.forEach { free($0) } }
        let code = posix_spawn(&pid, "/proc/self/exe", nil, nil, &list, environ)
        guard code == 0 else {
            throw Failure.failed("can't start a worker process: \(String(cString: strerror(code)))")
        }
        return pid
    }

    /// Ends the coordinator, then the workers; waits for them.
    func stop() {
        RunDoor.forget(run: run)
        service.order(.end)
        _ = finished.wait(timeout: .now() + 10)
        let deadline = Date().addingTimeInterval(5)
        for worker in workers where !worker.isGivenUp {
            var status: Int32 = 0
            // One that has not found its coordinator yet is told nothing by it.
            kill(worker.pid, SIGTERM)
            while waitpid(worker.pid, &status, WNOHANG) == 0 {
                if Date() > deadline { kill(worker.pid, SIGKILL) }
                usleep(5000)
            }
        }
        workers = []
    }

    /// Why the coordinator's loop ended, when it failed.
    var problem: String? { failure.text.withLock { $0 } }
}
