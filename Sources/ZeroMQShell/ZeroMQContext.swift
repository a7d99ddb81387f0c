import CZeroMQ

/// The process's one libzmq context. It is never terminated before the process ends: in 4.3.4 ending a context that
/// used CURVE can crash another one, and a blocked end would hang the exit.
package final class ZeroMQContext: @unchecked Sendable {
    let raw: UnsafeMutableRawPointer

    /// The context of this process.
    package static let shared = ZeroMQContext()

    private init() {
        guard let raw = zmq_ctx_new() else { preconditionFailure("libzmq could not allocate its context") }
        self.raw = raw
        zmq_ctx_set(raw, ZMQ_BLOCKY, 0)
        zmq_ctx_set(raw, ZMQ_MAX_SOCKETS, 8192)
    }
}
