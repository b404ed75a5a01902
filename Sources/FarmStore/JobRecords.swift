package import FarmModel
package import FoundationEssentials
import Postgres

/// A job to be accepted, checked and expanded already.
package struct JobSubmission: Sendable {
    /// Whose job it is.
    package var owner: String
    /// The client's own id for it, unique within the owner.
    package var key: String?
    package var name: String
    /// 0 to 100, orders the jobs of one owner.
    package var priority = 50
    /// The whole specification as JSON.
    package var specification: String
    /// Equal for specifications that mean the same.
    package var canonicalDigest: String
    package var modelName: String
    package var modelDigest: String
    /// The precision that workers must have; nil for any.
    package var precision: String?
    /// How many failed attempts a task gets.
    package var maxAttempts = 5
    /// How many images make a task.
    package var imagesPerTask = 1
    /// Before this moment nothing of it is claimed.
    package var startAfter: Date?
    /// Its images, at least one, with indices and names that occur once.
    package var images: [NewImage]

    /// Creates a submission with the defaults of everything else.
    package init(
        owner: String,
        key: String? = nil,
        name: String,
        specification: String,
        canonicalDigest: String,
        modelName: String,
        modelDigest: String,
        images: [NewImage]
    ) {
        self.owner = owner
        self.key = key
        self.name = name
        self.specification = specification
        self.canonicalDigest = canonicalDigest
        self.modelName = modelName
        self.modelDigest = modelDigest
        self.images = images
    }
}

/// An image of a job to be accepted.
package struct NewImage: Sendable {
    package var index: Int
    /// The output file's name.
    package var name: String
    package var seed: Int64
    /// Everything that determines the picture, as JSON.
    package var parameters: String

    package init(index: Int, name: String, seed: Int64, parameters: String) {
        self.index = index
        self.name = name
        self.seed = seed
        self.parameters = parameters
    }
}

/// What became of a submission.
package enum SubmitOutcome: Sendable {
    /// The job is new.
    case created(JobRecord)
    /// The owner's key already means a job of the same digest.
    case existing(JobRecord)
    /// The owner's key already means another job.
    case conflict(JobRecord)
}

/// A job as it stands.
package struct JobRecord: Sendable, Hashable {
    package let id: JobID
    package let key: String?
    package let owner: String
    package let name: String
    package let state: JobState
    package let priority: Int
    package let specification: String
    package let canonicalDigest: String
    package let modelName: String
    package let modelDigest: String
    package let createdAt: Date
    package let startedAt: Date?
    package let finishedAt: Date?
    package let images: ImageTally

    init(_ row: Row) throws {
        id = try row.decode("id")
        key = try row.decodeIfPresent("key")
        owner = try row.decode("owner")
        name = try row.decode("name")
        state = try row.decode("state")
        priority = try row.decode("priority")
        specification = try row.decode("specification")
        canonicalDigest = try row.decode("canonical_digest")
        modelName = try row.decode("model_name")
        modelDigest = try row.decode("model_digest")
        createdAt = try row.decode("created_at")
        startedAt = try row.decodeIfPresent("started_at")
        finishedAt = try row.decodeIfPresent("finished_at")
        images = ImageTally(
            waiting: try row.decode("waiting"),
            rendering: try row.decode("rendering"),
            delivered: try row.decode("delivered"),
            failed: try row.decode("failed"),
            cancelled: try row.decode("cancelled")
        )
    }
}

/// An image as it stands.
package struct ImageRecord: Sendable, Hashable {
    package let id: ImageID
    package let job: JobID
    package let task: TaskID
    package let index: Int
    package let name: String
    package let seed: Int64
    package let parameters: String
    package let state: ImageState
    package let outputDigest: String?
    package let outputSize: Int64?
    package let deliveredAt: Date?
    package let failure: FailureView?

    init(_ row: Row) throws {
        id = try row.decode("id")
        job = try row.decode("job_id")
        task = try row.decode("task_id")
        index = try row.decode("index")
        name = try row.decode("name")
        seed = try row.decode("seed")
        parameters = try row.decode("parameters")
        state = try row.decode("state")
        outputDigest = try row.decodeIfPresent("output_digest")
        outputSize = try row.decodeIfPresent("output_size")
        deliveredAt = try row.decodeIfPresent("delivered_at")
        failure = try FailureView(row)
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
    package let epoch: Int64
    package let readyAt: Date
    package let worker: WorkerID?
    package let leaseDeadline: Date?
    package let failure: FailureView?

    init(_ row: Row) throws {
        id = try row.decode("id")
        job = try row.decode("job_id")
        number = try row.decode("number")
        state = try row.decode("state")
        attempts = try row.decode("attempts")
        failures = try row.decode("failures")
        lapses = try row.decode("lapses")
        epoch = try row.decode("epoch")
        readyAt = try row.decode("ready_at")
        worker = try row.decodeIfPresent("worker_id")
        leaseDeadline = try row.decodeIfPresent("lease_deadline")
        failure = try FailureView(row)
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
