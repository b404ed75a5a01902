import FarmModel
import FarmWorker
import FoundationEssentials
import Testing

@Suite struct LayeredSettingsTests {
    private func withFile(
        _ text: String,
        environment: [String: String] = [:],
        _ body: (LayeredSettings, String) throws -> Void
    ) async throws {
        try await Bench.withFolder { folder in
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
            let path = folder + "/dreamfarm.yaml"
            _ = FileManager.default.createFile(atPath: path, contents: Data(text.utf8))
            let layers = try LayeredSettings(
                file: path,
                environment: environment,
                known: [
                    "pool", "threads", "tag", "memory", "drain", "drain-grace", "no-turbo",
                    "metrics-listen",
                ]
            )
            try body(layers, path)
        }
    }

    @Test("a flag lies over the environment, the environment over the file")
    func layers() async throws {
        let text = "pool: file\nthreads: 3\nmemory: 2GiB\ntag: [a, b]\ndrain-grace: 2m"
        let environment = ["DREAMFARM_POOL": "environment", "DREAMFARM_DRAIN": "release"]
        try await withFile(text, environment: environment) { layers, _ in
            #expect(try layers.text("pool", "flag") == "flag")
            #expect(try layers.text("pool", nil) == "environment")
            #expect(try layers.integer("threads", nil, in: 1...8) == 3)
            #expect(try layers.bytes("memory", nil) == 2 << 30)
            #expect(try layers.duration("drain-grace", nil) == .seconds(120))
            #expect(try layers.list("tag", []) == ["a", "b"])
            #expect(try layers.list("tag", ["c"]) == ["c"])
            let drain: DrainMode? = try layers.choice("drain", nil)
            #expect(drain == .release)
            #expect(try layers.flag("no-turbo", false) == false)
        }
    }

    @Test("a wrong value is named by where it stands")
    func wrong() async throws {
        let environment = ["DREAMFARM_DRAIN": "maybe", "DREAMFARM_TAG": "x, y"]
        try await withFile("threads: many", environment: environment) {
            (layers: LayeredSettings, path: String) throws -> Void in
            #expect(throws: SettingsError.self) { try layers.integer("threads", nil, in: 1...8) }
            do {
                _ = try layers.integer("threads", nil, in: 1...8)
            } catch {
                let words = "a whole number from 1 to 8, not 'many'"
                #expect("\(error)" == "\(path): threads must be \(words)")
            }
            do {
                let _: DrainMode? = try layers.choice("drain", nil)
                Issue.record("a drain that is none was taken")
            } catch {
                let words = "must be finish or release, not 'maybe'"
                #expect("\(error)" == "DREAMFARM_DRAIN \(words)")
            }
            #expect(throws: SettingsError.self) { try layers.bytes("memory", "much") }
            #expect(try layers.list("tag", []) == ["x", "y"])
        }
    }

    @Test("an address that others reach takes leave")
    func address() async throws {
        try await withFile("metrics-listen: 0.0.0.0:9470") { layers, path in
            #expect(try layers.address("metrics-listen", nil, isOpen: true)?.port == 9470)
            let own = try layers.address("metrics-listen", "127.0.0.1:1", isOpen: false)
            #expect(own?.host == "127.0.0.1")
            for flag in [nil, "worker", "worker:1"] {
                #expect(throws: SettingsError.self) {
                    try layers.address("metrics-listen", flag, isOpen: false)
                }
            }
            do {
                _ = try layers.address("metrics-listen", nil, isOpen: false)
            } catch {
                #expect("\(error)".hasPrefix("\(path): metrics-listen must be loopback"))
                #expect("\(error)".contains("--insecure-listen"))
            }
        }
    }

    @Test("a file with an unknown key, of another kind, or missing is refused by its name")
    func badFile() async throws {
        await #expect(throws: SettingsError.self) {
            try await withFile("pol: day") { _, _ in }
        }
        await #expect(throws: SettingsError.self) {
            try await withFile("[1, 2]") { _, _ in }
        }
        #expect(throws: SettingsError.unreadable(path: "/nowhere.yaml")) {
            try LayeredSettings(file: "/nowhere.yaml", environment: [:], known: [])
        }
    }
}
