package import FarmModel
package import Logging
package import Postgres

/// Every SQL statement of the farm, one method for each thing that is decided.
///
/// The database's `now()` is the clock. A domain "no" (a stale lease, a key that means another job)
/// is a return value; a `DatabaseError` is thrown when the database could not answer.
///
/// Rows are always locked in one order, so that no two methods wait for each other: groups, heads,
/// ready rows (claims skip what is locked), leases by task, tasks, images, jobs by id, workers.
///
/// Copies share what gathers calls and what is known of the queue: make one a process.
package struct FarmStore: Sendable {
    let pool: PostgresPool
    let configuration: FarmStoreConfiguration
    /// Where changes are told.
    let logger: Logger
    let desk: QueueDesk
    let claims: Gathering<TaskClaim, ClaimOutcome>
    let deliveries: Gathering<Delivery, DeliveryEcho>
    /// What it has written.
    package let counts = FarmCounts()

    /// The connections to the database, and who waits for one.
    package var connections: PostgresPool.Counts { pool.counts }

    /// Creates the store of the pool's database, which tells a logger of each change.
    package init(
        pool: PostgresPool,
        configuration: FarmStoreConfiguration = FarmStoreConfiguration(),
        logger: Logger = Logger(label: "dreamfarm.store") { _ in SwiftLogNoOpLogHandler() }
    ) {
        self.pool = pool
        self.configuration = configuration
        self.logger = logger
        desk = QueueDesk(freshness: configuration.viewAge)
        claims = Gathering(
            width: 1,
            limit: configuration.batch,
            interval: configuration.claimInterval
        )
        deliveries = Gathering(
            width: 2,
            limit: configuration.batch,
            interval: configuration.deliveryInterval
        )
    }
}

/// The farm's periods and limits, read once.
package struct FarmStoreConfiguration: Sendable {
    /// How long a lease lasts without a heartbeat.
    package var lease: Duration = .seconds(60)

    /// How many lapsed leases make a task poison.
    package var maxLapses = 3

    /// How many members that its group lost make a task poison.
    package var maxGroupLosses = 10

    /// How long a task rests after its first failure; it doubles with each.
    package var backoff: Duration = .seconds(5)

    /// The longest that a task rests after a failure.
    package var maxBackoff: Duration = .seconds(300)

    /// The time between two runs of the expiry duty from which on nobody was there to look.
    package var dutyGap: Duration = .seconds(60)

    /// The longest that a head goes unserved while one of its tasks could run.
    package var ageBound: Duration = .seconds(1800)

    /// How long what is known of the queue counts as fresh.
    package var viewAge: Duration = .milliseconds(250)

    /// The time in which an owner's charge halves.
    package var chargeHalfLife: Duration = .seconds(3600)

    /// How many calls at most share a statement.
    package var batch = 64

    /// The least time between two statements that claim.
    package var claimInterval: Duration = .milliseconds(2)

    /// The least time between two statements that deliver.
    package var deliveryInterval: Duration = .milliseconds(8)

    /// How many failures of a worker in a job keep the two apart.
    package var failuresToBlock = 3

    /// How long a worker may be silent before it is lost.
    package var workerTimeout: Duration = .seconds(120)

    /// How long workers wait between heartbeats.
    package var heartbeat: Duration = .seconds(15)

    /// How long workers stay reserved, from when they were to be free, for a group that does not
    /// come to be.
    package var groupReservation: Duration = .seconds(600)

    /// How long a group that tasks asked for has nothing to do before it gives way to tasks that
    /// wait for its members alone.
    package var groupIdle: Duration = .seconds(120)

    /// The same where nothing waits for them.
    package var groupRest: Duration = .seconds(600)

    /// Whether tasks of a higher band of priority take the place of those that render.
    package var preempts = true

    /// How long an attempt renders before it may be parked.
    package var preemptQuantum: Duration = .seconds(60)

    /// How often a task is parked at most.
    package var maxParks = 2

    /// The share of delivered pictures that are rendered again to compare them, 0…1.
    package var auditShare = 0.0

    /// How long a picture that was drawn waits for another worker of its class to render it again.
    package var auditPatience: Duration = .seconds(86_400)

    /// How long two workers that differ wait for a third one.
    package var disputePatience: Duration = .seconds(3600)

    /// Creates the configuration with every value at its default.
    package init() {}
}

extension Duration {
    /// The duration in seconds, as `make_interval` takes it.
    var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}

// FarmModel's words as parameters and columns; it has no database, so they are joined here.
extension JobID: PostgresValue {}
extension TaskID: PostgresValue {}
extension ImageID: PostgresValue {}
extension AttemptID: PostgresValue {}
extension WorkerID: PostgresValue {}
extension JobState: PostgresValue {}
extension TaskState: PostgresValue {}
extension ImageState: PostgresValue {}
extension DraftDecision: PostgresValue {}
extension WorkerState: PostgresValue {}
extension FailureClass: PostgresValue {}
