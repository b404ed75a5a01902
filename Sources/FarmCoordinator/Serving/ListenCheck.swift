import Glibc
import NIOCore
import NIOPosix

extension ListenAddress {
    /// Finds out whether the address can be listened at, by doing so for a moment.
    ///
    /// Asked before a database is started for nothing.
    ///
    /// - Throws: ``CoordinatorError`` where the address is taken or not this machine's.
    func check() async throws {
        guard port != 0 else { return }
        do {
            let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .bind(host: host, port: port).get()
            try await channel.close()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw CoordinatorError.addressTaken(self)
        } catch {
            throw CoordinatorError.address(self, reason: "\(error)")
        }
    }
}
