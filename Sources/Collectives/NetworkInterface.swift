import Glibc

/// An address of this machine, and the interface that has it.
package struct NetworkInterface: Sendable, Hashable {
    /// The interface's name, as `eth0`.
    package let name: String
    /// Its address in numbers, IPv4 or IPv6.
    package let address: String

    /// Every address of every interface that is up, IPv4 first; those of one wire only are left
    /// out.
    package static var all: [NetworkInterface] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var found: [(family: Int32, interface: NetworkInterface)] = []
        for entry in sequence(first: list, next: { $0?.pointee.ifa_next }) {
            guard let entry = entry?.pointee, let address = entry.ifa_addr,
                entry.ifa_flags & UInt32(IFF_UP) != 0,
                let text = SocketAddress(address)?.text
            else { continue }
            let interface = NetworkInterface(name: String(cString: entry.ifa_name), address: text)
            found.append((Int32(address.pointee.sa_family), interface))
        }
        return found.filter { $0.family == AF_INET }.map(\.interface)
            + found.filter { $0.family == AF_INET6 }.map(\.interface)
    }

    /// The interface of that name, by its first address, or the one that has that address.
    ///
    /// - Throws: `LinkError.noInterface` with those that there are.
    package static func named(_ text: String) throws(LinkError) -> NetworkInterface {
        let all = all
        if let found = all.first(where: { $0.address == text || $0.name == text }) {
            return found
        }
        // All of 127.0.0.0/8 is the loopback's.
        if let loopback = all.first(where: { $0.address.hasPrefix("127.") }),
            text.hasPrefix("127."), SocketAddress.isNumeric(text)
        {
            return NetworkInterface(name: loopback.name, address: text)
        }
        throw .noInterface(text, known: all.map { "\($0.name) (\($0.address))" })
    }

    /// The address of this machine from which it would reach a host: nothing is sent.
    ///
    /// - Throws: `LinkError.noRoute`.
    package static func address(toward host: String, port: UInt16) throws(LinkError) -> String {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &list)
        guard status == 0 else {
            throw .noRoute(host: host, reason: String(cString: gai_strerror(status)))
        }
        defer { freeaddrinfo(list) }
        var reason = "it has no address"
        for entry in sequence(first: list, next: { $0?.pointee.ai_next }) {
            guard let entry = entry?.pointee else { continue }
            let descriptor = socket(entry.ai_family, entry.ai_socktype, entry.ai_protocol)
            guard descriptor >= 0 else { continue }
            defer { Glibc.close(descriptor) }
            if Glibc.connect(descriptor, entry.ai_addr, entry.ai_addrlen) == 0,
                let local = SocketAddress(of: descriptor)?.text
            {
                return local
            }
            reason = String(cString: strerror(errno))
        }
        throw .noRoute(host: host, reason: reason)
    }
}

/// An IP address in the system's form.
private struct SocketAddress {
    /// In numbers; nil for an address that is good on one wire only.
    let text: String?

    init?(_ address: UnsafePointer<sockaddr>) {
        let raw = UnsafeRawPointer(address)
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            var four = raw.loadUnaligned(as: sockaddr_in.self).sin_addr
            inet_ntop(AF_INET, &four, &text, socklen_t(text.count))
        case AF_INET6:
            var six = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
            inet_ntop(AF_INET6, &six, &text, socklen_t(text.count))
        default:
            return nil
        }
        let known = text.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { String(cString: $0) }
        }
        self.text = known.flatMap { $0.hasPrefix("fe80:") ? nil : $0 }
    }

    /// The local address of a socket.
    init?(of descriptor: Int32) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let found = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                getsockname(descriptor, address, &length) == 0 ? SocketAddress(address) : nil
            }
        }
        guard let found else { return nil }
        self = found
    }

    static func isNumeric(_ text: String) -> Bool {
        var four = in_addr()
        return inet_pton(AF_INET, text, &four) == 1
    }
}
