import FarmClient
import FarmModel
import FarmWorker
import FoundationEssentials
import Synchronization
import TestSupport
import Testing

@Suite(.database, .timeLimit(.minutes(10))) struct WorkerCredentialTests {
    private static let token = WorkerKey.joinPrefix + "token"
    private static let hour = CredentialTerms(lifetimeSeconds: 3600)

    /// A clock that stands still until it is moved.
    private final class Hand: Sendable {
        private let date = Mutex(Date(timeIntervalSince1970: 1_800_000_000))
        var now: Date { date.withLock { $0 } }
        func move(by seconds: Double) { date.withLock { $0.addTimeInterval(seconds) } }
    }

    /// A worker's data folder, and the process that has it.
    private struct Place {
        let folder: String
        let instance = WorkerInstance.random()
        let bearer = BearerToken("")
        let hand = Hand()

        /// The credential as a process that starts now reads it.
        func open(token: String? = WorkerCredentialTests.token) throws -> WorkerCredential {
            try WorkerCredential(
                of: instance,
                in: folder,
                token: token,
                bearer: bearer,
                clock: { [hand] in hand.now }
            )
        }
    }

    private func withPlace(_ body: (Place) async throws -> Void) async throws {
        try await Bench.withFolder { try await body(Place(folder: $0)) }
    }

    private func key(_ right: WorkerCredential.Right) throws -> BlobDigest {
        guard case .join(let key) = right else {
            Issue.record("it does not join")
            throw CancellationError()
        }
        return key
    }

    @Test("a worker joins by its token, then shows a key of the hash that it told")
    func joining() async throws {
        try await withPlace { place in
            let credential = try place.open()
            let told = try key(credential.present())
            #expect(place.bearer.text == Self.token)
            #expect(!credential.isDue)
            try credential.joined(Self.hour)
            #expect(BlobDigest(ofText: place.bearer.text) == told)
            #expect(place.bearer.text.hasPrefix(WorkerKey.prefix))
            let shown = place.bearer.text
            // Started again, with the token or without.
            for token in [Self.token, nil] {
                place.bearer.show("")
                #expect(try place.open(token: token).present() == .own)
                #expect(place.bearer.text == shown)
            }
        }
    }

    @Test("the file is for its user alone, and whole at every moment")
    func file() async throws {
        try await withPlace { place in
            let credential = try place.open()
            _ = try credential.present()
            let path = "\(place.folder)/credentials/\(place.instance.id)"
            for step in 0..<3 {
                let attributes = try FileManager.default.attributesOfItem(atPath: path)
                #expect(attributes[.posixPermissions] as? Int == 0o600)
                #expect(WorkerCredential.isKept(of: place.instance, in: place.folder))
                if step == 0 { try credential.joined(Self.hour) } else { _ = try credential.next() }
            }
            let files = try FileManager.default.contentsOfDirectory(
                atPath: "\(place.folder)/credentials"
            )
            #expect(files == [place.instance.id])
            #expect(
                FileManager.default.createFile(atPath: path, contents: Data("{\"key\": 1".utf8))
            )
            #expect(throws: WorkerCredentialError.self) { _ = try place.open() }
        }
    }

    @Test("a join of which the answer was lost is told again with the same key")
    func lostJoin() async throws {
        try await withPlace { place in
            let first = try key(place.open().present())
            let again = try place.open()
            #expect(try key(again.present()) == first)
            #expect(try key(again.present()) == first)
            try again.joined(Self.hour)
            #expect(BlobDigest(ofText: place.bearer.text) == first)
        }
    }

    @Test("a key is renewed when a third of its time is over, and shown once that was heard")
    func renewal() async throws {
        try await withPlace { place in
            let credential = try place.open()
            _ = try credential.present()
            try credential.joined(Self.hour)
            let first = place.bearer.text
            place.hand.move(by: 1199)
            #expect(!credential.isDue)
            place.hand.move(by: 2)
            #expect(credential.isDue)
            let next = try credential.next()
            #expect(try credential.next() == next)
            #expect(place.bearer.text == first)
            try credential.renewed(Self.hour)
            #expect(BlobDigest(ofText: place.bearer.text) == next)
            #expect(!credential.isDue)
        }
    }

    @Test("keys that counted before are tried last, the latest first, and go on from there")
    func former() async throws {
        try await withPlace { place in
            let credential = try place.open()
            _ = try credential.present()
            try credential.joined(Self.hour)
            var keys = [place.bearer.text]
            for _ in 0..<15 {
                _ = try credential.next()
                try credential.renewed(Self.hour)
                keys.append(place.bearer.text)
            }
            // A farm that was restored knows the key of three renewals ago.
            let restored = try place.open(token: nil)
            var shown: [String] = []
            for _ in 0..<4 {
                #expect(try restored.present() == .own)
                shown.append(place.bearer.text)
                if shown.count < 4 { try restored.refused(.own) }
            }
            #expect(shown == keys.suffix(4).reversed())
            _ = try restored.next()
            try restored.renewed(Self.hour)
            let latest = place.bearer.text
            #expect(!keys.contains(latest))
            #expect(try place.open(token: nil).present() == .own)
            #expect(place.bearer.text == latest)

            // None counts: twelve are tried, then it says so; what is on disk stays.
            let alone = try place.open(token: nil)
            for _ in 0..<13 {
                #expect(try alone.present() == .own)
                try alone.refused(.own)
            }
            #expect(throws: WorkerCredentialError.self) { _ = try alone.present() }
            #expect(try place.open(token: nil).present() == .own)
            #expect(place.bearer.text == latest)
        }
    }

    @Test(
        "whichever of its two keys counts, a worker that died while it renewed finds it",
        arguments: [true, false]
    )
    func crash(wasHeard: Bool) async throws {
        try await withPlace { place in
            let credential = try place.open()
            _ = try credential.present()
            try credential.joined(Self.hour)
            let first = place.bearer.text
            let next = try credential.next()
            let successor = try place.open(token: nil)
            #expect(try successor.present() == .own)
            #expect(place.bearer.text == first)
            if wasHeard {
                try successor.refused(.own)
                #expect(try successor.present() == .own)
                #expect(BlobDigest(ofText: place.bearer.text) == next)
                place.hand.move(by: 1201)
                #expect(successor.isDue)
                #expect(try successor.next() != next)
            } else {
                // The key before counts still, and the next one is told again.
                place.hand.move(by: 1201)
                #expect(successor.isDue)
                #expect(try successor.next() == next)
            }
        }
    }

    @Test("a key that is over has the worker join anew, or say what it needs")
    func refused() async throws {
        try await withPlace { place in
            let credential = try place.open()
            let first = try key(credential.present())
            try credential.joined(Self.hour)
            #expect(try credential.present() == .own)
            try credential.refused(.own)
            let second = try key(credential.present())
            #expect(second != first)
            #expect(place.bearer.text == Self.token)
            let over = try #require(throws: WorkerCredentialError.self) {
                try credential.refused(.join(second))
            }
            #expect("\(over)".contains("token to join by"))
            // A coordinator of another farm has refused it: the key is still there for its own.
            #expect(try place.open().present() == .own)
            #expect(BlobDigest(ofText: place.bearer.text) == first)

            let alone = try place.open(token: nil)
            #expect(try alone.present() == .own)
            try alone.refused(.own)
            let error = try #require(throws: WorkerCredentialError.self) {
                _ = try alone.present()
            }
            #expect("\(error)".contains("tokens create"))
        }
    }

    @Test("a worker joins, renews at a heartbeat, and joins anew where its key is refused")
    func presence() async throws {
        let farm = FakeCoordinator()
        farm.grant(CredentialTerms(lifetimeSeconds: 0))
        let bearer = BearerToken("")
        try await Bench.run(
            farm: farm,
            configure: { configuration in
                configuration.credential = try? WorkerCredential(
                    of: configuration.instance,
                    in: configuration.dataFolder,
                    token: Self.token,
                    bearer: bearer
                )
            }
        ) { bench in
            let joined = try #require(farm.registrations.first)
            #expect(joined.credential != nil)
            farm.refuse("heartbeat", [.refused(ProblemDetails(.unauthorized))])
            // Neither the key counts nor the one before it.
            let refusals = (0..<2).map { _ in ProblemDetails(.unauthorized) }
            farm.refuse("register", refusals.map { .refused($0) })
            // It sleeps once it has renewed its key.
            try await bench.clock.pass(.seconds(FakeCoordinator.heartbeatSeconds))
            let told = try #require(farm.renewals.first).credential
            #expect(told != joined.credential)
            try await farm.journal.wait(for: "heartbeat", count: 2)
            let again = try #require(farm.registrations.last)
            #expect(again.credential != nil)
            #expect(again.credential != joined.credential)
        }
    }

    @Test("a worker of a farm joins, renders, and renews its key under way")
    func farm() async throws {
        try await Farm.run { farm in
            let made = try await farm.client.createToken(
                TokenRequest(owner: "fleet", role: .worker, join: .once)
            )
            func actions() async throws -> [String] {
                try Task.checkCancellation()
                return try await farm.client.auditTrail().all().map(\.action)
            }
            try await farm.withWorker("w", FakeRenderer(), joining: made.token) {
                while try await actions().count(where: { $0 == "worker.credential_renewed" }) < 3 {
                    let job = try await farm.submit("parameters: {prompt: [a, b, c]}")
                    #expect(try await farm.end(of: job).state == .succeeded)
                }
            }
            #expect(try await actions().count { $0 == "worker.joined" } == 1)
            let listed = try await farm.client.tokens().all()
            #expect(listed.first { $0.id == made.id }?.spentAt != nil)
            #expect(listed.first { $0.id == made.id }?.workers == 1)
        }
    }
}
