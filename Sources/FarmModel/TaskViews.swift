package import FoundationEssentials

/// A task as the API gives it.
package struct TaskView: Codable, Hashable, Sendable {
    package var id: TaskID
    package var job: JobID?
    /// The place in its job, from 0.
    package var number: Int?
    package var state: TaskState
    /// How often it was tried.
    package var attempts: Int
    /// The index of its first image; its images follow each other.
    package var firstIndex: Int?
    package var imageCount: Int?
    package var undelivered: Int?
    /// The worker that holds its lease.
    package var worker: WorkerID?
    package var workerName: String?
    package var leaseDeadline: Date?
    package var progress: StepView?
    /// Why it waits.
    package var waiting: WhyView?
    package var failure: FailureView?
    /// Predicted work, in floating point operations.
    package var cost: Double?
    /// How often it was parked; nil for never.
    package var parks: Int?
    /// Where it was parked last, and for what, while it is not over.
    package var parked: ParkedView?

    package init(
        id: TaskID,
        state: TaskState,
        attempts: Int,
        worker: WorkerID? = nil,
        leaseDeadline: Date? = nil,
        failure: FailureView? = nil
    ) {
        self.id = id
        self.state = state
        self.attempts = attempts
        self.worker = worker
        self.leaseDeadline = leaseDeadline
        self.failure = failure
    }
}

/// How an attempt ended.
package enum AttemptEnding: String, Codable, CaseIterable, Sendable {
    case succeeded
    case failed
    case lapsed
    case released
    case cancelled
    /// It made room for a task of a higher band, and is gone on with from its checkpoint.
    case parked
    /// It reached the step after which a person decides.
    case drafted
}

/// Where an attempt was when a task of a higher band took its place.
package struct ParkedView: Codable, Hashable, Sendable {
    /// The index of the image that it was at; nil between two images.
    package var image: Int?
    /// How many steps of the image were done.
    package var step: Int
    /// The job whose task took its place; nil where it is not to be told: another owner's, which an operator
    /// lifted.
    package var job: JobID?

    package init(image: Int?, step: Int, job: JobID?) {
        self.image = image
        self.step = step
        self.job = job
    }

    /// What happened, as the end of a sentence on a task that waits.
    package var sentence: String {
        let place = image.map { "after step \(step) of image \($0)" } ?? "between two images"
        let cause =
            job.map { "the job \($0), which is of a higher band" } ?? "a task that went first"
        return "it was parked \(place) for \(cause), and goes on from there"
    }
}

/// One try at a task as the API gives it.
package struct AttemptView: Codable, Hashable, Sendable {
    package var id: AttemptID
    package var task: TaskID
    package var job: JobID?
    package var epoch: Int64
    package var worker: WorkerID
    package var workerName: String
    /// How it ended; nil while it runs.
    package var outcome: AttemptEnding?
    package var startedAt: Date
    package var finishedAt: Date?
    package var failure: FailureView?
    package var numericClass: String?
    /// Where it was, and for what, if it was parked.
    package var parked: ParkedView?
    /// What it took, as far as its worker has told; cold starts are in the metrics alone.
    package var report: AttemptReport?
    package var progress: StepView?

    package init(
        id: AttemptID,
        task: TaskID,
        epoch: Int64,
        worker: WorkerID,
        workerName: String,
        outcome: AttemptEnding?,
        startedAt: Date,
        finishedAt: Date? = nil,
        failure: FailureView? = nil
    ) {
        self.id = id
        self.task = task
        self.epoch = epoch
        self.worker = worker
        self.workerName = workerName
        self.outcome = outcome
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.failure = failure
    }
}

/// How far a leased task is: what its worker's last heartbeat said.
///
/// It is not stored, and travels in a job's event stream as `event: step` without an id.
package struct StepView: Codable, Hashable, Sendable {
    package var task: TaskID
    package var attempt: AttemptID
    package var worker: WorkerID
    package var workerName: String
    package var phase: RenderPhase?
    package var image: Int?
    package var step: Int
    package var steps: Int
    package var stepSeconds: Double?
    /// Whether `/v1/images/{id}/preview` has a picture of it.
    package var hasPreview: Bool

    package init(_ progress: AttemptProgress, worker: WorkerID, workerName: String) {
        task = progress.fence.task
        attempt = progress.fence.attempt
        self.worker = worker
        self.workerName = workerName
        phase = progress.phase
        image = progress.image
        step = progress.step
        steps = progress.steps
        stepSeconds = progress.stepSeconds
        hasPreview = progress.preview != nil
    }
}

/// What can happen to a job and what is in it, as its numbered events tell.
package enum EventKind: String, Codable, CaseIterable, Sendable {
    case jobCreated = "job.created"
    case jobStarted = "job.started"
    case jobPaused = "job.paused"
    case jobResumed = "job.resumed"
    /// Each of its images that is not over waits as a draft for a person.
    case jobDrafted = "job.drafted"
    case jobSucceeded = "job.succeeded"
    case jobFailed = "job.failed"
    case jobCancelled = "job.cancelled"
    case jobRetried = "job.retried"
    case jobPrioritized = "job.prioritized"
    /// It asks for a group from now on, since a worker alone would be late, or for none any more.
    case jobGrouped = "job.grouped"
    case imageDrafted = "image.drafted"
    /// Drafts go on from their checkpoints.
    case draftsKept = "drafts.kept"
    /// Drafts are cancelled, by a person or because nobody decided in time.
    case draftsDropped = "drafts.dropped"
    case imageDelivered = "image.delivered"
    case imageFailed = "image.failed"
    case imageCancelled = "image.cancelled"
    /// Other workers of its class made other bytes than those that were delivered.
    case imageDoubted = "image.doubted"
    case taskFailedAttempt = "task.failed_attempt"
    case taskLapsed = "task.lapsed"
    case taskReleased = "task.released"
    /// It made room for a task of a higher band.
    case taskParked = "task.parked"
    /// A group renders it that has fewer members than it asks for.
    case taskFellBack = "task.fell_back"

    /// Whether nothing follows it but a retry, or a doubt.
    package var endsJob: Bool {
        switch self {
        case .jobSucceeded, .jobFailed, .jobCancelled: true
        default: false
        }
    }
}

/// One event of a job; numbers follow each other without a gap, in the order of the commits.
package struct EventView: Codable, Hashable, Sendable {
    package var number: Int64
    package var kind: EventKind
    package var at: Date
    /// Which keys there are depends on the kind.
    package var data: EventData

    package init(number: Int64, kind: EventKind, at: Date, data: EventData = EventData()) {
        self.number = number
        self.kind = kind
        self.at = at
        self.data = data
    }
}

/// What an event tells beside its kind; each kind fills some.
package struct EventData: Codable, Hashable, Sendable {
    package var image: ImageID?
    package var index: Int?
    package var name: String?
    package var digest: String?
    package var size: Int64?
    package var task: TaskID?
    package var attempt: AttemptID?
    package var worker: String?
    package var failure: FailureView?
    package var reason: String?
    package var priority: Int?
    /// Whether an operator lifted the job above the owners' shares.
    package var isLifted: Bool?
    /// How what was at a worker is stopped.
    package var mode: CancelMode?
    /// How many images or tasks it is about, where it is about several at once.
    package var count: Int?
    /// The indices of these images.
    package var indices: [Int]?
    /// How many steps of the image were done.
    package var step: Int?
    /// How many of them are to be computed again.
    package var repeatedSteps: Int?
    /// The job whose task took its place; nil where that is another owner's, which an operator lifted.
    package var job: JobID?
    /// Where in a trace the job was submitted, as W3C's Trace Context writes it.
    package var traceparent: String?
    /// What others have noted of that trace, a `tracestate`.
    package var tracestate: String?

    package init() {}
}

/// Why tasks wait, for one cause.
package struct WhyView: Codable, Hashable, Sendable {
    package var reason: WaitingReason
    /// What is waited for and what can be done about it.
    package var sentence: String
    /// How many tasks wait for it.
    package var tasks: Int
    /// The task, where it is about one.
    package var task: TaskID?
    /// The figures of the sentence, by name.
    package var details: SpecificationValue

    package init(_ cause: WaitingCause, tasks: Int = 1, task: TaskID? = nil) {
        reason = cause.reason
        sentence = cause.sentence
        self.tasks = tasks
        self.task = task
        details = cause.details
    }
}
