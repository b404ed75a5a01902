import Foundation
import Glibc
import Synchronization
import Testing

/// Takes connections and answers none of them.
final class SilentListener: Sendable {
    private let socket: Int32
    private let port: UInt16
    private let taken = Mutex<[Int32]>([])

    /// Listens at a free port of this machine.
    ///
    /// - Parameter hangsUp: Whether it ends each connection at once, in place of holding it.
    /// - Throws: Where the system gives no port.
    init(hangsUp: Bool) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try #require(socket >= 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = socket
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && listen(descriptor, 16) == 0
                    && getsockname(descriptor, pointer, &length) == 0
            }
        }
        try #require(status)
        port = UInt16(bigEndian: address.sin_port)
        _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
        // A thread, since it waits, and the tests' own are few; it ends with the socket.
        Thread.detachNewThread { [weak self] in
            while case let connection = accept(descriptor, nil, nil), connection >= 0 {
                guard let self else { return }
                taken.withLock { $0.append(connection) }
                if hangsUp { shutdown(connection, Int32(SHUT_RDWR)) }
            }
        }
    }

    deinit {
        shutdown(socket, Int32(SHUT_RDWR))
        close(socket)
        for connection in taken.withLock({ $0 }) { close(connection) }
    }

    var address: String { "http://127.0.0.1:\(port)" }

    /// How many came.
    var connections: Int { taken.withLock { $0.count } }
}
