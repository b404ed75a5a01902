package import FarmModel
package import FoundationEssentials
import Postgres

/// A job as it stands.
package struct JobRecord: Sendable, Hashable {
    package let id: JobID
    package let key: String?
    package let owner: String
    package let name: String
    package let state: JobState
    package let priority: Int
    /// Whether an operator lifted it above the owners' shares.
    package let isLifted: Bool
    /// The resolved specification as JSON.
    package let specification: String
    package let canonicalDigest: String
    package let modelName: String
    package let modelDigest: String
    package let createdAt: Date
    package let startedAt: Date?
    package let finishedAt: Date?
    package let images: ImageTally
    package let taskCount: Int
    package let liveTaskCount: Int
    /// How many of its tasks are at a worker.
    package let leasedTaskCount: Int
    /// What its tasks ask of a worker.
    package let requirement: TaskRequirement
    /// Why the farm itself ended it.
    package let reason: String?
    package let after: [JobID]
    package let startAfter: Date?
    package let finishBy: Date?
    /// The numeric class of all its images, once it is fixed.
    package let numericClass: String?
    package let webhook: String?
    /// Where in a trace it was submitted; nil in none.
    package let traceparent: String?
    /// What others have noted of that trace, a `tracestate`.
    package let tracestate: String?
    /// The predicted work, in floating point operations.
    package let cost: Double
    package let eventCount: Int64

    init(_ row: Row) throws {
        id = try row.decode("id")
        key = try row.decodeIfPresent("key")
        owner = try row.decode("owner")
        name = try row.decode("name")
        state = try row.decode("state")
        priority = try row.decode("priority")
        isLifted = try row.decode("is_lifted")
        specification = try row.decode("specification")
        canonicalDigest = try row.decode("canonical_digest")
        modelName = try row.decode("model_name")
        modelDigest = try row.decode("model_digest")
        createdAt = try row.decode("created_at")
        startedAt = try row.decodeIfPresent("started_at")
        finishedAt = try row.decodeIfPresent("finished_at")
        let delivered = try row.decode("delivered_count", as: Int.self)
        let failed = try row.decode("failed_count", as: Int.self)
        let cancelled = try row.decode("cancelled_count", as: Int.self)
        let rendering = try row.decode("rendering", as: Int.self)
        let drafted = try row.decode("drafted_count", as: Int.self)
        let total = try row.decode("image_count", as: Int.self)
        images = ImageTally(
            waiting: total - delivered - failed - cancelled - rendering - drafted,
            rendering: rendering,
            drafted: drafted,
            delivered: delivered,
            failed: failed,
            cancelled: cancelled
        )
        taskCount = try row.decode("task_count")
        liveTaskCount = try row.decode("live_task_count")
        leasedTaskCount = try row.decode("leased")
        var requirement = try TaskRequirement(row)
        requirement.limits = try row.decode("limits")
        self.requirement = requirement
        reason = try row.decodeIfPresent("reason")
        after = try row.decode("after_jobs")
        startAfter = try row.decodeIfPresent("start_after")
        finishBy = try row.decodeIfPresent("finish_by")
        numericClass = try row.decodeIfPresent("numeric_class")
        webhook = try row.decodeIfPresent("webhook")
        traceparent = try row.decodeIfPresent("traceparent")
        tracestate = try row.decodeIfPresent("tracestate")
        cost = try row.decode("cost")
        eventCount = try row.decode("event_count")
    }
}

/// An image as it stands; its name and settings follow from its job's specification and its index.
package struct ImageRecord: Sendable, Hashable {
    package let id: ImageID
    package let job: JobID
    package let task: TaskID
    package let index: Int
    package let state: ImageState
    package let output: OutputRecord?
    package let failure: FailureView?
    /// The draft that was made of it.
    package let draft: DraftView?

    init(_ row: Row) throws {
        id = try row.decode("id")
        job = try row.decode("job_id")
        task = try row.decode("task_id")
        index = try row.decode("index")
        state = try row.decode("state")
        output = try OutputRecord(row)
        failure = try FailureView(row)
        draft = try DraftView(row)
    }
}

/// What was delivered.
package struct OutputRecord: Sendable, Hashable {
    package let digest: String
    package let size: Int64
    package let attempt: AttemptID
    package let numericClass: String
    package let deliveredAt: Date
    /// Why it may be wrong; nil where nobody contradicts it.
    package let doubt: String?

    /// Reads the output of an image; nil when there is none.
    fileprivate init?(_ row: Row) throws {
        guard let digest = try row.decodeIfPresent("digest", as: String.self) else { return nil }
        self.digest = digest
        size = try row.decode("size")
        attempt = try row.decode("attempt_id")
        numericClass = try row.decode("numeric_class")
        deliveredAt = try row.decode("delivered_at")
        doubt = try row.decodeIfPresent("doubt")
    }
}

/// A task as it stands.
package struct TaskRecord: Sendable, Hashable {
    package let id: TaskID
    package let job: JobID
    package let number: Int
    package let state: TaskState
    /// How often it was claimed.
    package let attempts: Int
    /// How many attempts count against the limit, and how many of them were lapsed leases.
    package let failures: Int
    package let lapses: Int
    /// How many leases it had.
    package let epoch: Int64
    package let firstIndex: Int
    package let imageCount: Int
    package let undelivered: Int
    /// The predicted work, in floating point operations.
    package let cost: Double
    /// Until when it rests after a failure.
    package let restsUntil: Date?
    package let lease: LeaseRecord?
    package let failure: FailureView?
    /// How often it was parked, and where and for what the last time.
    package let parks: Int
    package let parked: ParkedView?

    init(_ row: Row) throws {
        id = try row.decode("id")
        job = try row.decode("job_id")
        number = try row.decode("number")
        state = try row.decode("state")
        let lease = try LeaseRecord(row)
        attempts = try row.decode("attempts", as: Int.self) + (lease == nil ? 0 : 1)
        failures = try row.decode("failures")
        lapses = try row.decode("lapses")
        epoch = try lease?.epoch ?? row.decode("epoch")
        firstIndex = try row.decode("first_index")
        imageCount = try row.decode("image_count")
        undelivered = try row.decode("undelivered")
        cost = try row.decode("cost")
        restsUntil = try row.decodeIfPresent("until")
        self.lease = lease
        failure = try FailureView(row)
        parks = try row.decode("parks")
        parked = try ParkedView(row)
    }
}

/// The lease of a task.
package struct LeaseRecord: Sendable, Hashable {
    package let attempt: AttemptID
    package let epoch: Int64
    package let worker: WorkerID
    package let claimedAt: Date
    package let deadline: Date
    package let begunAt: Date?
    package let imageIndex: Int?
    package let step: Int
    package let steps: Int

    /// Reads the lease of a task; nil when it has none.
    fileprivate init?(_ row: Row) throws {
        guard let attempt = try row.decodeIfPresent("attempt_id", as: AttemptID.self) else {
            return nil
        }
        self.attempt = attempt
        epoch = try row.decode("lease_epoch")
        worker = try row.decode("worker_id")
        claimedAt = try row.decode("claimed_at")
        deadline = try row.decode("deadline")
        begunAt = try row.decodeIfPresent("begun_at")
        imageIndex = try row.decodeIfPresent("image_index")
        step = try row.decode("step")
        steps = try row.decode("steps")
    }
}

extension FailureView {
    /// Reads the failure of an image, a task or an attempt; nil when there is none.
    init?(_ row: Row) throws {
        guard let failureClass = try row.decodeIfPresent("failure_class", as: FailureClass.self)
        else { return nil }
        self.init(failureClass: failureClass, message: try row.decode("failure_message"))
    }
}

extension DraftView {
    /// Reads the draft of an image; nil when there is none.
    fileprivate init?(_ row: Row) throws {
        guard let step = try row.decodeIfPresent("draft_step", as: Int.self) else { return nil }
        self.init(
            step: step,
            digest: try row.decodeIfPresent("draft_digest"),
            size: try row.decode("draft_size"),
            mediaType: try row.decode("media_type"),
            draftedAt: try row.decode("drafted_at"),
            decision: try row.decodeIfPresent("decision"),
            decidedAt: try row.decodeIfPresent("decided_at")
        )
    }
}
