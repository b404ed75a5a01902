import FoundationEssentials
import Glibc

/// Where a connection of the proxy goes on to.
enum Upstream: Sendable, Hashable {
    /// A port of this machine.
    case port(UInt16)
    /// A socket's path.
    case path(String)
}

/// Plain sockets that do not block.
enum Sockets {
    /// Listens at a port of 127.0.0.1; at any that is free for 0.
    static func listen(at port: UInt16 = 0) throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = local(port: port)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, size) == 0 && Glibc.listen(descriptor, 256) == 0
                    ? getsockname(descriptor, generic, &size) : -1
            }
        }
        guard descriptor >= 0, status == 0 else {
            close(descriptor)
            throw HarnessError("no port is free")
        }
        prepare(descriptor)
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    /// Ports of 127.0.0.1 that nothing listens at now, below those that the system gives to connections:
    /// one of these would take the port of a coordinator that is away for a moment.
    static func freePorts(_ count: Int) throws -> [UInt16] {
        var held: [(descriptor: Int32, port: UInt16)] = []
        defer { for socket in held { close(socket.descriptor) } }
        for _ in 0..<1000 where held.count < count {
            if let socket = try? listen(at: .random(in: 10_000..<32_768)) { held.append(socket) }
        }
        guard held.count == count else { throw HarnessError("no port is free") }
        return held.map(\.port)
    }

    /// Connects; nil where nobody listens.
    static func connect(to upstream: Upstream) -> Int32? {
        let descriptor: Int32
        let status: Int32
        switch upstream {
        case .port(let port):
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            // A loopback that is silent for so long has nobody behind it.
            var limit = timeval(tv_sec: 1, tv_usec: 0)
            setsockopt(
                descriptor,
                SOL_SOCKET,
                SO_SNDTIMEO,
                &limit,
                socklen_t(MemoryLayout<timeval>.size)
            )
            var address = local(port: port)
            status = connect(descriptor, &address)
        case .path(let path):
            descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            prepare(descriptor)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { bytes in
                bytes.copyBytes(from: path.utf8.prefix(bytes.count - 1))
            }
            status = connect(descriptor, &address)
        }
        guard status == 0 else {
            close(descriptor)
            return nil
        }
        prepare(descriptor)
        return descriptor
    }

    /// Whether somebody listens.
    static func isListening(_ upstream: Upstream) -> Bool {
        guard let descriptor = connect(to: upstream) else { return false }
        close(descriptor)
        return true
    }

    /// Takes a connection that waits; nil where none does.
    static func accept(_ listener: Int32) -> Int32? {
        let descriptor = Glibc.accept(listener, nil, nil)
        guard descriptor >= 0 else { return nil }
        prepare(descriptor)
        return descriptor
    }

    /// Closes a connection so that the other side is told of a reset, and loses what is under way.
    static func reset(_ descriptor: Int32) {
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_LINGER,
            &now,
            socklen_t(MemoryLayout<linger>.size)
        )
        close(descriptor)
    }

    private static func connect<Address>(_ descriptor: Int32, _ address: inout Address) -> Int32 {
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
    }

    private static func local(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        return address
    }

    private static func prepare(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    }
}

/// What keeps the harness itself from working.
struct HarnessError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
