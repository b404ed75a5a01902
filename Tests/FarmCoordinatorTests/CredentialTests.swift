import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@testable import FarmCoordinator

@Suite(.database, .timeLimit(.minutes(10))) struct CredentialTests {
    @Test("a worker joins by a one-time token, works with its key, renews it, and is shut out")
    func way() async throws {
        try await TestFarm.withAPI { farm in
            let token = try await farm.joinToken(.once)
            #expect(token.expiresAt != nil)
            let secret = try #require(token.token)
            #expect(secret.hasPrefix(WorkerKey.joinPrefix))
            let keys = [WorkerKey.random(), WorkerKey.random()]
            let worker = try await farm.register("w", token: secret) {
                $0.credential = BlobDigest(ofText: keys[0])
            }
            #expect(worker.credential == CredentialTerms(lifetimeSeconds: 86_400))

            _ = try await farm.submit("parameters: {prompt: a}")
            let task = try #require(
                try await farm.claim(worker.id, token: keys[0]).tasks.first
            )
            let next = CredentialRequest(credential: BlobDigest(ofText: keys[1]))
            let path = "/v1/workers/\(worker.id)/credential"
            for _ in 0..<2 {
                let terms: CredentialTerms = try await farm.call(.post, path, next, token: keys[0])
                #expect(terms.lifetimeSeconds == 86_400)
            }
            let delivery = DeliveryRequest(fence: task.fence, imageIndex: 0, isFinal: true)
            let picture = try TestFarm.picture()
            #expect(
                try await farm.send(.put, delivery.path, picture, as: keys[1]).status == .created
            )
            // With the first use of the next one the key before is over, here at once.
            #expect(try await farm.problem(.post, path, next, token: keys[0]) == .unauthorized)
            #expect(try await farm.problem(.post, path, next, token: keys[1]) == .wrongState)
            let again = try await farm.register("w", token: keys[1])
            #expect(again.id == worker.id)
            #expect(again.credential == nil)

            let revoked = try await farm.send(.delete, "/v1/tokens/\(token.id)?workers=true")
            #expect(revoked.status == .noContent)
            #expect(try await farm.problem(.post, path, next, token: keys[1]) == .unauthorized)
            let trail: Page<AuditView> = try await farm.call(.get, "/v1/audit")
            for action in [
                "worker.joined", "worker.credential_renewed", "worker.removed", "token.revoked",
            ] { #expect(trail.items.contains { $0.action == action }, "\(action)") }
        }
    }

    @Test("a token by which workers join does nothing else, not even sign a page in")
    func joinsOnly() async throws {
        try await TestFarm.withAPI { farm in
            let secret = try #require(try await farm.joinToken(.pool, pool: "night").token)
            let worker = try await farm.register()
            for path in ["/v1/jobs", "/v1/workers", "/v1/session", "/openapi.yaml"] {
                #expect(try await farm.problem(.get, path, token: secret) == .notAllowed, "\(path)")
            }
            let claim = "/v1/workers/\(worker.id)/claim"
            #expect(
                try await farm.problem(.post, claim, ClaimRequest(waitSeconds: 0), token: secret)
                    == .notAllowed
            )
            for token in [secret, try await farm.joined("x").key] {
                let sign = SessionRequest(token: token)
                #expect(try await farm.problem(.post, "/v1/session", sign) == .unauthorized)
            }
            // What a worker needs before it can join: the files of a model, and no other blob.
            let file = Data("weights".utf8)
            let other = Data("a face".utf8)
            for data in [file, other] {
                let sent = try await farm.send(.put, "/v1/blobs/\(BlobDigest(of: data))", data)
                #expect(sent.status == .created)
            }
            let model = ModelRequest(
                digest: "other-digest",
                defaults: TestFarm.model.defaults,
                files: [
                    ModelFileView(
                        path: "a",
                        digest: BlobDigest(of: file),
                        size: Int64(file.count)
                    )
                ]
            )
            _ = try await farm.call(.put, "/v1/models/m", model, as: ModelView.self)
            let seen: ModelView = try await farm.call(.get, "/v1/models/m", token: secret)
            #expect(seen.files?.count == 1)
            let read = try await farm.send(.get, "/v1/blobs/\(BlobDigest(of: file))", as: secret)
            #expect(read.status == .ok)
            let hidden = "/v1/blobs/\(BlobDigest(of: other))"
            #expect(try await farm.problem(.get, hidden, token: secret) == .notFound)
        }
    }

    @Test("what does not let a worker join is said")
    func refusals() async throws {
        try await TestFarm.withAPI { farm in
            let pool = try #require(try await farm.joinToken(.pool, pool: "night").token)
            let once = try #require(try await farm.joinToken(.once).token)
            func join(
                _ token: String,
                _ change: (inout RegistrationRequest) -> Void = { _ in }
            ) async throws -> ProblemDetails {
                let request = farm.registration { request in
                    request.credential = BlobDigest(ofText: WorkerKey.random())
                    change(&request)
                }
                return try await farm.call(.post, "/v1/workers", request, token: token)
            }
            let elsewhere = try await join(pool)
            #expect(elsewhere.kind == .notAllowed)
            #expect(elsewhere.detail?.contains("--pool night") == true)
            let keyless = try await join(once) { $0.credential = nil }
            #expect(keyless.kind == .malformed)
            #expect(keyless.detail?.contains("credential") == true)
            _ = try await farm.register("first", token: once) {
                $0.credential = BlobDigest(ofText: WorkerKey.random())
            }
            let spent = try await join(once)
            #expect(spent.kind == .notAllowed)
            #expect(spent.detail?.contains("tokens create") == true)
            for request in [
                TokenRequest(owner: "o", role: .operator, join: .once),
                TokenRequest(owner: "o", role: .worker, pool: "night"),
                TokenRequest(owner: "o", role: .worker, join: .pool, pool: ""),
            ] {
                #expect(try await farm.problem(.post, "/v1/tokens", request) == .malformed)
            }
        }
    }

    @Test("a worker's key acts as that worker alone, on every route that names one's things")
    func others() async throws {
        try await TestFarm.withAPI { farm in
            let (worker, key) = try await farm.joined("one")
            let (other, _) = try await farm.joined("two")
            _ = try await farm.submit("parameters: {prompt: [a, b], seed: 1-2}")
            let task = try await farm.task(other.id)
            let own = try #require(try await farm.claim(worker.id, token: key).tasks.first)
            let artifact = ArtifactKey(.prompt, determinants: "a")
            let kept = try await farm.send(
                .put,
                artifact.path(for: task.fence),
                Data("condition".utf8)
            )
            #expect(kept.status == .created)
            let failure = FailureRequest(
                fence: task.fence,
                failureClass: .deterministic,
                message: "not yours"
            )
            let end = AttemptRequest(fence: task.fence)
            let delivery = DeliveryRequest(fence: task.fence, imageIndex: 0, isFinal: true)
            let checkpoint = CheckpointRequest(
                fence: task.fence,
                imageIndex: 0,
                step: 1,
                numericClass: ""
            )
            let draft = DraftRequest(fence: task.fence, imageIndex: 0, step: 1, type: .png)
            let attempt = "/v1/attempts/\(task.fence.attempt)"
            let requests: [String: (String, Data)] = [
                "POST /v1/workers/{worker}/heartbeat": (
                    "/v1/workers/\(other.id)/heartbeat",
                    try FarmJSON.encode(
                        HeartbeatRequest(epoch: other.epoch, state: .idle, running: [])
                    )
                ),
                "POST /v1/workers/{worker}/credential": (
                    "/v1/workers/\(other.id)/credential",
                    try FarmJSON.encode(CredentialRequest(credential: BlobDigest(ofText: "k")))
                ),
                "POST /v1/workers/{worker}/claim": (
                    "/v1/workers/\(other.id)/claim",
                    try FarmJSON.encode(ClaimRequest(waitSeconds: 0))
                ),
                "POST /v1/workers/{worker}/leave": ("/v1/workers/\(other.id)/leave", Data()),
                "PUT /v1/attempts/{attempt}/images/{index}": (
                    delivery.path, try TestFarm.picture()
                ),
                "PUT /v1/attempts/{attempt}/checkpoint": (checkpoint.path, Data("x".utf8)),
                "PUT /v1/attempts/{attempt}/draft": (draft.path, try TestFarm.picture()),
                "POST /v1/attempts/{attempt}/complete": (
                    attempt + "/complete", try FarmJSON.encode(end)
                ),
                "POST /v1/attempts/{attempt}/fail": (
                    attempt + "/fail", try FarmJSON.encode(failure)
                ),
                "POST /v1/attempts/{attempt}/release": (
                    attempt + "/release", try FarmJSON.encode(end)
                ),
                "GET /v1/artifacts/{key}": (artifact.path(for: task.fence), Data()),
                "PUT /v1/artifacts/{key}": (artifact.path(for: task.fence), Data("x".utf8)),
            ]
            let routes = CoordinatorAPI.declarations(of: farm.api).filter {
                $0.access.isForWorkers && $0.path.contains("{")
            }
            #expect(Set(routes.map { "\($0.method) \($0.path)" }) == Set(requests.keys))
            for (route, (path, body)) in requests {
                let method = try #require(
                    HTTPRequest.Method(String(route.split(separator: " ")[0]))
                )
                let answer = try await farm.send(method, path, body, as: key)
                #expect(answer.status == .notFound, "\(route)")
            }
            // Nothing of it did anything, and what is the worker's own goes on.
            #expect(
                try await farm.deliver(task, task.images[0].index, TestFarm.picture()).status
                    == .created
            )
            let mine = DeliveryRequest(fence: own.fence, imageIndex: own.images[0].index)
            #expect(
                try await farm.send(.put, mine.path, TestFarm.picture(), as: key).status == .created
            )
            // Another coordinator, which gave out neither, refuses and accepts the same.
            let holders = AttemptHolders(store: farm.store)
            let caller = Caller(owner: "fleet", role: .worker, binding: .worker(worker.id))
            try await holders.check(own.fence, by: caller)
            await #expect(throws: CoordinatorProblem.self) {
                try await holders.check(task.fence, by: caller)
            }
        }
    }

    @Test("a worker that is removed is gone for who looks, and its key for the farm")
    func removal() async throws {
        try await TestFarm.withAPI { farm in
            let (worker, key) = try await farm.joined()
            let watcher = try await farm.token("ops", .operator)
            let listed: Page<TokenView> = try await farm.call(.get, "/v1/tokens")
            #expect(listed.items.first { $0.join == .once }?.workers == 1)
            let path = "/v1/workers/\(worker.name)"
            #expect(try await farm.send(.delete, path, as: watcher).status == .noContent)
            let beat = HeartbeatRequest(epoch: worker.epoch, state: .idle, running: [])
            let answer = try await farm.problem(
                .post,
                "/v1/workers/\(worker.id)/heartbeat",
                beat,
                token: key
            )
            #expect(answer == .unauthorized)
            let workers: Page<WorkerView> = try await farm.call(.get, "/v1/workers")
            #expect(workers.items.isEmpty)
            #expect(try await farm.problem(.delete, "/v1/workers/nobody") == .notFound)
        }
    }
}
