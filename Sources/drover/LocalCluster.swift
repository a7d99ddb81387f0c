import Coordination
import CoordinatorShell
import Foundation
import Logging
import Synchronization
import Terms

/// A coordinator in this process and worker processes beside it, on loopback, for one job.
final class LocalCluster {
    let service: CoordinatorService
    private let finished = DispatchSemaphore(value: 0)
    private let failure = FailureNote()
    private var workers: [pid_t] = []

    /// What the coordinator's thread leaves behind when it fails.
    private final class FailureNote: Sendable { let text = Mutex<String?>(nil) }

    /// - Parameter run: the job's folder; it holds the journal too.
    init(run: String, log: Logger, observer: @escaping CoordinatorService.Observer) throws {
        let options = CoordinatorService.Options(listen: "tcp://127.0.0.1:*", state: "\(run)/state") { _ in run }
        service = try CoordinatorService(options, log: log, observer: observer)
    }

    /// Starts the coordinator's loop on a thread of its own.
    func start() {
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
        let address = service.endpoint.replacingOccurrences(of: "tcp://", with: "")
        for number in 0..<count {
            workers.append(try Self.spawn([
                "worker", "join", address, "--threads", String(threads), "--state", "\(state)/worker\(number)",
                "--child-of", String(getpid()),
            ]))
        }
    }

    private static func spawn(_ arguments: [String]) throws -> pid_t {
        var pid: pid_t = 0
        var list: [UnsafeMutablePointer<CChar>?] = (["drover"] + arguments).map { strdup($0) }
        list.append(nil)
        defer { list.forEach { free($0) } }
        let code = posix_spawn(&pid, "/proc/self/exe", nil, nil, &list, environ)
        guard code == 0 else { throw Failure.failed("can't start a worker process: \(String(cString: strerror(code)))") }
        return pid
    }

    /// Ends the coordinator, then the workers; waits for them.
    func stop() {
        service.order(.end)
        _ = finished.wait(timeout: .now() + 10)
        let deadline = Date().addingTimeInterval(5)
        for worker in workers {
            var status: Int32 = 0
            while waitpid(worker, &status, WNOHANG) == 0 {
                if Date() > deadline { kill(worker, SIGKILL) }
                usleep(5000)
            }
        }
        workers = []
    }

    /// Worker processes that have ended although nobody stopped them.
    func deadWorkers() -> Int {
        workers.filter { worker in
            var status = siginfo_t()
            return waitid(P_PID, id_t(worker), &status, WEXITED | WNOHANG | WNOWAIT) == 0 && status.si_signo != 0
        }.count
    }

    /// Worker processes that were started.
    var count: Int { workers.count }

    /// Why the coordinator's loop ended, when it failed.
    var problem: String? { failure.text.withLock { $0 } }
}
