import CZeroMQ
import Glibc

/// A libzmq call that failed.
package struct ZeroMQError: Error, Equatable, CustomStringConvertible {
    /// What was tried, for instance `bind tcp://127.0.0.1:7780`.
    package var operation: String
    /// The errno value.
    package var code: Int32

    /// The error of the call that just failed.
    init(_ operation: String) {
        self.operation = operation
        code = zmq_errno()
    }

    /// An error that is known without libzmq having said it.
    init(_ operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }

    package var description: String {
        let hint =
            switch code {
            case EADDRINUSE: ": the port is in use; choose another or end the process that has it"
            case EADDRNOTAVAIL, ENODEV: ": this machine has no such address"
            default: ""
            }
        return "\(operation): \(String(cString: zmq_strerror(code)))\(hint)"
    }
}
