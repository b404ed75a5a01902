package import FarmModel
package import FoundationEssentials
import Postgres

package struct TaskRequirement: Sendable, Hashable {
    package var precision: String?
    package var memoryBytes: Int64?
    package var pool: String?
    package var tags: [String] = []
    package var groupSize = 1
    package init() {}
}
package struct NewTask: Sendable, Hashable {
    package var imageCount: Int
    package var cost: Double
    package init(imageCount: Int = 1, cost: Double) { self.imageCount = imageCount; self.cost = cost }
}
package struct JobSubmission: Sendable {
    package var id: JobID = .timeOrdered()
    package var owner: String
    package var key: String?
    package var name: String
    package var specification: String
    package var canonicalDigest: String
    package var modelName: String
    package var modelDigest: String
    package var priority = 50
    package var maxAttempts = 5
    package var maxWorkers: Int?
    package var maxFailures: Int?
    package var isSameClass = false
    package var requirement = TaskRequirement()
    package var after: [JobID] = []
    package var startAfter: Date?
    package var webhook: String?
    package var blobs: [String] = []
    package var tasks: [NewTask]
    package init(owner: String, key: String?, name: String, specification: String, canonicalDigest: String, modelName: String, modelDigest: String, tasks: [NewTask]) {
        self.owner = owner; self.key = key; self.name = name; self.specification = specification
        self.canonicalDigest = canonicalDigest; self.modelName = modelName; self.modelDigest = modelDigest; self.tasks = tasks
    }
}
package enum SubmitOutcome: Sendable { case created(JobRecord), existing(JobRecord), conflict(JobRecord), unknownDependency(JobID) }
package struct JobRecord: Sendable {
    package let id: JobID
    package let key: String?
    package let owner: String
    package let name: String
    package let state: JobState
    package let priority: Int
    package let isLifted: Bool
    package let specification: String
    package let modelName: String
    package let modelDigest: String
    package let createdAt: Date
    package let startedAt: Date?
    package let finishedAt: Date?
    package let images: ImageTally
    package let taskCount: Int
    package let liveTaskCount: Int
    package let reason: String?
    package let after: [JobID]
    package let startAfter: Date?
    package let numericClass: String?
    package let cost: Double
    package let eventCount: Int64
}
package struct OutputRecord: Sendable, Hashable {
    package let digest: String
    package let size: Int64
    package let attempt: AttemptID
    package let numericClass: String
    package let deliveredAt: Date
}
package struct ImageRecord: Sendable {
    package let id: ImageID
    package let job: JobID
    package let task: TaskID
    package let index: Int
    package let state: ImageState
    package let output: OutputRecord?
    package let failure: FailureView?
}
package struct LeaseView: Sendable, Hashable {
    package let attempt: AttemptID
    package let worker: WorkerID
    package let deadline: Date
}
package struct TaskRecord: Sendable {
    package let id: TaskID
    package let job: JobID
    package let number: Int
    package let state: TaskState
    package let attempts: Int
    package let firstIndex: Int
    package let imageCount: Int
    package let undelivered: Int
    package let cost: Double
    package let lease: LeaseView?
    package let failure: FailureView?
}
package struct AttemptRecord: Sendable {
    package let fence: AttemptFence
    package let worker: WorkerID
    package let workerName: String
    package let outcome: String?
    package let startedAt: Date
    package let finishedAt: Date?
    package let failure: FailureView?
}
package enum NoTask: Sendable, Hashable { case nothingWaits, notEligible(WaitingReason, String), workerState(WorkerState), poolPaused, farmPaused }
package enum ClaimOutcome: Sendable { case unknownWorker, tasks([ClaimedTask]), none(NoTask) }
package struct ClaimedImage: Sendable, Hashable { package let id: ImageID; package let index: Int }
package struct ClaimedTask: Sendable, Hashable {
    package let fence: AttemptFence
    package let job: JobID
    package let owner: String
    package let cost: Double
    package let numericClass: String?
    package let leaseDeadline: Date
    package let images: [ClaimedImage]
}
package struct DeliveredOutput: Sendable { package init(digest: String, size: Int64, numericClass: String = "") {} }
package struct AttemptTotals: Sendable {
    package var stepsComputed: Int64 = 0
    package var conditionsComputed = 0
    package var conditionsFound = 0
    package var busySeconds = 0.0
    package init() {}
}
package enum DeliverOutcome: Sendable { case delivered(TaskState?), alreadyDelivered(digest: String), stale, unknownImage }
extension FarmStore {
    package func submitJob(_ s: JobSubmission) async throws -> SubmitOutcome { .unknownDependency(s.id) }
    package func job(_ id: JobID) async throws -> JobRecord? { nil }
    func job(_ id: JobID, on c: PostgresConnection) async throws -> JobRecord? { nil }
    package func job(key: String, owner: String) async throws -> JobRecord? { nil }
    package func jobs(owner: String?, state: JobState?, name: String?, before: JobID?, limit: Int) async throws -> [JobRecord] { [] }
    package func images(of job: JobID, state: ImageState?, afterIndex: Int?, limit: Int) async throws -> [ImageRecord] { [] }
    package func image(_ id: ImageID) async throws -> ImageRecord? { nil }
    package func tasks(of job: JobID, state: TaskState?, afterNumber: Int?, limit: Int) async throws -> [TaskRecord] { [] }
    package func task(_ id: TaskID) async throws -> TaskRecord? { nil }
    package func attempts(of task: TaskID) async throws -> [AttemptRecord] { [] }
    package func claimTasks(worker: WorkerID, limit: Int) async throws -> ClaimOutcome { .none(.nothingWaits) }
    package func queueChanged() {}
    package func deliverImage(_ f: AttemptFence, imageIndex: Int, output: DeliveredOutput, final: AttemptTotals?) async throws -> DeliverOutcome { .stale }
    package func completeAttempt(_ f: AttemptFence, totals: AttemptTotals = .init()) async throws -> AttemptOutcome { .stale }
    package func failAttempt(_ f: AttemptFence, failure: AttemptFailure, totals: AttemptTotals = .init()) async throws -> AttemptOutcome { .stale }
    package func releaseAttempt(_ f: AttemptFence, totals: AttemptTotals = .init()) async throws -> AttemptOutcome { .stale }
    static func settleJobs(_ ids: [JobID], on connection: PostgresConnection) async throws {}
}
extension FailureView {
    init?(_ row: Row) throws {
        guard let failureClass = try row.decodeIfPresent("failure_class", as: FailureClass.self), let message = try row.decodeIfPresent("failure_message", as: String.self) else { return nil }
        self.init(failureClass: failureClass, message: message)
    }
}
