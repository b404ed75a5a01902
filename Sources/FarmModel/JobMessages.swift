package import FoundationEssentials

/// How many of a job's images stand in each state.
package struct ImageTally: Codable, Hashable, Sendable {
    package var waiting: Int
    package var rendering: Int
    package var delivered: Int
    package var failed: Int
    package var cancelled: Int

    package init(waiting: Int, rendering: Int, delivered: Int, failed: Int, cancelled: Int) {
        self.waiting = waiting
        self.rendering = rendering
        self.delivered = delivered
        self.failed = failed
        self.cancelled = cancelled
    }

    package var total: Int { waiting + rendering + delivered + failed + cancelled }
}

/// A job as the API gives it.
package struct JobView: Codable, Hashable, Sendable {
    package var id: JobID
    package var key: String?
    package var name: String
    package var owner: String
    package var state: JobState
    package var priority: Int
    package var model: String
    package var modelDigest: String
    package var images: ImageTally
    package var createdAt: Date
    package var startedAt: Date?
    package var finishedAt: Date?
    /// What was doubtful in the specification; only in the answer to its submission.
    package var warnings: [SpecificationProblem]?

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
    /// The output file's name.
    package var name: String
    package var state: ImageState
    /// The digest of the delivered bytes.
    package var digest: String?
    /// How many bytes were delivered.
    package var size: Int64?
    package var failure: FailureView?
    package var settings: RenderSettings

    package init(
        id: ImageID,
        index: Int,
        name: String,
        state: ImageState,
        digest: String?,
        size: Int64?,
        failure: FailureView?,
        settings: RenderSettings
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

/// A task as the API gives it.
package struct TaskView: Codable, Hashable, Sendable {
    package var id: TaskID
    package var state: TaskState
    /// How often it was tried.
    package var attempts: Int
    /// The worker that holds its lease.
    package var worker: WorkerID?
    package var leaseDeadline: Date?
    package var failure: FailureView?

    package init(
        id: TaskID,
        state: TaskState,
        attempts: Int,
        worker: WorkerID?,
        leaseDeadline: Date?,
        failure: FailureView?
    ) {
        self.id = id
        self.state = state
        self.attempts = attempts
        self.worker = worker
        self.leaseDeadline = leaseDeadline
        self.failure = failure
    }
}

/// One page of a list.
package struct Page<Item: Codable & Sendable>: Codable, Sendable {
    package var items: [Item]
    /// What to pass as `after` for the next page; nil at the end.
    package var next: String?

    package init(items: [Item], next: String?) {
        self.items = items
        self.next = next
    }
}

/// A list of digests: what may be missing, and in the answer what is.
package struct BlobList: Codable, Hashable, Sendable {
    package var digests: [BlobDigest]

    package init(digests: [BlobDigest]) {
        self.digests = digests
    }
}

/// A model that the farm knows.
package struct ModelView: Codable, Hashable, Sendable {
    package var name: String
    package var digest: String
    /// Whether a job that names no model gets this one.
    package var isDefault: Bool

    package init(name: String, digest: String, isDefault: Bool) {
        self.name = name
        self.digest = digest
        self.isDefault = isDefault
    }
}
