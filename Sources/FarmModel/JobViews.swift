package import FoundationEssentials

/// How many of a job's images stand in each state.
package struct ImageTally: Codable, Hashable, Sendable {
    package var waiting: Int
    package var rendering: Int
    /// Those that wait for a person to keep or drop them; nil for none.
    package var drafted: Int?
    package var delivered: Int
    package var failed: Int
    package var cancelled: Int

    package init(
        waiting: Int = 0,
        rendering: Int = 0,
        drafted: Int = 0,
        delivered: Int = 0,
        failed: Int = 0,
        cancelled: Int = 0
    ) {
        self.waiting = waiting
        self.rendering = rendering
        self.drafted = drafted > 0 ? drafted : nil
        self.delivered = delivered
        self.failed = failed
        self.cancelled = cancelled
    }

    package var total: Int { waiting + rendering + (drafted ?? 0) + delivered + failed + cancelled }
}

/// How many tasks a job has, and how many of them are not over.
package struct TaskTally: Codable, Hashable, Sendable {
    package var total: Int
    package var live: Int
    package var leased: Int

    package init(total: Int, live: Int, leased: Int) {
        self.total = total
        self.live = live
        self.leased = leased
    }
}

/// A job as the API gives it.
package struct JobView: Codable, Hashable, Sendable {
    package var id: JobID
    package var key: String?
    package var name: String
    package var owner: String
    package var state: JobState
    package var priority: Int
    /// Whether an operator lifted it above the owners' shares.
    package var isLifted: Bool?
    package var model: String
    package var modelDigest: String
    package var images: ImageTally
    package var tasks: TaskTally?
    package var createdAt: Date
    package var startedAt: Date?
    package var finishedAt: Date?
    package var startAfter: Date?
    /// By when its pictures are wanted.
    package var finishBy: Date?
    /// The jobs that have to succeed first.
    package var after: [JobID]?
    package var requirements: JobRequirements?
    /// The class of all its images, where the job has one class and it is fixed.
    package var numericClass: String?
    /// Why the farm itself stopped it, as too many failures or a failed dependency.
    package var reason: String?
    /// Why its tasks wait; only where one job is asked for.
    package var waiting: [WhyView]?
    /// Predicted work, in floating point operations.
    package var cost: Double?
    /// When the rest is predicted to be done, in seconds from now.
    package var etaSeconds: Double?
    /// The band in which nine of ten such predictions come true, in seconds from now.
    package var etaEarliestSeconds: Double?
    package var etaLatestSeconds: Double?
    /// The number of its latest event.
    package var eventNumber: Int64?
    /// What was doubtful in the specification; only in the answer to its submission.
    package var warnings: [SpecificationProblem]?
    /// The trace in which it was submitted, 32 hexadecimal digits; nil in none.
    package var trace: String?

    package init(
        id: JobID,
        key: String?,
        name: String,
        owner: String,
        state: JobState,
        priority: Int,
        model: String,
        modelDigest: String,
        images: ImageTally,
        createdAt: Date,
        startedAt: Date?,
        finishedAt: Date?,
        warnings: [SpecificationProblem]? = nil
    ) {
        self.id = id
        self.key = key
        self.name = name
        self.owner = owner
        self.state = state
        self.priority = priority
        self.model = model
        self.modelDigest = modelDigest
        self.images = images
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.warnings = warnings
    }
}

/// Why something failed, for people and for the farm's decisions.
package struct FailureView: Codable, Hashable, Sendable {
    package var failureClass: FailureClass
    package var message: String

    package init(failureClass: FailureClass, message: String) {
        self.failureClass = failureClass
        self.message = message
    }
}

/// An image as the API gives it.
package struct ImageView: Codable, Hashable, Sendable {
    package var id: ImageID
    package var index: Int
    package var task: TaskID?
    /// The output file's name.
    package var name: String
    package var state: ImageState
    /// The digest of the delivered bytes.
    package var digest: String?
    /// How many bytes were delivered.
    package var size: Int64?
    package var deliveredAt: Date?
    /// The attempt that delivered it.
    package var attempt: AttemptID?
    /// The class that it was rendered in.
    package var numericClass: String?
    /// Why what was delivered may be wrong, and what to do; nil where nobody contradicts it.
    package var doubt: String?
    package var failure: FailureView?
    /// The draft that was made of it; nil where none was.
    package var draft: DraftView?
    /// Everything that decides the picture but the model; nil where the farm cannot read its job's
    /// specification.
    package var settings: RenderSettings?

    package init(
        id: ImageID,
        index: Int,
        name: String,
        state: ImageState,
        digest: String? = nil,
        size: Int64? = nil,
        failure: FailureView? = nil,
        settings: RenderSettings?
    ) {
        self.id = id
        self.index = index
        self.name = name
        self.state = state
        self.digest = digest
        self.size = size
        self.failure = failure
        self.settings = settings
    }
}

/// A new priority of a job: the body of `PATCH /v1/jobs/{id}`.
package struct PriorityRequest: Codable, Hashable, Sendable {
    package var priority: Int?
    /// Above the owners' shares, for operators only.
    package var isLifted: Bool?

    package init(priority: Int? = nil, isLifted: Bool? = nil) {
        self.priority = priority
        self.isLifted = isLifted
    }
}

/// What a deletion of a job takes with it: the answer to `DELETE …?what_if=true`, and to a
/// deletion, what it took.
package struct DeletePreview: Codable, Hashable, Sendable {
    package var job: JobID
    package var name: String
    package var state: JobState
    /// Whether it still runs: it has to be cancelled first.
    package var isLive: Bool
    package var images: Int
    /// Delivered pictures, which stay readable until blobs are swept.
    package var outputs: Int
    package var outputBytes: Int64
    package var attempts: Int
    package var events: Int
    /// Jobs that wait for this one.
    package var dependents: [JobID]
    package var isDeleted: Bool

    package init(
        job: JobID,
        name: String,
        state: JobState,
        images: Int,
        outputs: Int,
        outputBytes: Int64,
        attempts: Int = 0,
        events: Int = 0,
        dependents: [JobID] = [],
        isDeleted: Bool = false
    ) {
        self.job = job
        self.name = name
        self.state = state
        isLive = !state.isFinal
        self.images = images
        self.outputs = outputs
        self.outputBytes = outputBytes
        self.attempts = attempts
        self.events = events
        self.dependents = dependents
        self.isDeleted = isDeleted
    }
}

/// What a job would be: the answer to `POST /v1/jobs?dry_run=true`.
package struct PlanView: Codable, Hashable, Sendable {
    package var name: String
    package var model: String
    package var modelDigest: String
    package var images: Int
    package var tasks: Int
    package var imagesPerTask: Int
    /// Predicted work, in floating point operations.
    package var flops: Double
    /// The work of the whole job at the speed of the live workers that can run it, in seconds; nil
    /// where there is none, or none has told its speed.
    package var estimatedSeconds: Double?
    /// Live workers that can run it.
    package var eligibleWorkers: Int
    /// How many workers would render a picture together, so that it is there by `finish_by`; nil
    /// where workers alone would.
    package var group: Int?
    /// What that follows from.
    package var groupReason: String?
    /// What no live worker can run now, with its reason; it would wait.
    package var unrunnable: [WhyView]
    package var warnings: [SpecificationProblem]
    /// The digests of references and LoRAs that the farm lacks.
    package var missingBlobs: [BlobDigest]

    package init(
        name: String,
        model: String,
        modelDigest: String,
        images: Int,
        tasks: Int,
        imagesPerTask: Int,
        flops: Double,
        estimatedSeconds: Double? = nil,
        eligibleWorkers: Int = 0,
        unrunnable: [WhyView] = [],
        warnings: [SpecificationProblem] = [],
        missingBlobs: [BlobDigest] = []
    ) {
        self.name = name
        self.model = model
        self.modelDigest = modelDigest
        self.images = images
        self.tasks = tasks
        self.imagesPerTask = imagesPerTask
        self.flops = flops
        self.estimatedSeconds = estimatedSeconds
        self.eligibleWorkers = eligibleWorkers
        self.unrunnable = unrunnable
        self.warnings = warnings
        self.missingBlobs = missingBlobs
    }
}

/// One page of a list.
package struct Page<Item: Codable & Sendable>: Codable, Sendable {
    package var items: [Item]
    /// What to pass as `after` for the next page; nil at the end.
    package var next: String?

    package init(items: [Item], next: String? = nil) {
        self.items = items
        self.next = next
    }
}
