import FarmCoordinator
import FarmModel
import FoundationEssentials
import Logging
import NIOCore
import NIOPosix
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
        let token = try SecretFile.token(in: folder)
        #expect(token.count == 40)
        #expect(try SecretFile.token(in: folder) == token)
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

    @Test("a flag stands over the environment, and that over the file")
    func layers() {
        let source = SettingsSource(
            flags: ["lease": "1s"],
            environment: [
                "DREAMFARM_LEASE": "2s", "DREAMFARM_HEARTBEAT": "3s", "DREAMFARM_DATABASE_URL": "",
            ],
            file: ["lease": "4s", "heartbeat": "5s", "database-url": "x"]
        )
        #expect(source.value("lease") == "1s")
        #expect(source.value("heartbeat") == "3s")
        #expect(source.value("database-url") == "x")
        #expect(source.value("listen") == nil)
        #expect(source.origin("lease") == "flag")
        #expect(source.origin("heartbeat") == "DREAMFARM_HEARTBEAT")
        #expect(source.origin("database-url") == "file")
        #expect(source.origin("listen") == "default")
    }

    @Test("a file of settings has values by name")
    func file() throws {
        let text = "lease: 30s\nblob-reserve: 5\ninsecure-listen: true\n"
        let known = ["lease", "blob-reserve", "insecure-listen"]
        let values = try SettingsFile.parse(Data(text.utf8), path: "f.yaml", known: known)
        #expect(values == ["lease": "30s", "blob-reserve": "5", "insecure-listen": "true"])
    }

    @Test(
        "what is no file of settings is refused with the key",
        arguments: [("leese: 3s", "leese"), ("lease: [1]", "lease"), ("- 1", "a list")]
    )
    func badFile(text: String, mention: String) throws {
        let error = try #require(throws: SettingsError.self) {
            try SettingsFile.parse(Data(text.utf8), path: "f.yaml", known: ["lease"])
        }
        #expect(error.description.hasPrefix("f.yaml: "))
        #expect(error.description.contains(mention))
    }

    @Test(
        "a database's address is shown without its password",
        arguments: [
            ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
            ("postgresql://host/db", "postgresql://host/db"),
            ("host=h password=secret dbname=d", "host=h password=*** dbname=d"),
            ("password='a b' host=h", "password=*** host=h"),
            ("postgresql://host/db?password=secret&x=1", "postgresql://host/db?password=***&x=1"),
        ]
    )
    func hidden(text: String, shown: String) {
        #expect(DatabaseAddress.hidden(text) == shown)
    }

    @Test("an address that is taken is noticed before a database is started")
    func taken() async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/taken-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(channel.localAddress?.port)
        let configuration = CoordinatorConfiguration(
            dataDirectory: folder,
            listen: try #require(ListenAddress("127.0.0.1:\(port)")),
            databaseURL: nil,
            timing: LeaseTiming(),
            allowsInsecureListen: false
        )
        let error = await #expect(throws: CoordinatorError.self) {
            try await Coordinator(configuration, logger: Logger(label: "test")).serve()
        }
        #expect(error?.description.contains("--listen") == true)
        #expect(!FileManager.default.fileExists(atPath: folder))
        try await channel.close()
    }
}
