import FarmCoordinator
import FarmModel
import FoundationEssentials
import Logging
import Testing

@Suite struct SettingsTests {
    @Test(
        "a listen address is a host and a port",
        arguments: [
            ("127.0.0.1:8470", "127.0.0.1", 8470, true), ("[::1]:1", "::1", 1, true),
            ("localhost:0", "localhost", 0, true), ("0.0.0.0:80", "0.0.0.0", 80, false),
        ]
    )
    func listen(text: String, host: String, port: Int, isLoopback: Bool) throws {
        let address = try #require(ListenAddress(text))
        #expect(address.host == host)
        #expect(address.port == port)
        #expect(address.isLoopback == isLoopback)
    }

    @Test("what is no address is refused", arguments: ["", "8470", ":1", "a:b", "a:70000"])
    func noAddress(text: String) {
        #expect(ListenAddress(text) == nil)
    }

    @Test("an address that others can reach is refused without leave")
    func insecure() async throws {
        let configuration = CoordinatorConfiguration(
            dataDirectory: "/nonexistent",
            listen: try #require(ListenAddress("0.0.0.0:1")),
            databaseURL: nil,
            timing: LeaseTiming(),
            allowsInsecureListen: false
        )
        await #expect(throws: CoordinatorError.self) {
            try await Coordinator(configuration, logger: Logger(label: "test")).serve()
        }
    }

    @Test(
        "the farm counts as away before the lease of a worker that lives can lapse",
        arguments: [(60.0, 15.0, 20.0), (15, 3, 5), (6, 1, 2), (60, 29, 20)]
    )
    func expiryGap(lease: Double, heartbeat: Double, gap: Double) {
        let timing = LeaseTiming(lease: .seconds(lease), heartbeat: .seconds(heartbeat))
        #expect(timing.expiryGap == .seconds(gap))
        #expect(timing.expiryGap >= timing.expiryInterval * 2)
    }

    @Test("the token is made once, for its user only")
    func token() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/token-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: true
        )
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let token = try TokenFile.token(in: folder)
        #expect(token.count == 40)
        #expect(try TokenFile.token(in: folder) == token)
        let path = FarmSettings.tokenFile(in: folder)
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["token"])
    }

    @Test(
        "a duration has a unit or is seconds",
        arguments: [("8s", 8.0), ("2m", 120), ("1h", 3600), ("7", 7), ("0.5", 0.5)]
    )
    func duration(text: String, seconds: Double) {
        #expect(FarmSettings.duration(text) == .seconds(seconds))
    }

    @Test("what is no duration is refused", arguments: ["", "s", "-1s", "nan", "1d", "1e99"])
    func noDuration(text: String) {
        #expect(FarmSettings.duration(text) == nil)
    }
}
