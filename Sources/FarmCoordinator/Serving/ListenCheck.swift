import FarmModel
import Glibc
import NIOCore

extension ListenAddress {
    /// Finds out whether the address can be listened at, by binding a socket to it for a moment.
    ///
    /// Asked before a database is started for nothing. The socket does not listen: who connects meanwhile is
    /// refused, and tries again, instead of being taken by one that answers nothing.
    ///
    /// - Throws: ``CoordinatorError`` where the address is taken or not this machine's.
    func check() throws(CoordinatorError) {
        guard port != 0 else { return }
        let address: SocketAddress
        do {
            address = try SocketAddress.makeAddressResolvingHost(host, port: port)
        } catch {
            throw .address(self, reason: "\(error)")
        }
        let descriptor = socket(
            address.protocol == .inet6 ? AF_INET6 : AF_INET,
            Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue),
            0
        )
        guard descriptor >= 0 else {
            throw .address(self, reason: String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        // As the server does: connections that have just ended do not keep it from the address.
        var isReused: Int32 = 1
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_REUSEADDR,
            &isReused,
            socklen_t(MemoryLayout<Int32>.size)
        )
        let status = address.withSockAddr { bind(descriptor, $0, socklen_t($1)) }
        guard status != 0 else { return }
        guard errno != EADDRINUSE else { throw .addressTaken(self) }
        throw .address(self, reason: String(cString: strerror(errno)))
    }
}
