import Foundation
import Synchronization

/// SIGINT and SIGTERM as a count that loops look at.
enum Signals {
    private static let count = Atomic<Int>(0)

    /// Starts to count instead of dying.
    static func watch() {
        for signal in [SIGINT, SIGTERM] {
            Glibc.signal(signal) { _ in Signals.count.add(1, ordering: .relaxed) }
        }
        Glibc.signal(SIGPIPE, SIG_IGN)
        // Whoever started this process may have blocked them, and a mask is inherited.
        var wanted = sigset_t()
        sigemptyset(&wanted)
        sigaddset(&wanted, SIGINT)
        sigaddset(&wanted, SIGTERM)
        pthread_sigmask(SIG_UNBLOCK, &wanted, nil)
    }

    /// How often the process was asked to stop.
    static var requests: Int { count.load(ordering: .relaxed) }

    static var stopRequested: Bool { requests > 0 }
}
