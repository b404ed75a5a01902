import BlobStore
import FarmCoordinator
import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import TestSupport
import Testing

@Suite(.database) struct CoordinatorAPITests {
    private static let token = "a-token-for-tests"
    private static let model = RendererModel(
        name: "tiny",
        digest: "model-digest",
        precision: "float32",
        defaults: ModelDefaults(width: 64, height: 48, refRes: 64, steps: 4, guidance: 3.5)
    )

    /// A caller of the API without a socket.
    private struct Caller: Sendable {
        let client: any TestClientProtocol

        func send(
            _ method: HTTPTypes.HTTPRequest.Method,
            _ uri: String,
            _ body: Data? = nil,
            headers: HTTPFields = [.authorization: "Bearer \(CoordinatorAPITests.token)"]
        ) async throws -> TestResponse {
            try await client.executeRequest(
                uri: uri,
                method: method,
                headers: headers,
                body: body.map { ByteBuffer(bytes: $0) }
            )
        }

        func call<Answer: Decodable>(
            _ method: HTTPTypes.HTTPRequest.Method,
            _ uri: String,
            _ message: (some Encodable)? = String?.none,
            as type: Answer.Type = Answer.self
        ) async throws -> Answer {
            let body = try message.map { try FarmJSON.encode($0) }
            let response = try await send(method, uri, body)
            return try FarmJSON.decode(type, from: Data(response.body.readableBytesView))
        }

        func register(_ name: String = "w") async throws -> WorkerID {
            let request = RegistrationRequest(
                name: name,
                pool: "default",
                model: CoordinatorAPITests.model
            )
            return try await call(.post, "/v1/workers", request, as: RegistrationAnswer.self).id
        }
    }

    private func withAPI(_ body: @escaping @Sendable (Caller) async throws -> Void) async throws {
        let store = FarmStore(pool: try TestDatabase.pool())
        _ = try await store.migrate()
        let folder = FileManager.default.temporaryDirectory.path + "/api-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let api = CoordinatorAPI(
            store: store,
            blobs: try FolderBlobStore(folder: folder),
            timing: LeaseTiming(longestWait: .milliseconds(1), poll: .milliseconds(1))
        )
        let policy = AccessPolicy(
            token: Self.token,
            hosts: AccessPolicy.hosts(listeningOn: "127.0.0.1")
        )
        try await Application(router: api.router(policy: policy)).test(.router) { client in
            try await body(Caller(client: client))
        }
    }

    private func document(_ text: String) throws -> SpecificationValue {
        try JobSpecification(parsing: text).document
    }

    // MARK: - Access

    @Test("every route but the health checks needs the token")
    func token() async throws {
        try await withAPI { caller in
            for path in ["/v1/jobs", "/v1/models", "/v1/blobs/\(BlobDigest(ofText: ""))"] {
                let bare = try await caller.send(.get, path, headers: [:])
                #expect(bare.status == .unauthorized)
                let headers: HTTPFields = [.authorization: "Bearer wrong"]
                let wrong = try await caller.send(.get, path, headers: headers)
                #expect(wrong.status == .unauthorized)
            }
            let listed = try await caller.send(.get, "/v1/jobs")
            #expect(listed.status == .ok)
            for path in ["/healthz", "/readyz"] {
                let open = try await caller.send(.get, path, headers: [:])
                #expect(open.status == .ok)
            }
        }
    }

    @Test("a web page of another origin is refused")
    func origin() async throws {
        try await withAPI { caller in
            let headers: HTTPFields = [
                .authorization: "Bearer \(Self.token)", .origin: "http://evil.example",
            ]
            let response = try await caller.send(.get, "/v1/jobs", headers: headers)
            #expect(response.status == .forbidden)
        }
    }

    @Test("an unknown route and an unknown id are problems of kind not-found")
    func notFound() async throws {
        try await withAPI { caller in
            for path in ["/v1/nothing", "/v1/jobs/\(JobID.random())", "/v1/jobs/no-such-key"] {
                let response = try await caller.send(.get, path)
                #expect(response.status == .notFound)
                #expect(response.headers[.contentType] == "application/problem+json")
                let problem = try FarmJSON.decode(
                    ProblemDetails.self,
                    from: Data(response.body.readableBytesView)
                )
                #expect(problem.kind == .notFound)
            }
        }
    }

    // MARK: - Blobs

    @Test("a blob is missing until it is put, and its digest is checked")
    func blobs() async throws {
        try await withAPI { caller in
            let data = Data("picture".utf8)
            let digest = BlobDigest(of: data)
            let list = BlobList(digests: [digest])
            #expect(try await caller.call(.post, "/v1/blobs/missing", list) == list)
            let other = BlobDigest(ofText: "other")
            let wrong = try await caller.send(.put, "/v1/blobs/\(other)", data)
            #expect(wrong.status == .unprocessableContent)
            #expect(try await caller.send(.head, "/v1/blobs/\(digest)").status == .notFound)
            #expect(try await caller.send(.put, "/v1/blobs/\(digest)", data).status == .created)
            #expect(try await caller.send(.head, "/v1/blobs/\(digest)").status == .ok)
            let read = try await caller.send(.get, "/v1/blobs/\(digest)")
            #expect(Data(read.body.readableBytesView) == data)
            let missing = try await caller.call(
                .post,
                "/v1/blobs/missing",
                list,
                as: BlobList.self
            )
            #expect(missing.digests.isEmpty)
        }
    }

    // MARK: - Jobs

    @Test("a job needs a model that is known")
    func noModel() async throws {
        try await withAPI { caller in
            let body = try document("parameters: {prompt: a}")
            let problem = try await caller.call(.post, "/v1/jobs", body, as: ProblemDetails.self)
            #expect(problem.kind == .unknownModel)
            _ = try await caller.register()
            let named = try document("model: other\nparameters: {prompt: a}")
            let unknown = try await caller.call(.post, "/v1/jobs", named, as: ProblemDetails.self)
            #expect(unknown.kind == .unknownModel)
            #expect(unknown.detail?.contains("tiny") == true)
        }
    }

    @Test("a wrong specification is answered with every problem and its path")
    func invalid() async throws {
        try await withAPI { caller in
            let body = Data(#"{"parameters": {"prompt": 1, "size": "17x16"}}"#.utf8)
            let response = try await caller.send(.post, "/v1/jobs", body)
            #expect(response.status == .unprocessableContent)
            let problem = try FarmJSON.decode(
                ProblemDetails.self,
                from: Data(response.body.readableBytesView)
            )
            #expect(problem.problems?.map(\.path) == ["parameters.prompt", "parameters.size"])
        }
    }

    @Test("a job whose references are not uploaded is refused")
    func missingReference() async throws {
        try await withAPI { caller in
            _ = try await caller.register()
            let job = try JobSpecification(
                parsing: "parameters: {prompt: a, references: [{image: a.png, task: ip}]}"
            )
            let bare = try await caller.call(
                .post,
                "/v1/jobs",
                job.document,
                as: ProblemDetails.self
            )
            #expect(bare.kind == .missingBlobs)
            let data = Data("a picture".utf8)
            let named = job.withDigests(["a.png": BlobDigest(of: data)]).document
            let absent = try await caller.call(.post, "/v1/jobs", named, as: ProblemDetails.self)
            #expect(absent.kind == .missingBlobs)
            _ = try await caller.send(.put, "/v1/blobs/\(BlobDigest(of: data))", data)
            let view = try await caller.call(.post, "/v1/jobs", named, as: JobView.self)
            #expect(view.state == .pending)
        }
    }

    @Test("a job takes what it leaves out from its model, for good")
    func defaults() async throws {
        try await withAPI { caller in
            _ = try await caller.register()
            let body = try document("name: n\nparameters: {prompt: [a, b], seed: 1-2}")
            let job = try await caller.call(.post, "/v1/jobs", body, as: JobView.self)
            #expect(job.images.waiting == 4)
            #expect(job.model == "tiny")
            let images = try await caller.call(
                .get,
                "/v1/jobs/\(job.id)/images",
                as: Page<ImageView>.self
            )
            #expect(images.items.map(\.index) == [0, 1, 2, 3])
            #expect(
                images.items.map(\.name) == [
                    "n/0-s1.png", "n/1-s2.png", "n/2-s1.png", "n/3-s2.png",
                ]
            )
            #expect(images.items.map(\.settings.width) == [64, 64, 64, 64])
            #expect(images.items.map(\.settings.steps) == [4, 4, 4, 4])
            #expect(images.next == nil)
        }
    }

    @Test("the same key and job re-attach; another job under the key is a conflict")
    func key() async throws {
        try await withAPI { caller in
            _ = try await caller.register()
            let first = try document("parameters: {prompt: a}")
            let made = try await caller.call(.put, "/v1/jobs/night", first, as: JobView.self)
            let again = try await caller.call(.put, "/v1/jobs/night", first, as: JobView.self)
            #expect(made.id == again.id)
            let other = try document("parameters: {prompt: b}")
            let conflict = try await caller.call(
                .put,
                "/v1/jobs/night",
                other,
                as: ProblemDetails.self
            )
            #expect(conflict.kind == .conflict)
            let byKey = try await caller.call(.get, "/v1/jobs/night", as: JobView.self)
            #expect(byKey.id == made.id)
        }
    }

    // MARK: - Attempts

    @Test("a task goes from claim through delivery to a picture that can be fetched")
    func delivery() async throws {
        try await withAPI { caller in
            let worker = try await caller.register()
            let body = try document("parameters: {prompt: a, seed: 5}")
            let job = try await caller.call(.post, "/v1/jobs", body, as: JobView.self)
            let claim = ClaimRequest(waitSeconds: 0)
            let uri = "/v1/workers/\(worker)/claim"
            let answer = try await caller.call(.post, uri, claim, as: ClaimAnswer.self)
            let task = try #require(answer.tasks.first)
            #expect(task.images.map(\.settings.seed) == [5])
            let empty = try await caller.call(.post, uri, claim, as: ClaimAnswer.self)
            #expect(empty.tasks.isEmpty)
            #expect(empty.reason == .noTask)

            let fence = task.fence
            let end = AttemptRequest(fence: fence)
            let path = "/v1/attempts/\(fence.attempt)"
            let early = try await caller.call(
                .post,
                path + "/complete",
                end,
                as: ProblemDetails.self
            )
            #expect(early.kind == .conflict)
            let put = "\(path)/images/0?task=\(fence.task)&epoch=\(fence.epoch)"
            let picture = Data("png".utf8)
            let stale = "\(path)/images/0?task=\(fence.task)&epoch=\(fence.epoch + 1)"
            #expect(try await caller.send(.put, stale, picture).status == .conflict)
            #expect(try await caller.send(.put, put, picture).status == .created)
            let done = try await caller.call(.post, path + "/complete", end, as: AttemptAnswer.self)
            #expect(done.task == .succeeded)

            let view = try await caller.call(.get, "/v1/jobs/\(job.id)", as: JobView.self)
            #expect(view.state == .succeeded)
            #expect(view.images.delivered == 1)
            let image = task.images[0].id
            let content = try await caller.send(.get, "/v1/images/\(image)/content")
            #expect(Data(content.body.readableBytesView) == picture)
            #expect(content.headers[.contentType] == "image/png")
        }
    }

    @Test("a failure that will not pass fails the job with its message")
    func failure() async throws {
        try await withAPI { caller in
            let worker = try await caller.register()
            let body = try document("parameters: {prompt: a}")
            let job = try await caller.call(.post, "/v1/jobs", body, as: JobView.self)
            let answer = try await caller.call(
                .post,
                "/v1/workers/\(worker)/claim",
                ClaimRequest(waitSeconds: 0),
                as: ClaimAnswer.self
            )
            let fence = try #require(answer.tasks.first).fence
            let failure = FailureRequest(
                fence: fence,
                failureClass: .deterministic,
                message: "the reference is no picture"
            )
            let uri = "/v1/attempts/\(fence.attempt)/fail"
            let ended = try await caller.call(.post, uri, failure, as: AttemptAnswer.self)
            #expect(ended.task == .failed)
            let images = try await caller.call(
                .get,
                "/v1/jobs/\(job.id)/images",
                as: Page<ImageView>.self
            )
            #expect(images.items.first?.failure?.message == "the reference is no picture")
            #expect(images.items.first?.state == .failed)
            let view = try await caller.call(.get, "/v1/jobs/\(job.id)", as: JobView.self)
            #expect(view.state == .failed)
        }
    }

    @Test("cancelling a job tells its worker at the next heartbeat")
    func cancel() async throws {
        try await withAPI { caller in
            let worker = try await caller.register()
            let body = try document("parameters: {prompt: a}")
            let job = try await caller.call(.post, "/v1/jobs", body, as: JobView.self)
            let answer = try await caller.call(
                .post,
                "/v1/workers/\(worker)/claim",
                ClaimRequest(waitSeconds: 0),
                as: ClaimAnswer.self
            )
            let fence = try #require(answer.tasks.first).fence
            let progress = AttemptProgress(
                fence: fence,
                image: 0,
                step: 1,
                steps: 4,
                stepSeconds: 1
            )
            let beat = HeartbeatRequest(running: [progress])
            let uri = "/v1/workers/\(worker)/heartbeat"
            let before = try await caller.call(.post, uri, beat, as: HeartbeatAnswer.self)
            #expect(before.cancel.isEmpty)
            let view = try await caller.call(.post, "/v1/jobs/\(job.id)/cancel", as: JobView.self)
            #expect(view.state == .cancelled)
            let after = try await caller.call(.post, uri, beat, as: HeartbeatAnswer.self)
            #expect(after.cancel == [CancelOrder(attempt: fence.attempt, mode: .now)])
        }
    }
}
