import FarmModel
import NIOCore
import NIOPosix
import Testing

@testable import FarmCoordinator

@Suite(.timeLimit(.minutes(10))) struct ListenCheckTests {
    /// Addresses of this machine at which nothing else listens, whatever ports others are given.
    private static let (first, second) = ("127.0.0.77", "127.0.0.78")

    private func listener(_ host: String, port: Int = 0) async throws -> any Channel {
        try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(host: host, port: port).get()
    }

    @Test("an address that is free is, one that somebody listens at is taken, another's is none")
    func taken() async throws {
        let channel = try await listener(Self.first)
        let port = try #require(channel.localAddress?.port)
        let address = try #require(ListenAddress("\(Self.first):\(port)"))
        #expect { try address.check() } throws: {
            guard case CoordinatorError.addressTaken = $0 else { return false }
            return true
        }
        try await channel.close()
        // A process that another test starts holds a copy of the socket until it runs its program.
        while (try? address.check()) == nil { try await Task.sleep(for: .milliseconds(10)) }
        #expect { try ListenAddress("192.0.2.1:\(port)")?.check() } throws: {
            guard case CoordinatorError.address = $0 else { return false }
            return true
        }
    }

    @Test("nobody who connects during a check is taken by it")
    func takesNobody() async throws {
        let channel = try await listener(Self.second)
        let port = try #require(channel.localAddress?.port)
        try await channel.close()
        let address = try #require(ListenAddress("\(Self.second):\(port)"))
        let checks = Task.detached {
            while !Task.isCancelled { try address.check() }
        }
        let client = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        for _ in 0..<200 {
            let taken = try? await client.connect(host: Self.second, port: port).get()
            #expect(taken == nil)
            try await taken?.close()
        }
        checks.cancel()
        try await checks.value
    }
}
