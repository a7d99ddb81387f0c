import CZeroMQ

/// One received frame in libzmq's own memory; may be kept and handed to other threads.
package final class ZeroMQFrame: @unchecked Sendable {
    // Written by one receive call before anybody else has it, closed once: so any thread may read it.
    let message: UnsafeMutablePointer<zmq_msg_t>

    /// An empty frame for a receive call to fill.
    init() {
        message = .allocate(capacity: 1)
        zmq_msg_init(message)
    }

    deinit {
        zmq_msg_close(message)
        message.deallocate()
    }

    /// Bytes in the frame.
    package var count: Int { zmq_msg_size(message) }

    /// The bytes, valid only inside `body`.
    package func withBytes<Value, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try body(UnsafeRawBufferPointer(start: zmq_msg_data(message), count: count))
    }

    /// A copy of the bytes.
    package var bytes: [UInt8] { withBytes { Array($0) } }

    /// The file descriptor of the connection it came in on, −1 = unknown.
    package var connection: Int32 { zmq_msg_get(message, ZMQ_SRCFD) }

    /// What the authentication handler called the peer; nil without encryption.
    ///
    /// Read it from a body frame: on a router's first frame libzmq 4.3.4 may have lost it.
    package var userID: String? { zmq_msg_gets(message, "User-Id").map { String(cString: $0) } }

    /// The peer's network address; nil inside a process.
    package var peerAddress: String? { zmq_msg_gets(message, "Peer-Address").map { String(cString: $0) } }
}
