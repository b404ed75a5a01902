package import FarmModel
package import FoundationEssentials
import Postgres

/// What a worker says of itself when it begins.
package struct WorkerRegistration: Sendable {
    package var name: String
    /// The name under which an unknown model is recorded.
    package var modelName: String
    package var modelDigest: String
    package var precision: String
    package var pool = "default"
    package var memory: Int64 = 0
    package var tags: [String] = []
    /// What jobs take that leave a key out, as JSON; kept when the model is first recorded.
    package var modelDefaults = "{}"
    /// What predicts the work of a picture, as JSON; kept like the defaults.
    package var costConstants = "{}"
    /// Who takes the place of a known worker of the same instance; another one for each process
    /// that takes nobody's.
    package var instance = UUID().uuidString
    /// Pictures are equal to the last bit inside one class.
    package var numericClass = ""
    /// Measured floating point operations a second; 0 before anything was measured.
    package var speed = 0.0
    /// The build of the engine.
    package var engine = ""
    /// The machine, as JSON.
    package var info = "{}"
    /// How it takes part in groups; nil for a worker that does not.
    package var group: GroupOffer?
    /// What its model takes; nil where it does not say.
    package var modelMemory: ModelMemory?
    /// Whether it renders without others.
    package var rendersAlone = true
    /// Whether it parks what it renders when it is told to.
    package var parks = false
    /// The owner of the token that it shows, for the audit.
    package var actor: String?
    /// By what right it registers.
    package var admission = WorkerAdmission.token

    /// Creates a registration with the defaults of everything else.
    package init(name: String, modelName: String, modelDigest: String, precision: String) {
        self.name = name
        self.modelName = modelName
        self.modelDigest = modelDigest
        self.precision = precision
    }
}

/// Who the worker is from now on.
package struct RegisteredWorker: Sendable, Hashable {
    package let id: WorkerID
    /// Its name as the farm knows it: another one where a living process has the name.
    package let name: String
    package let epoch: Int64
    /// The name of the model as the farm knows its digest.
    package let modelName: String
    /// What an operator wants of it.
    package var desiredState = DesiredWorkerState.run
    /// How many leases of the process before lapsed with its registration.
    package var lapsedLeases = 0
}

/// The bytes of a picture, stored already.
package struct DeliveredOutput: Sendable, Hashable {
    /// The SHA-256 of the bytes, which is their address.
    package var digest: String
    package var size: Int64
    /// The class that the picture is of; empty is that of the worker, or of the group that it leads.
    package var numericClass: String

    package init(digest: String, size: Int64, numericClass: String = "") {
        self.digest = digest
        self.size = size
        self.numericClass = numericClass
    }
}

/// What became of a delivery.
package enum DeliverOutcome: Sendable, Hashable {
    /// The image is delivered, now; with the task's state where its attempt ended with it.
    case delivered(TaskState?)
    /// This attempt had delivered it before; nothing changed and this digest stands.
    case alreadyDelivered(digest: String)
    /// The lease is not current, nothing changed.
    case stale
    /// The task has no image of this index.
    case unknownImage
}

/// What an attempt took, from its claim on.
package struct AttemptTotals: Sendable, Hashable {
    package var stepsComputed: Int64
    package var conditionsComputed: Int
    package var conditionsFound: Int
    /// How long the worker computed, in seconds.
    package var busySeconds: Double

    /// The longest that an attempt counts as: thirty years.
    private static let longestSeconds = 1e9

    package init(
        stepsComputed: Int64 = 0,
        conditionsComputed: Int = 0,
        conditionsFound: Int = 0,
        busySeconds: Double = 0
    ) {
        self.stepsComputed = stepsComputed
        self.conditionsComputed = conditionsComputed
        self.conditionsFound = conditionsFound
        self.busySeconds = busySeconds
    }

    /// What an attempt has cost, as its worker says.
    package init(_ report: AttemptReport?) {
        self.init()
        guard let report else { return }
        stepsComputed = Int64(max(report.stepsComputed, 0))
        conditionsComputed = report.conditionsComputed.asRowCount
        conditionsFound = report.conditionsFound.asRowCount
        busySeconds = report.seconds > 0 ? min(report.seconds, Self.longestSeconds) : 0
    }
}

extension Int {
    /// The number as a count that a column of the type `integer` holds.
    var asRowCount: Int { Swift.min(Swift.max(self, 0), Int(Int32.max)) }
}

/// Why an attempt failed.
package struct AttemptFailure: Sendable, Hashable {
    package var failureClass: FailureClass
    /// What failed, in words a person can act on.
    package var message: String
    /// The index of the image that failed, where one is known.
    package var image: Int?

    package init(failureClass: FailureClass, message: String, image: Int? = nil) {
        self.failureClass = failureClass
        self.message = message
        self.image = image
    }
}

/// What became of the end of an attempt.
package enum AttemptOutcome: Sendable, Hashable {
    /// The attempt is over, by this call or the same one before; the task stands so.
    case done(TaskState)
    /// The lease is not current, nothing changed.
    case stale
    /// So many images are not delivered, nothing changed.
    case incomplete(undelivered: Int)
}

/// One try at a task.
package struct AttemptRecord: Sendable, Hashable {
    package let fence: AttemptFence
    package let worker: WorkerID
    package let workerName: String
    package let job: JobID
    package let startedAt: Date
    package let finishedAt: Date?
    /// `succeeded`, `failed`, `lapsed`, `released`, `cancelled` or `parked`; nil while it runs.
    package let outcome: String?
    package let failure: FailureView?
    /// Where it was, and for what, if it was parked.
    package let parked: ParkedView?
    /// What it took, as far as its worker has told; cold starts are in the metrics alone.
    package let totals: AttemptTotals

    init(_ row: Row) throws {
        fence = AttemptFence(
            task: try row.decode("task_id"),
            attempt: try row.decode("id"),
            epoch: try row.decode("epoch")
        )
        worker = try row.decode("worker_id")
        workerName = try row.decode("worker_name")
        job = try row.decode("job_id")
        startedAt = try row.decode("started_at")
        finishedAt = try row.decodeIfPresent("finished_at")
        outcome = try row.decodeIfPresent("outcome")
        failure = try FailureView(row)
        parked = try ParkedView(row)
        totals = AttemptTotals(
            stepsComputed: try row.decode("steps_computed"),
            conditionsComputed: try row.decode("conditions_computed"),
            conditionsFound: try row.decode("conditions_found"),
            busySeconds: try row.decode("busy_seconds")
        )
    }
}

/// What one run of the expiry duty did.
package struct ExpiryReport: Sendable, Hashable {
    /// Leases that ran out; their tasks are ready again or failed.
    package var lapsed = 0
    /// Attempts that made no step, or took, for too long.
    package var hung = 0
    /// Tasks among both that failed as poison.
    package var poisoned = 0
    /// Workers that were silent for too long.
    package var lostWorkers = 0
    /// Leases extended because nobody had looked for a while.
    package var extendedAfterGap = 0

    package init() {}
}
