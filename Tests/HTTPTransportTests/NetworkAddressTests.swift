import Hummingbird
import HummingbirdTesting
import Testing

@testable import HTTPTransport

@Suite struct NetworkAddressTests {
    @Test(
        "addresses of the public internet are known",
        arguments: [
            "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
            "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255",
            "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
            "223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ]
    )
    func known(text: String) throws {
        #expect(try #require(NetworkAddress(text)).isPublic)
    }

    @Test(
        "addresses of a machine, a site or a link are not public",
        arguments: [
            "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255",
            "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.0.1", "198.18.0.1",
            "198.19.255.255", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1",
            "fc00::1", "fd12:3456::1", "ff02::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
            "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "::7f00:1", "fec0::1",
        ]
    )
    func special(text: String) throws {
        #expect(try !#require(NetworkAddress(text)).isPublic)
    }

    @Test("what is no address is none, and one is written as it is read")
    func text() throws {
        #expect(NetworkAddress("example.org") == nil)
        #expect(NetworkAddress("1.2.3") == nil)
        #expect(try #require(NetworkAddress("fe80:0:0::1")).description == "fe80::1")
        #expect(try #require(NetworkAddress("10.0.0.1")).description == "10.0.0.1")
    }

    @Test("a request that is confined to the public internet does not reach this machine")
    func confined() async throws {
        let router = Router()
        router.get("secret") { _, _ in "secret" }
        try await Application(
            router: router,
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0))
        ).test(.live) { server in
            let port = try #require(server.port)
            let client = HTTPClient()
            var request = HTTPTransport.HTTPRequest(
                method: "GET",
                url: "http://127.0.0.1:\(port)/secret"
            )
            // The connection is kept for the next.
            #expect(try await client.send(request).status == 200)
            request.reach = .publicAddresses
            for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1"] {
                request.url = "http://\(host):\(port)/secret"
                let error = await #expect(throws: HTTPTransportError.self) {
                    _ = try await client.send(request)
                }
                guard case .notPublic(request.url, let address) = error else {
                    Issue.record("\(String(describing: error))")
                    continue
                }
                #expect(["127.0.0.1", "::1"].contains(address))
            }
        }
    }
}
