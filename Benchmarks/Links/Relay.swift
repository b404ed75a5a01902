import Foundation

/// Stands between the ranks of a group on this machine, and delays what they send.
///
/// Each rank is at 127.0.0.(10 + rank). Of two ranks the one with the higher address connects, to
/// the relay at 127.0.0.2 instead of the lower one: the addresses that are told are changed so.
struct Relay {
    /// Seconds one way.
    let delay: Double
    /// Bytes a second each way of each pair.
    let rate: Double

    static func host(of rank: Int) -> String { "127.0.0.\(10 + rank)" }

    /// The addresses of all ranks, with the relay in the way of each pair.
    ///
    /// An address is five bytes (version, rank, size), then for each other rank a 4, the four
    /// bytes of the IP address and the port.
    func addresses(_ addresses: [Data]) -> [Data] {
        addresses.enumerated().map { rank, address in
            var bytes = [UInt8](address)
            for peer in rank + 1..<max(addresses.count, rank + 1) {
                let start = 5 + 7 * (peer - 1)
                let port = UInt16(bytes[start + 5]) << 8 | UInt16(bytes[start + 6])
                let relayed = forward(to: Self.host(of: rank), port: port)
                let local: [UInt8] = [127, 0, 0, 2, UInt8(relayed >> 8), UInt8(relayed & 0xff)]
                bytes.replaceSubrange(start + 1..<start + 7, with: local)
            }
            return Data(bytes)
        }
    }

    /// Awaits one connection, which it carries on to a host; returns the port where it awaits it.
    private func forward(to host: String, port: UInt16) -> UInt16 {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var own = address("127.0.0.2", port: 0)
        withSocketAddress(&own) { pointer, length in
            precondition(bind(listener, pointer, length) == 0, "127.0.0.2 is this machine's")
        }
        listen(listener, 1)
        withSocketAddress(&own) { pointer, length in
            var length = length
            _ = getsockname(listener, pointer, &length)
        }
        let (delay, rate) = (delay, rate)
        Thread.detachNewThread {
            let accepted = accept(listener, nil, nil)
            close(listener)
            let onward = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var target = address(host, port: port)
            withSocketAddress(&target) { pointer, length in
                precondition(connect(onward, pointer, length) == 0, "the rank awaits its peer")
            }
            for descriptor in [accepted, onward] {
                var on: Int32 = 1
                setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
            }
            _ = DelayLine(from: accepted, to: onward, delay: delay, rate: rate)
            _ = DelayLine(from: onward, to: accepted, delay: delay, rate: rate)
        }
        return UInt16(bigEndian: own.sin_port)
    }
}

private func address(_ host: String, port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    inet_pton(AF_INET, host, &address.sin_addr)
    return address
}

private func withSocketAddress(
    _ address: inout sockaddr_in,
    _ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Void
) {
    withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
            body(pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}
