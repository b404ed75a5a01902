import FarmStore
import FoundationEssentials
import Logging
import Postgres

/// A database that answers, with the store on it.
struct OpenDatabase: Sendable {
    let store: FarmStore
    /// How it is reached, for connections beside the store's.
    let configuration: PostgresConfiguration
    /// The private cluster that it is on, if it is.
    let cluster: PostgresCluster?
}

/// The coordinator's database: the one that the settings name, or a private cluster.
struct CoordinatorDatabase: Sendable {
    private let configuration: CoordinatorConfiguration
    private let logger: Logger

    init(_ configuration: CoordinatorConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Lends the store to `body`, with a private cluster under it where no database is named.
    ///
    /// To be called where a signal is a graceful shutdown, never the end of the process: a cluster
    /// that is being started would outlive it.
    func withStore<Value: Sendable>(
        _ body: (OpenDatabase) async throws -> Value
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
            return try await lendStore(on: PostgresConfiguration(conninfo: url), nil, body)
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
            result = .success(try await lendStore(on: cluster.connection, cluster, body))
        } catch {
            result = .failure(error)
        }
        // Shielded from cancellation, so that the cluster is not left running; awaited at once.
        try await Task { try await cluster.stop() }.value
        return try result.get()
    }

    private func lendStore<Value: Sendable>(
        on database: PostgresConfiguration,
        _ cluster: PostgresCluster?,
        _ body: (OpenDatabase) async throws -> Value
    ) async throws -> Value {
        var database = database
        // Planning a claim anew costs ten times what it does.
        database.planCacheMode = .forceGenericPlan
        let pool = PostgresPool(database)
        var settings = FarmStoreConfiguration()
        settings.lease = configuration.timing.lease
        settings.heartbeat = configuration.timing.heartbeat
        settings.workerTimeout = configuration.timing.lease * 2
        settings.dutyGap = configuration.timing.expiryGap
        settings.preempts = configuration.preempts
        settings.preemptQuantum = configuration.preemptQuantum
        settings.auditShare = configuration.auditShare
        let open = OpenDatabase(
            store: FarmStore(pool: pool, configuration: settings, logger: logger),
            configuration: database,
            cluster: cluster
        )
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(open))
        } catch {
            result = .failure(error)
        }
        await pool.close()
        return try result.get()
    }
}
