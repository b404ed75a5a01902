import FarmModel
import FoundationEssentials

/// How much room a blob store has against what it keeps free, both in percent.
package struct BlobRoom: Sendable, Hashable {
    package var freePercent: Double
    package var reservePercent: Double

    package init(freePercent: Double, reservePercent: Double) {
        self.freePercent = freePercent
        self.reservePercent = reservePercent
    }

    /// Whether claims stop for want of room.
    package var isFull: Bool { freePercent < reservePercent }
}

/// The tasks of a head that wait.
struct WaitingHead: Sendable, Hashable {
    enum Block: String, Sendable {
        case jobPaused = "job_paused"
        case dependency
        case startAfter = "start_after"
    }

    var head: HeadView
    var modelName: String
    var block: Block?
    /// The jobs, by name, that it waits for.
    var dependencies: [String]
    var startAfter: Date?
    /// Why the farm itself chose a group for it; nil where it did not.
    var groupReason: String?
    /// How many of its tasks can be claimed.
    var ready: Int
}

/// The farm at one moment, as far as it decides what waits; pure.
///
/// What keeps a worker from a head it does not decide: the view does, as it does for claims.
struct WaitingDiagnosis: Sendable {
    /// The workers, owners, pauses and blocks.
    var view: QueueView
    var heads: [WaitingHead] = []
    var blobs: BlobRoom?

    /// Why the ready tasks of a head wait, one reason for all; of the task that has so many of its
    /// head before it.
    func cause(of waiting: WaitingHead, before: Int = 0) -> WaitingCause {
        switch waiting.block {
        case .jobPaused: return .jobPaused
        case .dependency: return .dependency(jobs: waiting.dependencies)
        case .startAfter: return .startAfter(waiting.startAfter ?? .distantFuture)
        case nil: break
        }
        let head = waiting.head
        if view.isFarmPaused { return .poolPaused(pool: nil) }
        if let pool = head.requirement.pool, view.pausedPools.contains(pool) {
            return .poolPaused(pool: pool)
        }
        if let blobs, blobs.isFull {
            return .blobStoreFull(
                freePercent: blobs.freePercent,
                reservePercent: blobs.reservePercent
            )
        }
        if let cause = unrunnable(head.demand, model: waiting.modelName, of: head.job) {
            guard case .noGroup(var shortage) = cause else { return cause }
            shortage.choice = waiting.groupReason
            return .noGroup(shortage)
        }
        let able = workers.filter { view.lack(of: $0, for: head.demand, of: head.job) == nil }
        if able.allSatisfy({ view.isClosed(to: $0) }), let pool = able.first?.pool {
            return .poolPaused(pool: pool)
        }
        if let bound = view.bound(of: head) { return bound }
        if head.isAtLimit, let most = head.maxWorkers { return .limit(maxWorkers: most) }
        return turn(of: waiting, before: before)
    }

    /// Why a task whose turn it could be has to wait for its turn.
    private func turn(of waiting: WaitingHead, before: Int) -> WaitingCause {
        let head = waiting.head
        let rivals = heads.filter {
            $0.block == nil && $0.ready > 0 && $0.head.modelDigest == head.modelDigest
        }
        let ahead = rivals.filter { $0.head.owner == head.owner && $0.head.goesBefore(head) }
            .reduce(0) { $0 + $1.ready }
        let own = share(of: head.owner)
        let isOver = rivals.contains {
            $0.head.owner != head.owner && share(of: $0.head.owner) < own
        }
        if ahead == 0, isOver, !head.isLifted { return .fairShare(owner: head.owner) }
        return .behind(tasks: ahead + before)
    }

    private func share(of owner: String) -> Double { view.owners[owner]?.share ?? 0 }

    /// What no worker that may take tasks has; nil when one has all of it.
    ///
    /// Named is what those lack that lack the least.
    func unrunnable(
        _ demand: TaskDemand,
        model: String,
        of job: JobID? = nil
    ) -> WaitingCause? {
        var lacking: [WaitingReason: [WorkerCapability]] = [:]
        for worker in workers {
            guard let lack = view.lack(of: worker, for: demand, of: job) else { return nil }
            lacking[lack, default: []].append(worker)
        }
        let reason = TaskDemand.lacks.last { lacking[$0] != nil } ?? .noWorker
        let nearest = lacking[reason] ?? []
        let wanted = demand.requirement
        switch reason {
        case .noGroup: return groupShortage(of: demand, model: model)
        case .noMemory:
            return .noMemory(
                needed: wanted.memoryBytes ?? 0,
                largest: nearest.map(\.memory).max() ?? 0
            )
        case .noPrecision:
            return .noPrecision(
                wanted: wanted.precision ?? "",
                offered: Set(nearest.map(\.precision)).sorted()
            )
        default:
            return .noWorker(
                WaitingCause.Wanted(
                    model: model,
                    pool: wanted.pool,
                    tags: wanted.tags,
                    numericClass: demand.numericClass
                )
            )
        }
    }

    /// The workers that may take tasks, by name.
    private var workers: [WorkerCapability] {
        view.workers.values.filter { $0.refusal == nil }
            .sorted { ($0.name, $0.id.description) < ($1.name, $1.id.description) }
    }
}
