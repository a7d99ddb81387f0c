import Glibc

/// The system's own words for its error numbers.
enum SystemError {
    /// For instance `Input/output error (5)`.
    static func text(_ code: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 160)
        guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
        let length = buffer.firstIndex(of: 0) ?? buffer.count
        let message = String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self)
        return message.isEmpty ? "error \(code)" : "\(message) (\(code))"
    }
}
