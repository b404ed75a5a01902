import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials
import Glibc
import Hummingbird
package import Logging
import NIOCore
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
    case addressTaken(ListenAddress)

    package var description: String {
        switch self {
        case .insecureListen(let address):
            "\(address) can be reached from other machines without TLS; listen on 127.0.0.1 or "
                + "give --insecure-listen"
        case .dataDirectory(let path):
            "\(path): the data folder cannot be made; give another --data-dir"
        case .addressTaken(let address):
            "something listens at \(address) already; stop it, or give another --listen"
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
        try await withStore { store, cluster in
            let applied = try await store.migrate()
            if !applied.isEmpty {
                logger.notice("Migrated", metadata: ["steps": "\(applied.count)"])
            }
            let token = try TokenFile.token(in: configuration.dataDirectory)
            let blobs = try FolderBlobStore(folder: configuration.dataDirectory + "/blobs")
            let api = CoordinatorAPI(store: store, blobs: blobs, timing: configuration.timing)
            // The signal to end may have come while the database was started.
            guard !Task.isShuttingDownGracefully else { return }
            do {
                try await application(api, token, services: services(store, cluster)).run()
            } catch let error as IOError where error.errnoCode == EADDRINUSE {
                throw CoordinatorError.addressTaken(configuration.listen)
            }
        }
    }

    private func services(_ store: FarmStore, _ cluster: PostgresCluster?) -> [any Service] {
        var services: [any Service] = [
            ExpiryService(
                store: store,
                interval: configuration.timing.expiryInterval,
                logger: logger
            )
        ]
        if let cluster { services.append(ClusterService(cluster: cluster, logger: logger)) }
        return services
    }

    private func application(
        _ api: CoordinatorAPI,
        _ token: String,
        services: [any Service]
    ) -> some ApplicationProtocol {
        let listen = configuration.listen
        let policy = AccessPolicy(
            token: token,
            hosts: AccessPolicy.hosts(listeningOn: listen.host)
        )
        return Application(
            router: api.router(policy: policy),
            configuration: ApplicationConfiguration(
                address: .hostname(listen.host, port: listen.port),
                serverName: "dreamfarm"
            ),
            services: services,
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
    }

    /// Brings the schema up to date and returns the names of the steps that were missing.
    package func migrate() async throws -> [String] {
        try await withStore { store, _ in try await store.migrate() }
    }

    /// The effective settings, secrets hidden, after the database has answered.
    package func check() async throws -> String {
        let models = try await withStore { store, _ in
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
    ///
    /// From here on a signal to end is a graceful shutdown, never the end of the process: a cluster
    /// that is being started would outlive it.
    private func withStore<Value: Sendable>(
        _ body: @escaping @Sendable (FarmStore, PostgresCluster?) async throws -> Value
    ) async throws -> Value {
        try await OneTimeService.run(logger: logger) { try await lendStore(body) }
    }

    private func lendStore<Value: Sendable>(
        _ body: (FarmStore, PostgresCluster?) async throws -> Value
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
            return try await lendStore(on: PostgresConfiguration(conninfo: url)) {
                try await body($0, nil)
            }
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
            result = .success(
                try await lendStore(on: cluster.connection) { try await body($0, cluster) }
            )
        } catch {
            result = .failure(error)
        }
        // Shielded from cancellation, so that the cluster is not left running; awaited at once.
        try await Task { try await cluster.stop() }.value
        return try result.get()
    }

    private func lendStore<Value: Sendable>(
        on database: PostgresConfiguration,
        _ body: (FarmStore) async throws -> Value
    ) async throws -> Value {
        let pool = PostgresPool(database)
        var settings = FarmStoreConfiguration()
        settings.lease = configuration.timing.lease
        settings.workerTimeout = configuration.timing.lease * 2
        settings.dutyGap = configuration.timing.expiryGap
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
