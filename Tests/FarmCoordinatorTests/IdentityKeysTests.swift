import FarmModel
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import JWTKit
import Logging
import NIOCore
import Synchronization
import Testing

@testable import FarmCoordinator

/// The keys of a provider at an address and in a file, as they change.
@Suite(.timeLimit(.minutes(1))) struct IdentityKeysTests {
    /// A place that keys are asked of, and a clock.
    private final class Place: Sendable {
        private struct State {
            var answer: Data?
            var questions = 0
            var now = ContinuousClock.now
        }

        private struct Away: Error {}

        private let state = Mutex(State())

        var questions: Int { state.withLock { $0.questions } }
        func show(_ answer: Data?) { state.withLock { $0.answer = answer } }
        func pass(_ duration: Duration) { state.withLock { $0.now += duration } }

        func keys(_ logger: Logger = .silent) -> IdentityKeys {
            IdentityKeys(
                IdentityScene.provider(.address("https://login.example/keys")),
                logger: logger,
                now: { self.state.withLock { $0.now } },
                fetch: { _ in
                    try self.state.withLock { state in
                        state.questions += 1
                        guard let answer = state.answer else { throw Away() }
                        return answer
                    }
                }
            )
        }
    }

    private func has(_ keys: IdentityKeys, _ name: String) async -> Bool {
        (try? await keys.verifier(of: name, .es256)) != nil
    }

    @Test("an unknown key is asked for, at most once a minute, whatever tokens name")
    func unknown() async throws {
        let scene = IdentityScene()
        let place = Place()
        place.show(try scene.keySet())
        let keys = place.keys()
        await keys.load()
        #expect(place.questions == 1)
        #expect(await has(keys, scene.name))
        for number in 0..<10 { #expect(await !has(keys, "key-\(number + 2)")) }
        #expect(place.questions == 1)
        place.pass(.seconds(60))
        for number in 0..<10 { #expect(await !has(keys, "key-\(number + 2)")) }
        #expect(place.questions == 2)
    }

    @Test("a key that the provider has exchanged is there with the first token that names it")
    func exchanged() async throws {
        let scene = IdentityScene()
        let place = Place()
        let keys = place.keys()
        await keys.load()
        #expect(await !has(keys, scene.name))
        place.show(try scene.keySet())
        place.pass(.seconds(60))
        let found = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 { group.addTask { await has(keys, scene.name) } }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(found == 8)
        #expect(place.questions == 2)
    }

    @Test("keys outlast an outage of their provider, and what it answers meanwhile")
    func outage() async throws {
        let scene = IdentityScene()
        let place = Place()
        place.show(try scene.keySet())
        let log = LogRecorder()
        let keys = place.keys(log.logger())
        await keys.load()
        for answer in [nil, Data("<html>".utf8), Data(#"{"keys": 1}"#.utf8)] {
            place.show(answer)
            place.pass(.seconds(3600))
            let before = log.lines.count
            #expect(await has(keys, scene.name))
            try await log.wait { $0.count > before }
            #expect(log.lines.last?.level == .warning)
            #expect(await has(keys, scene.name))
        }
    }

    @Test("a key that the provider shows no more is gone when its time is over")
    func withdrawn() async throws {
        let scene = IdentityScene()
        let place = Place()
        place.show(try scene.keySet())
        let log = LogRecorder()
        let keys = place.keys(log.logger())
        await keys.load()
        let point = try #require(IdentityScene().key.parameters)
        place.show(
            Data(
                """
                {"keys": [{"kty": "EC", "crv": "P-256", "kid": "next", "x": "\(point.x)",
                "y": "\(point.y)"}]}
                """.utf8
            )
        )
        place.pass(.seconds(599))
        #expect(await has(keys, scene.name))
        #expect(place.questions == 1)
        place.pass(.seconds(1))
        let before = log.lines.count
        // Who knows the key does not wait for the answer.
        #expect(await has(keys, scene.name))
        try await log.wait { $0.count > before }
        #expect(await !has(keys, scene.name))
        #expect(await has(keys, "next"))
    }

    @Test("keys of a provider that withdraws all of them, or has others only, count no more")
    func noneLeft() async throws {
        let point = try #require(IdentityScene().key.parameters)
        let other = """
            {"keys": [{"kty": "EC", "crv": "P-384", "kid": "k", "x": "\(point.x)", "y": "\(point.y)"}]}
            """
        for answer in [#"{"keys": []}"#, other] {
            let scene = IdentityScene()
            let place = Place()
            place.show(try scene.keySet())
            let log = LogRecorder()
            let keys = place.keys(log.logger())
            await keys.load()
            #expect(await has(keys, scene.name))
            place.show(Data(answer.utf8))
            place.pass(.seconds(3600))
            let before = log.lines.count
            _ = await has(keys, scene.name)
            try await log.wait { $0.count > before }
            #expect(log.lines.last?.level == .warning)
            #expect(await !has(keys, scene.name))
        }
    }

    @Test("a file is read again when it changes, and left as it was where that cannot be read")
    func file() async throws {
        let path = FileManager.default.temporaryDirectory.path + "/keys-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let first = IdentityScene()
        let keys = IdentityKeys(IdentityScene.provider(.file(path)), logger: .silent)
        #expect(await !has(keys, first.name))
        try first.keySet().write(to: URL(filePath: path), options: .atomic)
        #expect(await has(keys, first.name))
        try Data("{".utf8).write(to: URL(filePath: path), options: .atomic)
        #expect(await has(keys, first.name))
        let token = try await first.token()
        let provider = IdentityScene.provider(.file(path))
        let verifier = IdentityVerifier(
            provider,
            keys: keys,
            logger: .silent,
            clock: { IdentityScene.start }
        )
        _ = try await verifier.caller(bearing: token)
        // Another key of the same name: what the first has signed holds no more.
        try IdentityScene().keySet().write(to: URL(filePath: path), options: .atomic)
        await #expect(throws: IdentityRefusal.signature) {
            _ = try await verifier.caller(bearing: token)
        }
    }

    @Test("keys are fetched from a server, and a refusal of it is none")
    func server() async throws {
        let scene = IdentityScene()
        let set = try scene.keySet()
        let router = Router()
        router.get("keys") { _, _ in ByteBuffer(bytes: set) }
        let application = Application(
            router: router,
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0))
        )
        try await application.test(.live) { client in
            let port = try #require(client.port)
            for (path, isThere) in [("keys", true), ("nothing", false)] {
                let keys = IdentityKeys(
                    IdentityScene.provider(.address("http://127.0.0.1:\(port)/\(path)")),
                    logger: .silent
                )
                #expect(await has(keys, scene.name) == isThere)
            }
        }
    }
}
