import FarmModel
import FoundationEssentials

/// Who is next: a pure function of what is known of the queue.
///
/// Heads that could run here and were not served for longer than the age bound go first, the one
/// that waits longest before the others; being served once begins its time anew, so that the bound
/// does not turn the queue into a line. Then come lifted jobs, then owners by their decayed charge
/// over their weight, and an owner's heads by priority and age.
struct Placement: Sendable {
    let view: QueueView
    let ageBound: Duration

    /// How many heads a claim looks into at most.
    static let width = 64

    /// A head to claim from, and how many tasks.
    struct Choice: Sendable, Hashable {
        var head: HeadView
        var count: Int
    }

    /// The heads that a worker can claim from, the first before the others, with how many tasks
    /// to take of each.
    ///
    /// The tasks wanted are dealt one at a time, each charged to its owner before the next is
    /// chosen; heads behind those that were dealt stand in where these turn out to be empty.
    ///
    /// - Parameters:
    ///   - worker: Who claims.
    ///   - wanted: How many tasks.
    /// - Returns: Each head once, and none that the worker cannot run.
    func choices(for worker: WorkerCapability, wanted: Int) -> [Choice] {
        var ranking = Ranking(
            heads: view.heads.filter { exclusion(of: $0, for: worker) == nil },
            owners: view.owners,
            now: view.now,
            ageBound: ageBound
        )
        var choices: [Choice] = []
        var places: [Int64: Int] = [:]
        for _ in 0..<wanted {
            guard let head = ranking.best() else { break }
            if let place = places[head.id] {
                choices[place].count += 1
            } else {
                places[head.id] = choices.count
                choices.append(Choice(head: head, count: 1))
            }
            ranking.serve(head)
        }
        while choices.count < Self.width, let head = ranking.best() {
            if places[head.id] == nil {
                places[head.id] = choices.count
                choices.append(Choice(head: head, count: wanted))
            }
            ranking.remove(head)
        }
        return choices
    }

    /// Why a worker cannot claim from a head now; nil where it can.
    func exclusion(of head: HeadView, for worker: WorkerCapability) -> WaitingReason? {
        let wanted = head.requirement
        if view.isFarmPaused || view.pausedPools.contains(worker.pool) { return .poolPaused }
        guard worker.modelDigest == head.modelDigest,
            wanted.pool == nil || wanted.pool == worker.pool,
            worker.tags.isSuperset(of: wanted.tags),
            head.numericClass == nil || head.numericClass == worker.numericClass,
            !view.blocks.contains(WorkerBlock(job: head.job, worker: worker.name))
        else { return .noWorker }
        if let precision = wanted.precision, precision != worker.precision { return .noPrecision }
        if let memory = wanted.memoryBytes, memory > worker.memory { return .noMemory }
        if wanted.groupSize > 1 { return .noGroup }
        if let most = head.maxWorkers, head.workersAtIt.count >= most,
            !head.workersAtIt.contains(worker.id)
        {
            return .limit
        }
        return nil
    }
}

/// The heads of one claim in their order, while tasks are dealt.
private struct Ranking {
    /// An owner's heads, the most urgent first.
    private var queues: [String: ArraySlice<HeadView>]
    private var lifted: ArraySlice<HeadView>
    private var overdue: ArraySlice<HeadView>
    private var owners: [String: OwnerView]

    init(
        heads: [HeadView],
        owners: [String: OwnerView],
        now: Date,
        ageBound: Duration
    ) {
        self.owners = owners
        let edge = now.addingTimeInterval(-ageBound.inSeconds)
        func isUrgent(_ one: HeadView, _ other: HeadView) -> Bool {
            one.priority == other.priority ? one.id < other.id : one.priority > other.priority
        }
        overdue = heads.filter { $0.servedAt < edge }.sorted { $0.servedAt < $1.servedAt }[...]
        lifted = heads.filter(\.isLifted).sorted(by: isUrgent)[...]
        queues = Dictionary(grouping: heads.filter { !$0.isLifted }, by: \.owner)
            .mapValues { $0.sorted(by: isUrgent)[...] }
    }

    func best() -> HeadView? {
        if let head = overdue.first ?? lifted.first { return head }
        let owner = queues.keys.min { one, other in
            let (left, right) = (share(of: one), share(of: other))
            return left == right ? one < other : left < right
        }
        return owner.flatMap { queues[$0]?.first }
    }

    private func share(of owner: String) -> Double { owners[owner]?.share ?? 0 }

    /// Deals a task of a head: its owner is charged, and it is overdue no more.
    mutating func serve(_ head: HeadView) {
        owners[head.owner, default: OwnerView()].charge += head.taskCost
        overdue = overdue.filter { $0.id != head.id }[...]
    }

    mutating func remove(_ head: HeadView) {
        overdue = overdue.filter { $0.id != head.id }[...]
        lifted = lifted.filter { $0.id != head.id }[...]
        guard let rest = queues[head.owner]?.filter({ $0.id != head.id }) else { return }
        queues[head.owner] = rest.isEmpty ? nil : rest[...]
    }
}
