package import BlobStore
import FarmModel
package import FarmStore
package import FoundationEssentials
import HTTPTypes
package import Hummingbird
import Logging
import NIOCore
package import Telemetry

/// The coordinator's HTTP API over a store of rows and a store of blobs.
///
/// Everything that a request needs is made once and shared; no route keeps state of its own.
package struct CoordinatorAPI: Sendable {
    package typealias Context = FarmRequestContext

    let store: FarmStore
    let blobs: any BlobStorage
    let settings: CoordinatorAPISettings
    let tokens: FarmTokens
    /// Who knows the tokens of an identity provider; nil where there is none.
    let identity: IdentityVerifier?
    let gate: RequestGate
    let readiness: Readiness
    let live: LiveFarm
    let reserve: BlobReserve
    let jobs: JobCache
    let pictures: PictureCheck
    let thumbnails: Thumbnails
    let workers: WorkerDirectory
    let holders: AttemptHolders
    let warm: WarmJobs
    let desk: FarmDesk
    let sweep: BlobSweep
    let metrics: FarmMetrics
    /// What is queued and who can render it, by which the ends of jobs are foreseen.
    let queue: SharedReading<QueueStanding>

    /// An API over `store` and `blobs`, which the admin token `admin` opens.
    package init(
        store: FarmStore,
        blobs: any BlobStorage,
        admin: String,
        settings: CoordinatorAPISettings = CoordinatorAPISettings()
    ) {
        self.store = store
        self.blobs = blobs
        self.settings = settings
        let identity = settings.identity.map {
            IdentityVerifier($0, logger: Logger(label: "dreamfarm.identity"))
        }
        self.identity = identity
        tokens = FarmTokens(admin: admin) { secret in
            if let identity, IdentityVerifier.isMeant(by: secret) {
                return await identity.known(bearing: secret)
            }
            return try await store.bearer(secret: secret).map {
                Caller(owner: $0.owner, role: $0.role, binding: $0.binding)
            }
        }
        gate = RequestGate(tokens, settings.requests)
        readiness = Readiness(store: store, blobs: blobs)
        live = LiveFarm()
        reserve = BlobReserve(blobs: blobs, reserve: settings.blobReserve)
        jobs = JobCache(store: store)
        pictures = PictureCheck(blobs: blobs)
        thumbnails = Thumbnails(blobs: blobs)
        workers = WorkerDirectory(store: store)
        holders = AttemptHolders(store: store)
        warm = WarmJobs()
        queue = SharedReading(lifetime: settings.queueLifetime) { try await store.queueStanding() }
        sweep = BlobSweep(store: store, blobs: blobs, keepOutputs: settings.keepOutputs)
        let metrics = FarmMetrics(store, settings.tracer)
        self.metrics = metrics
        desk = FarmDesk(poll: settings.timing.poll) { _, wishes in
            try await Self.claim(wishes, from: store, metrics)
        }
    }

    /// A router of every route, closed to requests that `policy` does not let in.
    package func router(policy: AccessPolicy) -> Router<Context> {
        routes(policy: policy).router
    }

    /// Every route with the least role that may use it.
    package static func declarations(of api: CoordinatorAPI) -> [RouteDeclaration] {
        api.routes(policy: AccessPolicy(hosts: nil)).declarations
    }

    private func routes(policy: AccessPolicy) -> RouteTable {
        let router = Router(context: Context.self)
        router.add(
            middleware: RequestTracingMiddleware(
                tracer: settings.tracer,
                scheme: settings.isEncrypted ? "https" : "http"
            )
        )
        router.add(middleware: RequestMetricsMiddleware(metrics: metrics))
        router.add(middleware: ProblemMiddleware())
        router.add(
            middleware: AccessMiddleware(
                policy: policy,
                gate: gate
            )
        )
        let table = RouteTable(
            router: router,
            asksWorkersForCertificates: settings.asksWorkersForCertificates
        )
        addHealthRoutes(to: table)
        addMetricsRoute(to: table)
        addPageRoutes(to: table)
        addSessionRoutes(to: table)
        addBlobRoutes(to: table)
        addSubmitRoutes(to: table)
        addJobRoutes(to: table)
        addControlRoutes(to: table)
        addDraftRoutes(to: table)
        addTaskRoutes(to: table)
        addImageRoutes(to: table)
        addEventRoutes(to: table)
        addWorkerRoutes(to: table)
        addAttemptRoutes(to: table)
        addFleetRoutes(to: table)
        addGroupRoutes(to: table)
        addModelRoutes(to: table)
        addOperatorRoutes(to: table)
        addAccountRoutes(to: table)
        addErasingRoutes(to: table)
        addRetentionRoutes(to: table)
        addAuditRoutes(to: table)
        addWatchingRoutes(to: table)
        addDiscoveryRoute(to: table)
        metrics.expect(table.declarations)
        table.closeMethods()
        return table
    }

    /// Ends long polls and streams of events, and lets none begin: the coordinator stops.
    package func stop() {
        desk.close()
        live.close()
    }

    private func addHealthRoutes(to table: RouteTable) {
        table.on(.get, "/healthz", for: .open) { _, _ in Response(status: .ok) }
        table.on(.get, "/readyz", for: .open) { _, _ in
            if let obstacle = await readiness.obstacle() {
                throw CoordinatorProblem(.unavailable, obstacle)
            }
            return Response(status: .ok)
        }
    }
}

/// What the API is told at its start.
package struct CoordinatorAPISettings: Sendable {
    package var timing = LeaseTiming()
    /// The part of the blob store's room that uploads leave free, 0…1.
    package var blobReserve = 0.05
    /// How long pictures are kept from the end of their job on; nil for ever.
    package var keepOutputs: Duration?
    /// The identity provider whose tokens open the farm, too; nil for none.
    package var identity: IdentityProvider?
    /// How long a worker's own key is good.
    package var workerCredential: Duration = .seconds(86_400)
    /// How many requests a token may make.
    package var requests = RequestLimits()
    /// Whether it is served over TLS.
    package var isEncrypted = false
    /// Until when the certificate is good that connections get now; nil where it is served without TLS.
    package var certificateExpiry: @Sendable () -> Date? = { nil }
    /// The coordinator's data folder, whose disk is looked at; nil where there is none.
    package var dataDirectory: String?
    /// How long what is queued may take, by which the size of a fleet is recommended.
    package var capacityTarget: Duration = .seconds(900)
    /// How long what is queued is remembered while ends of jobs are foreseen.
    package var queueLifetime: Duration = .seconds(1)
    /// Whether workers have to show a certificate that the server has verified.
    package var asksWorkersForCertificates = false
    /// Whether `/metrics` takes no token.
    package var areMetricsOpen = false
    /// What begins spans.
    package var tracer = FarmTracer.off

    package init() {}
}

/// How long leases last and how often workers are heard of.
package struct LeaseTiming: Sendable {
    package var lease: Duration
    package var heartbeat: Duration
    /// The longest time for which a claim is held back.
    package var longestWait: Duration
    /// How often claims that are held back are tried without a hint, give or take a half.
    package var poll: Duration

    /// How often lapsed leases are looked for.
    package var expiryInterval: Duration { lease / 6 }

    /// From which time on without a look the farm counts as having been away.
    ///
    /// A lease lives on for at least a lease less two heartbeats after the farm went away: shorter
    /// than that, so that no lease of a worker that lives lapses because nobody heard it.
    package var expiryGap: Duration {
        max(expiryInterval * 2, min(lease / 3, lease - heartbeat * 2))
    }

    package init(
        lease: Duration = .seconds(60),
        heartbeat: Duration = .seconds(15),
        longestWait: Duration = .seconds(20),
        poll: Duration = .seconds(3)
    ) {
        self.lease = lease
        self.heartbeat = heartbeat
        self.longestWait = longestWait
        self.poll = poll
    }
}

extension Duration {
    /// The duration in seconds.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
