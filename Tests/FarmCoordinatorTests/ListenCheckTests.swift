import NIOCore
import NIOPosix
import Testing

@testable import FarmCoordinator

@Suite(.timeLimit(.minutes(1))) struct ListenCheckTests {
    private func listener(port: Int = 0) async throws -> any Channel {
        try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(host: "127.0.0.1", port: port).get()
    }

    @Test("an address that is free is, one that somebody listens at is taken, another's is none")
    func taken() async throws {
        let channel = try await listener()
        let port = try #require(channel.localAddress?.port)
        let address = try #require(ListenAddress("127.0.0.1:\(port)"))
        #expect { try address.check() } throws: {
            guard case CoordinatorError.addressTaken = $0 else { return false }
            return true
        }
        try await channel.close()
        try address.check()
        #expect { try ListenAddress("192.0.2.1:\(port)")?.check() } throws: {
            guard case CoordinatorError.address = $0 else { return false }
            return true
        }
    }

    @Test("nobody who connects during a check is taken by it")
    func takesNobody() async throws {
        let channel = try await listener()
        let port = try #require(channel.localAddress?.port)
        try await channel.close()
        let address = try #require(ListenAddress("127.0.0.1:\(port)"))
        let checks = Task.detached {
            while !Task.isCancelled { try address.check() }
        }
        let client = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        for _ in 0..<500 {
            let taken = try? await client.connect(host: "127.0.0.1", port: port).get()
            #expect(taken == nil)
            try await taken?.close()
        }
        checks.cancel()
        try await checks.value
    }
}
