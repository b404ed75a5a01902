import BlobStore
import FarmModel
import FarmStore
import FoundationEssentials
import Glibc
import Hummingbird
package import HummingbirdCore
import HummingbirdTLS
package import Logging
import NIOCore
import Postgres
import ServiceLifecycle
package import Telemetry

/// A coordinator: its database, its stores and its services.
package struct Coordinator: Sendable {
    let configuration: CoordinatorConfiguration
    let logger: Logger
    /// What exports its spans; nil for nothing.
    private let exporter: OTLPExporter?

    package init(
        _ configuration: CoordinatorConfiguration,
        exporter: OTLPExporter? = nil,
        logger: Logger
    ) {
        self.configuration = configuration
        self.exporter = exporter
        self.logger = logger
    }

    /// Serves until the process is told to stop.
    package func serve() async throws {
        guard
            configuration.listen.isLoopback || configuration.tls != nil
                || configuration.allowsInsecureListen
        else { throw CoordinatorError.insecureListen(configuration.listen) }
        try configuration.listen.check()
        let database = CoordinatorDatabase(configuration, logger: logger)
        try await OneTimeService.run(logger: logger) {
            try await database.withStore { try await serve($0) }
        }
    }

    /// Serves a database that is open until the task is cancelled or shut down.
    func serve(_ database: OpenDatabase) async throws {
        let store = database.store
        #if DEBUG
        if DeliveryFence.isTakenOut {
            logger.warning(
                "Deliveries are taken without a lease: this is for tests alone",
                metadata: ["because": "\(DeliveryFence.variable)"]
            )
        }
        #endif
        let certificate = try configuration.tls.map { try ServerCertificate($0) }
        let applied = try await store.migrate()
        if !applied.isEmpty {
            logger.notice("Migrated", metadata: ["steps": "\(applied.count)"])
        }
        let blobs = try await openBlobs(store)
        let token = try SecretFile.token(in: configuration.dataDirectory)
        // Other coordinators of this database let it in too.
        if try await store.bearer(secret: token) == nil {
            try await store.addToken(secret: token, owner: "admin", role: .admin, by: "coordinator")
        }
        var settings = CoordinatorAPISettings()
        settings.timing = configuration.timing
        settings.blobReserve = configuration.blobReserve
        settings.keepOutputs = configuration.keepOutputs
        settings.requests.perSecond = configuration.requestRate
        settings.workerCredential = configuration.workerCredential
        settings.identity = configuration.identity
        settings.isEncrypted = certificate != nil
        if let certificate {
            settings.certificateExpiry = {
                certificate.expiry.map { Date(timeIntervalSince1970: TimeInterval($0)) }
            }
        }
        settings.dataDirectory = configuration.dataDirectory
        settings.capacityTarget = configuration.capacityTarget
        settings.asksWorkersForCertificates = certificate?.asksWorkers ?? false
        settings.areMetricsOpen = configuration.areMetricsOpen
        if let exporter { settings.tracer = exporter.tracer }
        let api = CoordinatorAPI(store: store, blobs: blobs, admin: token, settings: settings)
        await api.identity?.load()
        // The signal to end may have come while the database was started.
        guard !Task.isShuttingDownGracefully else { return }
        var services = try services(database, api)
        // The first to begin is the last to end: what the others do then is exported, too.
        if let exporter { services.insert(TraceService(exporter: exporter), at: 0) }
        if let certificate {
            services.append(CertificateService(certificate: certificate, logger: logger))
        }
        do {
            // Long polls and streams end first, since the server waits for them.
            try await withGracefulShutdownHandler {
                try await application(api, certificate, services: services).run()
            } onGracefulShutdown: {
                api.stop()
            }
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw CoordinatorError.addressTaken(configuration.listen)
        }
    }

    /// The blob store, after it has shown that it is the one of this database.
    func openBlobs(_ store: FarmStore) async throws -> any BlobStorage {
        let blobs = try BlobLocation(configuration.blobLocation)
            .open(environment: configuration.environment)
        let known = try await store.farmRecord().blobStoreID
        let found = try await blobs.probe(expecting: known)
        // Of two coordinators that start at once, one has named the store.
        let recorded = try await store.recordBlobStoreID(found)
        if recorded != found { _ = try await blobs.probe(expecting: recorded) }
        return blobs
    }

    private func services(
        _ database: OpenDatabase,
        _ api: CoordinatorAPI
    ) throws -> [any Service] {
        let store = database.store
        let outage = DatabaseOutage()
        let secret =
            try configuration.webhookSecret
            ?? SecretFile.secret(at: configuration.dataDirectory + "/webhook-secret")
        let notices = NoticeService(
            listener: PostgresListener(
                database.configuration,
                channels: NoticeService.channels
            ),
            store: store,
            desk: api.desk,
            live: api.live,
            logger: logger
        )
        let duties = [
            ExpiryDuty.service(
                store,
                every: configuration.timing.expiryInterval,
                outage: outage,
                logger: logger
            ),
            WakeDuty.service(store, outage: outage, logger: logger),
            GroupsDuty.service(store, outage: outage, logger: logger),
            PreemptionDuty.service(store, outage: outage, logger: logger),
            AuditsDuty.service(store, outage: outage, logger: logger),
            LimitsDuty.service(store, outage: outage, logger: logger),
            QuotasDuty.service(
                store,
                blobs: api.blobs,
                keepingOutputs: configuration.keepOutputs,
                outage: outage,
                logger: logger
            ),
            VacuumDuty.service(store, outage: outage, logger: logger),
            HeadsDuty.service(store, outage: outage, logger: logger),
            RetentionDuty.service(
                store,
                keeping: configuration.retention,
                outage: outage,
                logger: logger
            ),
            BlobsDuty.service(api.sweep, outage: outage, logger: logger),
            WebhookSender(
                store: store,
                secret: secret,
                allowsPrivate: configuration.allowsPrivateWebhooks
            ).service(outage: outage, logger: logger),
            GaugesDuty.service(
                store,
                reserve: api.reserve,
                gauges: api.metrics.database,
                capacityTarget: configuration.capacityTarget,
                outage: outage,
                logger: logger
            ),
        ]
        var services: [any Service] = [notices]
        services += duties.map {
            $0.telling(api.metrics.note(_:isHeld:)).traced(by: api.settings.tracer)
        }
        if let cluster = database.cluster {
            services.append(ClusterService(cluster: cluster, logger: logger))
        }
        return services
    }

    private func application(
        _ api: CoordinatorAPI,
        _ certificate: ServerCertificate?,
        services: [any Service]
    ) throws -> some ApplicationProtocol {
        let listen = configuration.listen
        let scheme = certificate == nil ? "http" : "https"
        let connections = OpenFiles.connections()
        let server =
            if let certificate {
                try HTTPServerBuilder.tls(
                    CoordinatorAPI.server(connections),
                    tlsConfiguration: certificate.configuration
                )
            } else { CoordinatorAPI.server(connections) }
        return Application(
            router: api.router(policy: AccessPolicy(listeningOn: listen.host)),
            server: server,
            configuration: ApplicationConfiguration(
                address: .hostname(listen.host, port: listen.port),
                serverName: "dreamfarm",
                backlog: 1024,
                availableConnectionsDelegate: .maximum(connections.all, logger: logger)
            ),
            services: services,
            onServerRunning: { channel in
                logger.notice(
                    "Serving",
                    metadata: [
                        "address":
                            "\(scheme)://\(listen.host):\(channel.localAddress?.port ?? 0)"
                    ]
                )
            },
            logger: logger
        )
    }

    // MARK: - Other commands

    /// Brings the schema up to date and returns the names of the steps that were missing.
    package func migrate() async throws -> [String] {
        let database = CoordinatorDatabase(configuration, logger: logger)
        return try await OneTimeService.run(logger: logger) {
            try await database.withStore { try await $0.store.migrate() }
        }
    }

    /// Looks for what should not be in the database; reads all of it.
    package func audit() async throws -> DatabaseAudit {
        let database = CoordinatorDatabase(configuration, logger: logger)
        return try await OneTimeService.run(logger: logger) {
            try await database.withStore { database in
                DatabaseAudit(
                    violations: try await database.store.audit().map(\.description),
                    gauges: try await database.store.gauges()
                )
            }
        }
    }

    /// What the database and the blob store say of themselves; changes nothing in either.
    package func check() async throws -> String {
        let cluster = configuration.dataDirectory + "/postgres"
        if configuration.databaseURL == nil, !FileManager.default.fileExists(atPath: cluster) {
            return "database: none yet; `serve` makes one in \(cluster)"
        }
        let database = CoordinatorDatabase(configuration, logger: logger)
        return try await OneTimeService.run(logger: logger) {
            try await database.withStore { database in try await describe(database.store) }
        }
    }

    func describe(_ store: FarmStore) async throws -> String {
        let missing = try await store.missingMigrations()
        guard missing.isEmpty else {
            let names = missing.joined(separator: ", ")
            return """
                database: answers, and lacks of the schema: \(names); `migrate` applies that, and so does `serve`
                blobs: \(configuration.blobLocation), not asked before the schema is there
                """
        }
        let models = try await store.models()
        return """
            database: answers, up to date
            blobs: \(try await describeBlobs(of: store))
            models: \(models.isEmpty ? "none" : models.map(\.name).joined(separator: ", "))
            """
    }

    private func describeBlobs(of store: FarmStore) async throws -> String {
        guard let known = try await store.farmRecord().blobStoreID else {
            return "\(configuration.blobLocation), not in use yet"
        }
        let blobs = try BlobLocation(configuration.blobLocation)
            .open(environment: configuration.environment)
        _ = try await blobs.probe(expecting: known)
        let space = try await blobs.freeSpace()
        return blobs.location + (space.map { ", \(Int($0.fraction * 100)) % free" } ?? "")
    }
}

/// What an audit of a database found.
package struct DatabaseAudit: Sendable {
    private let violations: [String]
    private let gauges: FarmGauges

    init(violations: [String], gauges: FarmGauges) {
        self.violations = violations
        self.gauges = gauges
    }

    /// Whether nothing is wrong.
    package var isClean: Bool { violations.isEmpty }

    /// A line a violation, or one that says that there is none, and the rows of the hot tables.
    package var lines: [String] {
        let found = isClean ? ["audit clean"] : violations
        return found
            + gauges.tables.sorted { $0.key < $1.key }.map { table, rows in
                "\(table): \(rows.live) live rows, \(rows.dead) dead"
            }
    }
}

extension CoordinatorAPI {
    /// The server that the API needs: one that notices when a client goes, and lets slow ones go.
    package static func server(_ limits: ConnectionLimits = ConnectionLimits()) -> HTTPServerBuilder
    {
        let census = ConnectionCensus()
        return .http1(
            configuration: HTTP1Channel.Configuration(
                additionalChannelHandlers: [
                    DisconnectHandler(), PatienceHandler(limits, census),
                ],
                // Long polls and events are shorter; a client that went without a word is let go.
                idleTimeout: .minutes(10),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 16 << 10,
                    maxHeaderListSize: 64 << 10,
                    maxHeaderFieldCount: 100
                )
            )
        )
    }
}
