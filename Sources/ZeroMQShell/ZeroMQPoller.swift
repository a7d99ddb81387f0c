import CZeroMQ
import Glibc

/// Waits for sockets of one thread, and for other threads that call `wake`.
package final class ZeroMQPoller {
    private let wakeDescriptor: Int32

    package init() {
        wakeDescriptor = eventfd(0, Int32(O_NONBLOCK | O_CLOEXEC))
        precondition(wakeDescriptor >= 0, "the kernel gave no eventfd")
    }

    deinit { Glibc.close(wakeDescriptor) }

    /// A handle by which any thread can end a wait early.
    package var waker: Waker { Waker(descriptor: wakeDescriptor) }

    /// Ends the wait of a poller; from any thread, as long as the poller lives.
    package struct Waker: Sendable {
        let descriptor: Int32
        package func wake() {
            var one: UInt64 = 1
            _ = write(descriptor, &one, 8)
        }
    }

    /// What to wait for on one socket.
    package struct Interest {
        package var socket: ZeroMQSocket
        package var sending: Bool

        package init(_ socket: ZeroMQSocket, sending: Bool = false) {
            self.socket = socket
            self.sending = sending
        }
    }

    /// Waits until a socket is ready, somebody wakes, or `milliseconds` are over (−1 = no limit).
    package func wait(_ interests: [Interest], milliseconds: Int) throws(ZeroMQError) {
        var items = interests.map { interest in
            zmq_pollitem_t(
                socket: interest.socket.raw, fd: 0,
                events: Int16(ZMQ_POLLIN | (interest.sending ? ZMQ_POLLOUT : 0)), revents: 0)
        }
        items.append(zmq_pollitem_t(socket: nil, fd: wakeDescriptor, events: Int16(ZMQ_POLLIN), revents: 0))
        guard zmq_poll(&items, Int32(items.count), milliseconds) >= 0 || zmq_errno() == EINTR else {
            throw ZeroMQError("wait for sockets")
        }
        if items.last!.revents != 0 {
            var count: UInt64 = 0
            _ = read(wakeDescriptor, &count, 8)
        }
    }
}
