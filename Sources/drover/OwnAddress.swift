import Foundation
import Terms
import ZeroMQShell

/// The addresses of this machine.
enum OwnAddress {
    /// Those of all its interfaces, IPv6 ones in brackets; none when they can't be read.
    static func all() -> [String] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var found: [String] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            guard let address = entry.ifa_addr else { continue }
            switch Int32(address.pointee.sa_family) {
            case AF_INET: found += text(address, socklen_t(MemoryLayout<sockaddr_in>.size)).map { [$0] } ?? []
            case AF_INET6: found += text(address, socklen_t(MemoryLayout<sockaddr_in6>.size)).map { ["[\($0)]"] } ?? []
            default: break
            }
        }
        return found
    }

    private static func text(_ address: UnsafePointer<sockaddr>, _ size: socklen_t) -> String? {
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        guard getnameinfo(address, size, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// The address from which packets to another machine leave: where that one's neighbours reach this one.
    ///
    /// - Parameter peer: `HOST:PORT` or `[IPV6]:PORT`; an IPv6 address comes in brackets too.
    static func towards(_ peer: String) throws -> String {
        let isIPv6 = PeerAddress.isIPv6("tcp://\(peer)")
        if PeerAddress.isLoopback("tcp://\(peer)") { return isIPv6 ? "[::1]" : "127.0.0.1" }
        guard let colon = peer.lastIndex(of: ":") else { throw Failure.input("`\(peer)` is no HOST:PORT") }
        let host = peer[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        hints.ai_family = isIPv6 ? AF_INET6 : AF_INET
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(peer[peer.index(after: colon)...]), &hints, &list) == 0, let found = list else {
            throw Failure.input("can't find the host of `\(peer)`: an IPv6 address is written [ADDRESS]:PORT")
        }
        defer { freeaddrinfo(list) }
        let socket = Glibc.socket(hints.ai_family, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(socket) }
        var own = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let address: String? = withUnsafeMutablePointer(to: &own) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { own in
                guard connect(socket, found.pointee.ai_addr, found.pointee.ai_addrlen) == 0,
                    getsockname(socket, own, &size) == 0
                else { return nil }
                return text(own, size)
            }
        }
        guard let address else { throw Failure.failed("no network leads to `\(peer)`") }
        return isIPv6 ? "[\(address)]" : address
    }
}
