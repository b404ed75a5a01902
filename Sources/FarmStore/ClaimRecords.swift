package import FarmModel
package import FoundationEssentials

/// A worker's wish for tasks.
struct TaskClaim: Sendable {
    let worker: WorkerID
    /// The registration that claims; 0 where it is not said.
    let epoch: Int64
    var limit: Int
    /// Jobs whose computed conditions the worker has at hand.
    let warm: Set<JobID>
    /// The group that it says it would render with as its first rank; nil alone.
    var lead: GroupEpoch?

    /// Whether the process that claims is the one that the worker's row is of.
    func isOf(_ worker: WorkerCapability) -> Bool { epoch == 0 || epoch == worker.epoch }

    /// Whether it would render as the worker's row says: alone, or in that epoch of that group.
    func knowsSeat(of worker: WorkerCapability) -> Bool { lead == worker.lead }
}

/// A task's place in a claim: who gets it.
struct ClaimSlot: Sendable {
    let worker: WorkerID
    let epoch: Int64
    /// Whether it is a member of a group, and the one that it claims for: a claim that knew it
    /// otherwise gets nothing.
    var isMember = false
    var lead: GroupEpoch?

    /// What it claims for, in one word; empty where that is itself.
    var leadKey: String { lead.map { "\($0.group)/\($0.epoch)" } ?? "" }
}

/// The answer to a claim.
package enum ClaimOutcome: Sendable, Hashable {
    /// There is no such worker, or another process has its name: it has to register again.
    case unknownWorker
    /// The leased tasks, at least one.
    case tasks([ClaimedTask])
    /// There is nothing for this worker now.
    case none(NoTask)
}

/// Why a worker gets no task now.
package enum NoTask: Sendable, Hashable {
    /// Nothing can be claimed.
    case nothingWaits
    /// Tasks wait, and this worker can run none of them: what it lacks, and in words.
    case notEligible(WaitingReason, detail: String)
    /// The worker is to take nothing.
    case workerState(WorkerState)
    /// The worker is a member of a group that another one claims for, or that forms, or is not in
    /// the group that it claims for.
    case inGroup
    case poolPaused
    case farmPaused
}

/// A leased task.
package struct ClaimedTask: Sendable, Hashable {
    package let fence: AttemptFence
    package let job: JobID
    package let owner: String
    package let number: Int
    /// The predicted work, in floating point operations.
    package let cost: Double
    /// The class that its pictures have to be of, where that is fixed.
    package let numericClass: String?
    package let leaseDeadline: Date
    /// How long it waited since its job was submitted, in seconds; nil where this is not its first
    /// attempt.
    package let waitSeconds: Double?
    /// The images that are not delivered yet, by index.
    package let images: [ClaimedImage]
}

/// An image to render; what it is follows from its job and index.
package struct ClaimedImage: Sendable, Hashable {
    package let id: ImageID
    package let index: Int
}
