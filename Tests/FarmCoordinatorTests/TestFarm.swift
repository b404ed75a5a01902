import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Imaging
import Logging
import Postgres
import TestSupport
import Testing

@testable import FarmCoordinator

/// A coordinator's API on a database of the test's own, and a caller of it.
struct TestFarm: Sendable {
    static let admin = "a-token-for-tests"
    static let model = RendererModel(
        name: "tiny",
        digest: "model-digest",
        precision: "float32",
        defaults: ModelDefaults(width: 64, height: 48, refRes: 64, steps: 4, guidance: 3.5)
    )

    let api: CoordinatorAPI
    let store: FarmStore
    let blobs: FolderBlobStore
    private let client: any TestClientProtocol

    /// Where a live server listens.
    var port: Int? { client.port }

    /// Lends an API to `body`: in memory, or behind a socket where it is `live`; on a database of
    /// its own where there is a `pool`; with a share of the pictures audited; telling a logger.
    static func withAPI(
        live isLive: Bool = false,
        settings: CoordinatorAPISettings? = nil,
        pool: PostgresPool? = nil,
        auditShare: Double = 0,
        logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        _ body: @escaping @Sendable (TestFarm) async throws -> Void
    ) async throws {
        var configuration = FarmStoreConfiguration()
        configuration.auditShare = auditShare
        let store = FarmStore(
            pool: try pool ?? TestDatabase.pool(),
            configuration: configuration,
            logger: logger
        )
        _ = try await store.migrate()
        let folder = FileManager.default.temporaryDirectory.path + "/api-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let blobs = try FolderBlobStore(folder: folder)
        var standard = CoordinatorAPISettings()
        standard.blobReserve = 0
        let api = CoordinatorAPI(
            store: store,
            blobs: blobs,
            admin: admin,
            settings: settings ?? standard
        )
        let policy = AccessPolicy(listeningOn: "127.0.0.1")
        let application = Application(
            router: api.router(policy: policy),
            server: CoordinatorAPI.server(),
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0))
        )
        try await application.test(isLive ? .live : .router) { client in
            try await body(TestFarm(api: api, store: store, blobs: blobs, client: client))
            api.stop()
        }
    }

    // MARK: - Calls

    func send(
        _ method: HTTPTypes.HTTPRequest.Method,
        _ uri: String,
        _ body: Data? = nil,
        headers: HTTPFields = [.authorization: "Bearer \(TestFarm.admin)"]
    ) async throws -> TestResponse {
        try await client.executeRequest(
            uri: uri,
            method: method,
            headers: headers,
            body: body.map { ByteBuffer(bytes: $0) }
        )
    }

    func send(
        _ method: HTTPTypes.HTTPRequest.Method,
        _ uri: String,
        _ body: Data? = nil,
        as token: String
    ) async throws -> TestResponse {
        try await send(method, uri, body, headers: [.authorization: "Bearer \(token)"])
    }

    func call<Answer: Decodable>(
        _ method: HTTPTypes.HTTPRequest.Method,
        _ uri: String,
        _ message: (some Encodable)? = String?.none,
        token: String = TestFarm.admin,
        as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        let body = try message.map { try FarmJSON.encode($0) }
        let response = try await send(method, uri, body, as: token)
        return try FarmJSON.decode(type, from: Data(response.body.readableBytesView))
    }

    func problem(
        _ method: HTTPTypes.HTTPRequest.Method,
        _ uri: String,
        _ message: (some Encodable)? = String?.none,
        token: String = TestFarm.admin
    ) async throws -> ProblemKind? {
        try await call(method, uri, message, token: token, as: ProblemDetails.self).kind
    }

    /// A token of an owner with a role.
    func token(_ owner: String, _ role: TokenRole) async throws -> String {
        try await store.createToken(owner: owner, role: role, by: "test").secret
    }

    /// A token by which workers join.
    func joinToken(_ kind: JoinKind, pool: String? = nil) async throws -> TokenView {
        try await call(
            .post,
            "/v1/tokens",
            TokenRequest(owner: "fleet", role: .worker, join: kind, pool: pool)
        )
    }

    // MARK: - Workers and jobs

    func register(
        _ name: String = "w",
        token: String = TestFarm.admin,
        _ change: (inout RegistrationRequest) -> Void = { _ in }
    ) async throws -> RegistrationAnswer {
        try await call(.post, "/v1/workers", registration(name, change), token: token)
    }

    func registration(
        _ name: String = "w",
        _ change: (inout RegistrationRequest) -> Void = { _ in }
    ) -> RegistrationRequest {
        var request = RegistrationRequest(name: name, instance: name, model: Self.model)
        request.speed = 1e12
        change(&request)
        return request
    }

    /// A worker that has joined, with the key that it shows.
    func joined(_ name: String = "w") async throws -> (worker: RegistrationAnswer, key: String) {
        let token = try #require(try await joinToken(.once).token)
        let key = WorkerKey.random()
        let worker = try await register(name, token: token) {
            $0.credential = BlobDigest(ofText: key)
        }
        return (worker, key)
    }

    func submit(_ text: String, token: String = TestFarm.admin) async throws -> JobView {
        try await call(.post, "/v1/jobs", document(text), token: token)
    }

    func document(_ text: String) throws -> SpecificationValue {
        try SpecificationValue(yaml: text)
    }

    func claim(
        _ worker: WorkerID,
        wait: Double = 0,
        for lead: GroupEpoch? = nil,
        token: String = TestFarm.admin
    ) async throws -> ClaimAnswer {
        try await call(
            .post,
            "/v1/workers/\(worker)/claim",
            ClaimRequest(waitSeconds: wait, lead: lead),
            token: token
        )
    }

    /// Claims a task, of which there has to be one.
    func task(_ worker: WorkerID, for lead: GroupEpoch? = nil) async throws -> TaskAssignment {
        try #require(await claim(worker, for: lead).tasks.first)
    }

    func deliver(
        _ task: TaskAssignment,
        _ index: Int,
        _ picture: Data,
        isFinal: Bool = false
    ) async throws -> TestResponse {
        let request = DeliveryRequest(fence: task.fence, imageIndex: index, isFinal: isFinal)
        return try await send(.put, request.path, picture)
    }

    /// The bytes of a small picture.
    static func picture(_ level: UInt8 = 128) throws -> Data {
        Data(try PNGEncoder.encode(PixelImage(width: 16, height: 16, level: level)))
    }
}
