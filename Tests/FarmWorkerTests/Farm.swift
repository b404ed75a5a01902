import BlobStore
import FarmClient
import FarmCoordinator
import FarmModel
import FarmStore
import FarmWorker
import FoundationEssentials
import HTTPTransport
import Hummingbird
import HummingbirdTesting
import Logging
import ServiceLifecycle
import Synchronization
import Telemetry
import TestSupport

/// A coordinator in this process, with a database and a socket of its own.
struct Farm: Sendable {
    let client: CoordinatorClient
    private let folder: String
    private let logger: Logger

    private static let token = "a-token-for-tests"

    /// Serves a farm while `body` runs; leases are expired as in the product.
    static func run(
        lease: Duration = .seconds(30),
        tracer: FarmTracer = .off,
        _ body: @escaping @Sendable (Farm) async throws -> Void
    ) async throws {
        var settings = FarmStoreConfiguration()
        settings.lease = lease
        settings.backoff = .milliseconds(10)
        let store = FarmStore(pool: try TestDatabase.pool(), configuration: settings)
        _ = try await store.migrate()
        let folder = FileManager.default.temporaryDirectory.path + "/farm-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let testLogger = logger
        var answers = CoordinatorAPISettings()
        answers.timing = LeaseTiming(
            lease: lease,
            heartbeat: .milliseconds(50),
            longestWait: .seconds(2),
            poll: .milliseconds(10)
        )
        answers.tracer = tracer
        let api = CoordinatorAPI(
            store: store,
            blobs: try FolderBlobStore(folder: folder + "/blobs"),
            admin: token,
            settings: answers
        )
        let application = Application(
            router: api.router(policy: AccessPolicy(listeningOn: "127.0.0.1")),
            server: CoordinatorAPI.server(),
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
            services: [
                ExpiryDuty.service(store, every: .milliseconds(50), logger: testLogger),
                WakeDuty.service(store, every: .milliseconds(50), logger: testLogger),
            ],
            logger: testLogger
        )
        try await application.test(.live) { server in
            let client = CoordinatorClient(
                coordinator: "http://127.0.0.1:\(server.port ?? 0)",
                token: token
            )
            try await body(Farm(client: client, folder: folder, logger: testLogger))
        }
    }

    /// Runs a worker while `body` runs, then shuts it down; one that joins by a token where there is
    /// one, and whose key is to be renewed whenever it looks.
    func withWorker(
        _ name: String,
        _ renderer: any ImageRenderer,
        joining token: String? = nil,
        tracer: FarmTracer = .off,
        _ body: () async throws -> Void
    ) async throws {
        var configuration = WorkerConfiguration(name: name, dataFolder: folder + "/" + name)
        configuration.tracer = tracer
        configuration.claimWait = .seconds(1)
        configuration.backoff = .milliseconds(10)
        configuration.largestBackoff = .milliseconds(50)
        var calls = client
        if let token {
            let bearer = BearerToken("")
            calls = CoordinatorClient(coordinator: client.coordinator, bearer: bearer)
            let looks = Mutex(0.0)
            configuration.credential = try WorkerCredential(
                of: configuration.instance,
                in: configuration.dataFolder,
                token: token,
                bearer: bearer
            ) {
                looks.withLock { looks in
                    looks += 1
                    return Date(timeIntervalSinceNow: looks * 86_400)
                }
            }
        }
        let worker = WorkerService(
            calls: calls,
            renderer: renderer,
            configuration: configuration,
            logger: logger
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await worker.run()
                } catch is CancellationError {
                    // The end that the test asks for.
                }
            }
            try await body()
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    /// Submits a job as soon as a worker has made its model known.
    func submit(_ text: String, references: [String: Data] = [:]) async throws -> JobID {
        for data in references.values { try await upload(data) }
        let specification = try JobSpecification(parsing: text)
            .withDigests(references.mapValues { BlobDigest(of: $0) })
        while try await client.models().all().isEmpty { await Task.yield() }
        return try await client.submit(specification, key: nil).id
    }

    /// Submits a job before any worker runs, with the model made known by hand.
    func submitFirst(_ text: String, _ model: RendererModel) async throws -> JobID {
        _ = try await client.register(
            RegistrationRequest(name: "herald", model: model)
        )
        return try await submit(text)
    }

    /// Waits until a job is over.
    func end(of job: JobID) async throws -> JobView {
        while true {
            let view = try await client.job(job.description)
            if view.state.isFinal { return view }
            await Task.yield()
        }
    }

    /// The bytes of a delivered picture.
    func picture(of image: ImageID) async throws -> Data? {
        let path = folder + "/picture"
        try await client.downloadImage(image, to: path)
        return FileManager.default.contents(atPath: path)
    }

    /// The bytes of a draft's picture.
    func draft(of image: ImageID) async throws -> Data? {
        let path = folder + "/draft"
        try await client.downloadDraft(of: image, to: path)
        return FileManager.default.contents(atPath: path)
    }

    private func upload(_ data: Data) async throws {
        let path = folder + "/upload"
        _ = FileManager.default.createFile(atPath: path, contents: data)
        try await client.uploadBlob(BlobDigest(of: data), file: path)
    }
}
