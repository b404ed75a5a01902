/// A worker's wish for tasks.
package struct ClaimRequest: Codable, Hashable, Sendable {
    package var epoch: Int64
    /// The most tasks to answer with.
    package var limit: Int
    /// How long the coordinator may wait for a task to come, in seconds.
    package var waitSeconds: Double
    /// How long the worker's present work still takes, in seconds: it claims ahead by so much.
    package var busySeconds: Double
    /// The group that the worker claims for as its first rank, and would render with; nil alone.
    package var lead: GroupEpoch?

    package init(
        epoch: Int64 = 0,
        limit: Int = 1,
        waitSeconds: Double,
        busySeconds: Double = 0,
        lead: GroupEpoch? = nil
    ) {
        self.epoch = epoch
        self.limit = limit
        self.waitSeconds = waitSeconds
        self.busySeconds = busySeconds
        self.lead = lead
    }
}

/// Tasks, or why there are none.
package struct ClaimAnswer: Codable, Hashable, Sendable {
    package var tasks: [TaskAssignment]
    package var reason: NoTaskReason?
    /// The reason in words.
    package var detail: String?
    /// How long to wait before the next claim, in seconds; nil for not at all.
    package var retryAfterSeconds: Double?

    /// Answers with tasks.
    package init(tasks: [TaskAssignment]) {
        self.tasks = tasks
    }

    /// Answers with none.
    package init(reason: NoTaskReason, detail: String? = nil, retryAfterSeconds: Double? = nil) {
        tasks = []
        self.reason = reason
        self.detail = detail
        self.retryAfterSeconds = retryAfterSeconds
    }
}

/// Why a claim is answered with no task.
package enum NoTaskReason: String, Codable, CaseIterable, Sendable {
    /// Nothing waits that this worker can run.
    case noTask = "no_task"
    /// What waits needs more than this worker has: memory, precision, tags, another class.
    case notEligible = "not_eligible"
    /// The worker is to take nothing new and to end.
    case workerDraining = "worker_draining"
    /// The worker sleeps until it is woken.
    case workerAsleep = "worker_asleep"
    /// The worker is kept from tasks until a person has looked at it.
    case workerQuarantined = "worker_quarantined"
    /// It is a member of a group, whose first rank claims once the group is ready, or it is
    /// reserved for one.
    case inGroup = "in_group"
    /// Its pool takes no tasks.
    case poolPaused = "pool_paused"
    /// The whole farm takes no tasks.
    case farmPaused = "farm_paused"
    /// There is no room for outputs.
    case blobStoreFull = "blob_store_full"
    /// The coordinator stops; another one, or the next, answers.
    case shuttingDown = "shutting_down"

    /// Reads a reason; one that a newer coordinator gives means no task.
    package init(from decoder: any Decoder) throws {
        let name = try decoder.singleValueContainer().decode(String.self)
        self = NoTaskReason(rawValue: name) ?? .noTask
    }
}

/// A task with everything a worker needs to do it.
package struct TaskAssignment: Codable, Hashable, Sendable {
    package var fence: AttemptFence
    package var job: JobID
    package var jobName = ""
    /// Whose job it is: computed conditions are shared within one owner only.
    package var owner = ""
    /// How long the lease lasts from now without a heartbeat, in seconds.
    package var leaseSeconds: Double
    /// How long the attempt may take before it counts as hung, in seconds.
    package var timeLimitSeconds: Double?
    /// How long it is predicted to take here, in seconds.
    package var predictedSeconds: Double?
    /// The class that the job's images must have, where it is fixed.
    package var numericClass: String?
    /// The images that are still to be delivered.
    package var images: [ImageAssignment]
    /// Where earlier attempts left off.
    package var checkpoints: [CheckpointOffer] = []
    /// Where in a trace it was claimed, as W3C's Trace Context writes it; nil in none.
    package var traceparent: String?
    /// What others have noted of that trace, a `tracestate`.
    package var tracestate: String?

    package init(
        fence: AttemptFence,
        job: JobID,
        leaseSeconds: Double,
        images: [ImageAssignment]
    ) {
        self.fence = fence
        self.job = job
        self.leaseSeconds = leaseSeconds
        self.images = images
    }
}

/// One image to render.
package struct ImageAssignment: Codable, Hashable, Sendable {
    package var id: ImageID
    package var index: Int
    package var settings: RenderSettings
    /// After how many steps a person is to decide: it is stopped there with a draft; nil where it is to be
    /// finished.
    package var draftSteps: Int?

    package init(id: ImageID, index: Int, settings: RenderSettings) {
        self.id = id
        self.index = index
        self.settings = settings
    }
}

/// A stored checkpoint of an image that is still to be delivered.
package struct CheckpointOffer: Codable, Hashable, Sendable {
    package var imageIndex: Int
    /// The blob to fetch.
    package var digest: BlobDigest
    /// The steps that it holds.
    package var step: Int
    /// The class in which it may be continued.
    package var numericClass: String

    package init(imageIndex: Int, digest: BlobDigest, step: Int, numericClass: String) {
        self.imageIndex = imageIndex
        self.digest = digest
        self.step = step
        self.numericClass = numericClass
    }
}
