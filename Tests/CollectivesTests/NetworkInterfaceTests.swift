import Testing

@testable import Collectives

@Suite("Interfaces of this machine")
struct NetworkInterfaceTests {
    @Test("the loopback is there, by name and by address")
    func loopback() throws {
        let loopback = try NetworkInterface.named("127.0.0.1")
        #expect(try NetworkInterface.named(loopback.name).address == "127.0.0.1")
        #expect(NetworkInterface.all.contains(loopback))
        #expect(try NetworkInterface.named("127.0.0.9").address == "127.0.0.9")
    }

    @Test("an unknown name is an error that lists what there is")
    func unknown() throws {
        let error = try #require(throws: LinkError.self) {
            _ = try NetworkInterface.named("wire9")
        }
        #expect(error.description.contains("wire9"))
        #expect(error.description.contains("127.0.0.1"))
        #expect(throws: LinkError.self) {
            _ = try GroupLink(rank: 0, size: 2, interface: "192.0.2.77")
        }
    }

    @Test("the way to a host has a local address")
    func route() throws {
        #expect(try NetworkInterface.address(toward: "127.0.0.1", port: 80) == "127.0.0.1")
        #expect(throws: LinkError.self) {
            _ = try NetworkInterface.address(toward: "no such host", port: 80)
        }
    }
}
