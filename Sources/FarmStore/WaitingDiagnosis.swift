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
    let view: QueueView
    let heads: [WaitingHead]
    let blobs: BlobRoom?
    /// The workers that may take tasks, by name.
    private let workers: [WorkerCapability]
    /// What stands before each head, looked at once for all of them.
    private let line: WaitingLine
    /// What those who can run it say to each demand of jobs that no worker is kept from.
    private var abilities: [Wish: Ability] = [:]

    /// What a head asks for, with its model's name for people.
    private struct Wish: Hashable {
        var demand: TaskDemand
        var model: String
    }

    /// Whether anybody can run something.
    private struct Ability {
        /// What no worker has; nil where one has all of it.
        var lack: WaitingCause?
        /// The pool of those who could, where a pause keeps all of them from everything.
        var closedPool: String?
    }

    /// Looks at the farm for the heads, which may be very many.
    init(view: QueueView, heads: [WaitingHead] = [], blobs: BlobRoom? = nil) {
        self.view = view
        self.heads = heads
        self.blobs = blobs
        workers = view.workers.values.filter { $0.refusal == nil }
            .sorted { ($0.name, $0.id.description) < ($1.name, $1.id.description) }
        line = WaitingLine(heads, view)
        let kept = Set(view.blocks.map(\.job))
        for waiting in heads where !kept.contains(waiting.head.job) {
            let wish = Wish(demand: waiting.head.demand, model: waiting.modelName)
            if abilities[wish] == nil { abilities[wish] = ability(for: wish, of: nil) }
        }
    }

    private func ability(for wish: Wish, of job: JobID?) -> Ability {
        if let lack = unrunnable(wish.demand, model: wish.model, of: job) {
            return Ability(lack: lack)
        }
        let able = workers.filter { view.lack(of: $0, for: wish.demand, of: job) == nil }
        let isClosed = able.allSatisfy { view.isClosed(to: $0) }
        return Ability(closedPool: isClosed ? able.first?.pool : nil)
    }

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
        let wish = Wish(demand: head.demand, model: waiting.modelName)
        let isKept = view.blocks.contains { $0.job == head.job }
        let known = isKept ? nil : abilities[wish]
        let ability = known ?? ability(for: wish, of: head.job)
        if let cause = ability.lack {
            guard case .noGroup(var shortage) = cause else { return cause }
            shortage.choice = waiting.groupReason
            return .noGroup(shortage)
        }
        if let pool = ability.closedPool { return .poolPaused(pool: pool) }
        if let bound = view.bound(of: head) { return bound }
        if head.isAtLimit, let most = head.maxWorkers { return .limit(maxWorkers: most) }
        return turn(of: waiting, before: before)
    }

    /// Why a task whose turn it could be has to wait for its turn.
    private func turn(of waiting: WaitingHead, before: Int) -> WaitingCause {
        let head = waiting.head
        let ahead = line.tasks(before: head)
        if ahead == 0, line.isOverShare(head), !head.isLifted {
            return .fairShare(owner: head.owner)
        }
        return .behind(tasks: ahead + before)
    }

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
}

/// The order of the heads that have something ready, model by model.
private struct WaitingLine {
    /// The heads of one model.
    private struct Rivals {
        /// How many tasks of the same owner stand before each head, by its id.
        var before: [Int64: Int] = [:]
        /// The owners with the least and the second least share.
        var least: (owner: String, share: Double)?
        var second: (owner: String, share: Double)?

        mutating func note(_ owner: String, _ share: Double) {
            if least.map({ share < $0.share }) ?? true {
                second = least
                least = (owner, share)
            } else if second.map({ share < $0.share }) ?? true {
                second = (owner, share)
            }
        }
    }

    private var models: [String: Rivals] = [:]
    private let owners: [String: OwnerView]

    init(_ heads: [WaitingHead], _ view: QueueView) {
        owners = view.owners
        let open = heads.filter { $0.block == nil && $0.ready > 0 }
        for (model, rivals) in Dictionary(grouping: open, by: \.head.modelDigest) {
            var found = Rivals()
            for (owner, own) in Dictionary(grouping: rivals, by: \.head.owner) {
                found.note(owner, owners[owner]?.share ?? 0)
                var count = 0
                for waiting in own.sorted(by: { $0.head.goesBefore($1.head) }) {
                    found.before[waiting.head.id] = count
                    count += waiting.ready
                }
            }
            models[model] = found
        }
    }

    /// How many tasks of its owner, of its model, go before a head's.
    func tasks(before head: HeadView) -> Int { models[head.modelDigest]?.before[head.id] ?? 0 }

    /// Whether another owner that waits for the same model has got less.
    func isOverShare(_ head: HeadView) -> Bool {
        guard let rivals = models[head.modelDigest] else { return false }
        let other = rivals.least?.owner == head.owner ? rivals.second : rivals.least
        return other.map { $0.share < owners[head.owner]?.share ?? 0 } ?? false
    }
}
