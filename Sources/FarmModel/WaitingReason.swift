package import FoundationEssentials

/// Why a task waits: one reason a task, by a stable name for commands and metrics.
package enum WaitingReason: String, Codable, CaseIterable, Sendable {
    case noWorker = "no_worker"
    case noMemory = "no_memory"
    case noPrecision = "no_precision"
    case noGroup = "no_group"
    case poolPaused = "pool_paused"
    case jobPaused = "job_paused"
    case dependency
    case startAfter = "start_after"
    case backoff
    case draft
    case limit
    case quota
    case fairShare = "fair_share"
    case behind
    case blobStoreFull = "blob_store_full"
}

/// A reason to wait, with what makes it so.
package enum WaitingCause: Hashable, Sendable {
    /// No live worker that is not kept from the job holds its model, in its pool, with its tags
    /// and class.
    case noWorker(Wanted)
    /// None of the workers that hold the model has so much memory; both in bytes.
    case noMemory(needed: Int64, largest: Int64)
    /// None of the workers that hold the model computes so.
    case noPrecision(wanted: String, offered: [String])
    /// No group that could render it is ready.
    case noGroup(GroupShortage)
    /// The pool takes no tasks; nil is the whole farm.
    case poolPaused(pool: String?)
    case jobPaused
    /// These jobs, by name or id, have not succeeded yet.
    case dependency(jobs: [String])
    case startAfter(Date)
    /// It rests after a failure.
    case backoff(until: Date, failure: String?)
    /// It is rendered to its draft, and a person is to keep or drop it.
    case draft
    /// So many workers are at the job, which is as many as it may have.
    case limit(maxWorkers: Int)
    /// A named limit has no place left, or is not known.
    case namedLimit(LimitShortage)
    /// The owner uses as much as it may.
    case quota(QuotaShortage)
    /// Other owners have had less of the farm.
    case fairShare(owner: String)
    /// So many tasks of the same owner go first.
    case behind(tasks: Int)
    /// The blob store's room is below its reserve; both in percent.
    case blobStoreFull(freePercent: Double, reservePercent: Double)

    /// What a worker has to be.
    package struct Wanted: Hashable, Sendable {
        package var model: String
        package var pool: String?
        package var tags: [String]
        package var numericClass: String?

        package init(
            model: String,
            pool: String? = nil,
            tags: [String] = [],
            numericClass: String? = nil
        ) {
            self.model = model
            self.pool = pool
            self.tags = tags
            self.numericClass = numericClass
        }
    }

    package var reason: WaitingReason {
        switch self {
        case .noWorker: .noWorker
        case .noMemory: .noMemory
        case .noPrecision: .noPrecision
        case .noGroup: .noGroup
        case .poolPaused: .poolPaused
        case .jobPaused: .jobPaused
        case .dependency: .dependency
        case .startAfter: .startAfter
        case .backoff: .backoff
        case .draft: .draft
        case .limit, .namedLimit: .limit
        case .quota: .quota
        case .fairShare: .fairShare
        case .behind: .behind
        case .blobStoreFull: .blobStoreFull
        }
    }
}
