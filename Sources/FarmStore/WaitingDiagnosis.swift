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

/// A worker as far as it decides what may run.
struct WaitingWorker: Sendable, Hashable {
    var name: String
    var modelDigest: String
    var precision: String
    var memory: Int64
    var pool: String
    var tags: Set<String>
    var numericClass: String
}

/// What a task asks of the worker that takes it.
struct WaitingRequirement: Sendable, Hashable {
    var modelName: String
    var modelDigest: String
    var requirements: JobRequirements
    var numericClass: String?
    /// Workers by name that are kept from the job.
    var blockedWorkers: Set<String> = []
}

/// Tasks of one requirement that wait.
struct WaitingHead: Sendable, Hashable {
    enum Block: String, Sendable {
        case jobPaused = "job_paused"
        case dependency
        case startAfter = "start_after"
    }

    var id: Int64
    var job: JobID
    var owner: String
    var priority: Int
    var isLifted: Bool
    var requirement: WaitingRequirement
    var maxWorkers: Int?
    var block: Block?
    /// The jobs, by name, that it waits for.
    var dependencies: [String]
    var startAfter: Date?
    /// How many of its tasks can be claimed, and how many workers are at its job.
    var ready: Int
    var workersAtIt: Int

    /// Whether it goes before another of the same owner.
    func goesBefore(_ other: WaitingHead) -> Bool {
        if isLifted != other.isLifted { return isLifted }
        return priority == other.priority ? id < other.id : priority > other.priority
    }
}

/// The farm at one moment, as far as it decides what waits; pure.
struct WaitingDiagnosis: Sendable {
    var isFarmPaused: Bool
    var pausedPools: Set<String>
    /// The workers that may take tasks.
    var workers: [WaitingWorker]
    var heads: [WaitingHead]
    /// What each owner was charged, over its weight.
    var shares: [String: Double]
    var blobs: BlobRoom?

    /// Why the ready tasks of a head wait, one reason for all; of the task that has so many of its
    /// head before it.
    func cause(of head: WaitingHead, before: Int = 0) -> WaitingCause {
        switch head.block {
        case .jobPaused: return .jobPaused
        case .dependency: return .dependency(jobs: head.dependencies)
        case .startAfter: return .startAfter(head.startAfter ?? .distantFuture)
        case nil: break
        }
        if isFarmPaused { return .poolPaused(pool: nil) }
        if let pool = head.requirement.requirements.pool, pausedPools.contains(pool) {
            return .poolPaused(pool: pool)
        }
        if let blobs, blobs.isFull {
            return .blobStoreFull(
                freePercent: blobs.freePercent,
                reservePercent: blobs.reservePercent
            )
        }
        if let cause = unrunnable(head.requirement) { return cause }
        let able = eligible(head.requirement)
        if let pool = able.first?.pool, able.allSatisfy({ pausedPools.contains($0.pool) }) {
            return .poolPaused(pool: pool)
        }
        if let most = head.maxWorkers, head.workersAtIt >= most { return .limit(maxWorkers: most) }
        return turn(of: head, before: before)
    }

    /// Why a task whose turn it could be has to wait for its turn.
    private func turn(of head: WaitingHead, before: Int) -> WaitingCause {
        let rivals = heads.filter {
            $0.block == nil && $0.ready > 0
                && $0.requirement.modelDigest == head.requirement.modelDigest
        }
        let ahead = rivals.filter { $0.owner == head.owner && $0.goesBefore(head) }
            .reduce(0) { $0 + $1.ready }
        let own = shares[head.owner] ?? 0
        let isOver = rivals.contains { $0.owner != head.owner && (shares[$0.owner] ?? 0) < own }
        if ahead == 0, isOver, !head.isLifted { return .fairShare(owner: head.owner) }
        return .behind(tasks: ahead + before)
    }

    /// What no worker that may take tasks has; nil when one has all of it.
    func unrunnable(_ wanted: WaitingRequirement) -> WaitingCause? {
        let requirements = wanted.requirements
        let fitting = workers.filter { wanted.isHeld(by: $0) }
        guard !fitting.isEmpty else {
            return .noWorker(
                WaitingCause.Wanted(
                    model: wanted.modelName,
                    pool: requirements.pool,
                    tags: requirements.tags,
                    numericClass: wanted.numericClass
                )
            )
        }
        let precise = fitting.filter { (requirements.precision ?? $0.precision) == $0.precision }
        guard !precise.isEmpty else {
            return .noPrecision(
                wanted: requirements.precision ?? "",
                offered: Set(fitting.map(\.precision)).sorted()
            )
        }
        let needed = requirements.memoryBytes ?? 0
        let roomy = precise.filter { $0.memory >= needed }
        guard !roomy.isEmpty else {
            return .noMemory(needed: needed, largest: precise.map(\.memory).max() ?? 0)
        }
        if let size = requirements.group, size > 1 {
            return .noGroup(size: size, workers: roomy.count)
        }
        return nil
    }

    /// The workers that have everything a requirement asks for.
    private func eligible(_ wanted: WaitingRequirement) -> [WaitingWorker] {
        workers.filter { wanted.isHeld(by: $0) && wanted.isMet(by: $0) }
    }
}

extension WaitingRequirement {
    /// Whether a worker holds the model, where it is looked for, and may take the job.
    func isHeld(by worker: WaitingWorker) -> Bool {
        worker.modelDigest == modelDigest && !blockedWorkers.contains(worker.name)
            && (requirements.pool ?? worker.pool) == worker.pool
            && worker.tags.isSuperset(of: requirements.tags)
            && (numericClass ?? worker.numericClass) == worker.numericClass
    }

    /// Whether a worker computes as asked and has the memory.
    func isMet(by worker: WaitingWorker) -> Bool {
        (requirements.precision ?? worker.precision) == worker.precision
            && worker.memory >= (requirements.memoryBytes ?? 0)
    }
}
