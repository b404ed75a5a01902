package import FarmModel
package import FoundationEssentials
import Postgres

/// A worker as it stands.
package struct WorkerRecord: Sendable, Hashable {
    package let id: WorkerID
    package let name: String
    package let epoch: Int64
    package let state: WorkerState
    package let desiredState: DesiredWorkerState
    /// Why that is wanted.
    package let stateReason: String?
    package let pool: String
    package let modelName: String
    package let modelDigest: String
    package let precision: String
    package let numericClass: String
    /// Memory that rendering may use, in bytes; 0 where the worker did not say.
    package let memory: Int64
    package let tags: [String]
    /// Floating point operations a second; 0 before anything was measured.
    package let speed: Double
    package let engine: String
    /// The machine, as JSON.
    package let info: String
    package let registeredAt: Date
    package let lastSeenAt: Date
    /// How far its time of day is from the database's, in seconds; nil where it has not told.
    package let clockOffset: Double?
    /// What it holds, the longest held first.
    package let leases: [WorkerLease]
    /// Its latest failure, however long ago; nil when there was none.
    package let lastError: WorkerError?
    /// Failures since its last success.
    package let failuresInARow: Int
    /// Whether it renders without others.
    package let rendersAlone: Bool
    /// Its seat in a group; nil where it is in none.
    package let seat: WorkerSeat?

    package var leasedTasks: Int { leases.count }

    init(_ row: Row, leases: [WorkerID: [WorkerLease]]) throws {
        id = try row.decode("id")
        name = try row.decode("name")
        epoch = try row.decode("epoch")
        state = try row.decode("state")
        desiredState = try row.decode("desired_state")
        stateReason = try row.decodeIfPresent("state_reason")
        pool = try row.decode("pool")
        modelName = try row.decode("model_name")
        modelDigest = try row.decode("model_digest")
        precision = try row.decode("precision")
        numericClass = try row.decode("numeric_class")
        memory = try row.decode("memory_bytes")
        tags = try row.decode("tags")
        speed = try row.decode("speed")
        engine = try row.decode("engine")
        info = try row.decode("info")
        registeredAt = try row.decode("registered_at")
        lastSeenAt = try row.decode("last_seen_at")
        clockOffset = try row.decodeIfPresent("clock_offset")
        self.leases = leases[id] ?? []
        lastError = try WorkerError(row)
        failuresInARow = try row.decode("failures_in_a_row")
        rendersAlone = try row.decode("renders_alone")
        seat = try WorkerSeat(row)
    }
}

/// A worker's place in a group.
package struct WorkerSeat: Sendable, Hashable {
    package let group: GroupID
    package let groupName: String
    package let rank: Int
    /// How many workers render with it now: the group's size for the first rank of one that is ready.
    package let servedSize: Int

    /// Reads the seat beside a worker's columns; nil when there is none.
    init?(_ row: Row) throws {
        guard let group = try row.decodeIfPresent("group_id", as: GroupID.self) else { return nil }
        self.group = group
        groupName = try row.decode("group_name")
        rank = try row.decode("group_rank")
        servedSize = try row.decode("served_size")
    }
}

/// A task that a worker holds, and how far it is.
package struct WorkerLease: Sendable, Hashable {
    package let fence: AttemptFence
    package let job: JobID
    package let owner: String
    package let imageIndex: Int?
    package let step: Int
    package let steps: Int
    package let stepSeconds: Double?
    package let claimedAt: Date
    /// When the worker began; nil while it waits there behind another.
    package let begunAt: Date?
    package let deadline: Date

    init(_ row: Row) throws {
        fence = AttemptFence(
            task: try row.decode("task_id"),
            attempt: try row.decode("attempt_id"),
            epoch: try row.decode("epoch")
        )
        job = try row.decode("job_id")
        owner = try row.decode("owner")
        imageIndex = try row.decodeIfPresent("image_index")
        step = try row.decode("step")
        steps = try row.decode("steps")
        stepSeconds = try row.decodeIfPresent("step_seconds")
        claimedAt = try row.decode("claimed_at")
        begunAt = try row.decodeIfPresent("begun_at")
        deadline = try row.decode("deadline")
    }
}

/// A failure of a task at a worker.
package struct WorkerError: Sendable, Hashable {
    package let job: JobID
    package let task: TaskID
    package let failure: FailureView
    package let at: Date

    /// Reads the failure beside a worker's columns; nil when there is none.
    init?(_ row: Row) throws {
        guard let failure = try FailureView(row) else { return nil }
        self.failure = failure
        job = try row.decode("error_job")
        task = try row.decode("error_task")
        at = try row.decode("failed_at")
    }
}
