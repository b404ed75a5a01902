import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials
import Hummingbird
package import Logging
import Postgres
import ServiceLifecycle

/// The settings of a coordinator, read once.
package struct CoordinatorConfiguration: Sendable {
    package var dataDirectory: String
    package var listen: ListenAddress
    /// Where the database is; nil for a private one in the data folder.
    package var databaseURL: String?
    package var timing: LeaseTiming
    /// Whether an address that others can reach may be served without TLS.
    package var allowsInsecureListen: Bool

    package init(
        dataDirectory: String,
        listen: ListenAddress,
        databaseURL: String?,
        timing: LeaseTiming,
        allowsInsecureListen: Bool
    ) {
        self.dataDirectory = dataDirectory
        self.listen = listen
        self.databaseURL = databaseURL
        self.timing = timing
        self.allowsInsecureListen = allowsInsecureListen
    }
}

/// Why a coordinator does not start.
package enum CoordinatorError: Error, CustomStringConvertible {
    case insecureListen(ListenAddress)
    case dataDirectory(String)

    package var description: String {
        switch self {
        case .insecureListen(let address):
            "\(address) can be reached from other machines without TLS; listen on 127.0.0.1 or "
                + "give --insecure-listen"
        case .dataDirectory(let path):
            "\(path): the data folder cannot be made; give another --data-dir"
        }
    }
}

/// A coordinator: its database, its stores and its services.
package struct Coordinator: Sendable {
    private let configuration: CoordinatorConfiguration
    private let logger: Logger

    package init(_ configuration: CoordinatorConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Serves until the process is told to stop.
    package func serve() async throws {
        guard configuration.listen.isLoopback || configuration.allowsInsecureListen else {
            throw CoordinatorError.insecureListen(configuration.listen)
        }
        try await withStore { store in
            let applied = try await store.migrate()
            if !applied.isEmpty {
                logger.notice("Migrated", metadata: ["steps": "\(applied.count)"])
            }
            let token = try TokenFile.token(in: configuration.dataDirectory)
            let blobs = try FolderBlobStore(folder: configuration.dataDirectory + "/blobs")
            let api = CoordinatorAPI(store: store, blobs: blobs, timing: configuration.timing)
            let listen = configuration.listen
            let policy = AccessPolicy(
                token: token,
                hosts: AccessPolicy.hosts(listeningOn: listen.host)
            )
            let application = Application(
                router: api.router(policy: policy),
                configuration: ApplicationConfiguration(
                    address: .hostname(listen.host, port: listen.port),
                    serverName: "dreamfarm"
                ),
                services: [
                    ExpiryService(
                        store: store,
                        interval: configuration.timing.lease / 6,
                        logger: logger
                    )
                ],
                onServerRunning: { channel in
                    logger.notice(
                        "Serving",
                        metadata: [
                            "address": "http://\(listen.host):\(channel.localAddress?.port ?? 0)"
                        ]
                    )
                },
                logger: logger
            )
            try await application.runService()
        }
    }

    /// Brings the schema up to date and returns the names of the steps that were missing.
    package func migrate() async throws -> [String] {
        try await withStore { try await $0.migrate() }
    }

    /// The effective settings, secrets hidden, after the database has answered.
    package func check() async throws -> String {
        let models = try await withStore { store in
            _ = try await store.migrate()
            return try await store.models()
        }
        return """
            data-dir: \(configuration.dataDirectory)
            listen: \(configuration.listen)
            database-url: \(configuration.databaseURL == nil ? "embedded" : "(hidden)")
            lease: \(configuration.timing.lease.inSeconds)s
            heartbeat: \(configuration.timing.heartbeat.inSeconds)s
            models: \(models.isEmpty ? "none" : models.map(\.name).joined(separator: ", "))
            """
    }

    // MARK: - Database

    /// Lends the store to `body`, with a private cluster under it where no database is named.
    private func withStore<Value: Sendable>(
        _ body: (FarmStore) async throws -> Value
    ) async throws -> Value {
        let folder = configuration.dataDirectory
        do {
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: true
            )
        } catch {
            throw CoordinatorError.dataDirectory(folder)
        }
        if let url = configuration.databaseURL {
            return try await withStore(on: PostgresConfiguration(conninfo: url), body)
        }
        let cluster = try await PostgresCluster.start(.init(folder: folder + "/postgres"))
        logger.info(
            "Database ready",
            metadata: [
                "adopted": "\(cluster.wasAdopted)", "user": "\(cluster.runsAs ?? "own")",
            ]
        )
        let result: Result<Value, any Error>
        do {
            result = .success(try await withStore(on: cluster.connection, body))
        } catch {
            result = .failure(error)
        }
        // Shielded from cancellation, so that the cluster is not left running; awaited at once.
        try await Task { try await cluster.stop() }.value
        return try result.get()
    }

    private func withStore<Value: Sendable>(
        on database: PostgresConfiguration,
        _ body: (FarmStore) async throws -> Value
    ) async throws -> Value {
        let pool = PostgresPool(database)
        var settings = FarmStoreConfiguration()
        settings.lease = configuration.timing.lease
        settings.workerTimeout = configuration.timing.lease * 2
        settings.dutyGap = configuration.timing.lease
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(FarmStore(pool: pool, configuration: settings)))
        } catch {
            result = .failure(error)
        }
        await pool.close()
        return try result.get()
    }
}
