package import FarmModel
package import FoundationEssentials

/// A job to be accepted, checked and resolved already.
package struct JobSubmission: Sendable {
    /// Its farm-wide id.
    package var id = JobID.timeOrdered()
    /// Whose job it is.
    package var owner: String
    /// The client's own id for it, unique within the owner.
    package var key: String?
    package var name: String
    /// 0 to 100, orders the jobs of one owner.
    package var priority = 50
    /// The resolved specification as JSON: what every image is computed from.
    package var specification: String
    /// Equal for specifications that mean the same.
    package var canonicalDigest: String
    package var modelName: String
    package var modelDigest: String
    /// What a worker must have.
    package var requirement = TaskRequirement()
    /// How many failed attempts a task gets.
    package var maxAttempts = 5
    /// How many workers may be at it at once; nil for any number.
    package var maxWorkers: Int?
    /// How many failed images end it; nil for any number.
    package var maxFailures: Int?
    /// Whether all its images are rendered in the numeric class of the first.
    package var isSameClass = false
    /// After how many steps each of its images waits for a person; then every task has one image.
    package var draftSteps: Int?
    /// Jobs that have to succeed before.
    package var after: [JobID] = []
    /// Before this moment nothing of it is claimed.
    package var startAfter: Date?
    /// By when its pictures are wanted.
    package var finishBy: Date?
    /// What the costliest of them takes, where they are wanted by a moment.
    package var costliestImage: ImageCost?
    /// Where its end is told.
    package var webhook: String?
    /// Where in a trace it is submitted; nil in none.
    package var traceparent: String?
    /// What others have noted of that trace, a `tracestate`.
    package var tracestate: String?
    /// The digests of the files that it names.
    package var blobs: [String] = []
    /// Its tasks in their order, at least one; the indices of images run on over them from 0.
    package var tasks: [NewTask]
    /// How long a task is to take, in seconds, where nobody's speed was known to cut them by: they
    /// have one image each until a worker tells; nil where they are cut.
    package var targetSeconds: Double?

    /// Creates a submission with the defaults of everything else.
    package init(
        owner: String,
        key: String? = nil,
        name: String,
        specification: String,
        canonicalDigest: String,
        modelName: String,
        modelDigest: String,
        tasks: [NewTask]
    ) {
        self.owner = owner
        self.key = key
        self.name = name
        self.specification = specification
        self.canonicalDigest = canonicalDigest
        self.modelName = modelName
        self.modelDigest = modelDigest
        self.tasks = tasks
    }
}

/// A task of a job to be accepted.
package struct NewTask: Sendable {
    package var imageCount: Int
    /// The predicted work, in floating point operations.
    package var cost: Double

    package init(imageCount: Int = 1, cost: Double) {
        self.imageCount = imageCount
        self.cost = cost
    }
}

/// What a task asks of the worker that takes it; nil and empty are no wish.
package struct TaskRequirement: Sendable, Hashable {
    package var precision: String?
    package var numericClass: String?
    package var memoryBytes: Int64?
    package var pool: String?
    package var tags: [String] = []
    /// The named limits of which each leased task takes a place.
    package var limits: [String] = []
    /// How many workers render it together.
    package var groupSize = 1

    package init() {}
}

/// What became of a submission.
package enum SubmitOutcome: Sendable {
    /// The job is new.
    case created(JobRecord)
    /// The owner's key already means a job of the same digest.
    case existing(JobRecord)
    /// The owner's key already means another job.
    case conflict(JobRecord)
    /// A job that has to succeed before is not there.
    case unknownDependency(JobID)
}
