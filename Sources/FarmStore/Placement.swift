import FarmModel
import FoundationEssentials

/// Who is next: a pure function of what is known of the queue.
///
/// Heads that could run here and were not served for longer than the age bound go first, the one
/// that waits longest before the others; being served once begins its time anew, so that the bound
/// does not turn the queue into a line. Then come lifted jobs, then owners by their decayed charge
/// over their weight, and an owner's heads by priority, by whether the worker has their computed
/// conditions at hand, and by age.
struct Placement: Sendable {
    private(set) var view: QueueView
    let ageBound: Duration

    init(view: QueueView, ageBound: Duration) {
        self.view = view
        self.ageBound = ageBound
    }

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
    ///   - warm: Jobs whose computed conditions the worker has at hand.
    /// - Returns: Each head once, and none that the worker cannot run.
    func choices(
        for worker: WorkerCapability,
        wanted: Int,
        warm: Set<JobID> = []
    ) -> [Choice] {
        deal(to: worker, wanted: wanted, warm: warm).choices
    }

    /// The jobs between which warmth decides: an owner has put them side by side.
    static func rivals(in view: QueueView) -> Set<JobID> {
        struct Place: Hashable {
            var owner: String
            var priority: Int
            var isLifted: Bool
        }
        let places = Dictionary(grouping: view.heads) {
            // Lifted jobs of all owners stand in one line.
            Place(
                owner: $0.isLifted ? "" : $0.owner,
                priority: $0.priority,
                isLifted: $0.isLifted
            )
        }
        return Set(places.values.filter { $0.count > 1 }.flatMap { $0.map(\.job) })
    }

    /// The same for workers of different requirements that claim at one moment: each as though
    /// those before it had what they were dealt.
    func choices(
        for claims: [(worker: WorkerCapability, wanted: Int, warm: Set<JobID>)]
    ) -> [[Choice]] {
        var placement = self
        return claims.map { claim in
            let (choices, owners) = placement.deal(
                to: claim.worker,
                wanted: claim.wanted,
                warm: claim.warm
            )
            placement.view.owners = owners
            return choices
        }
    }

    /// The heads for a worker, and the owners charged with what it is dealt.
    private func deal(
        to worker: WorkerCapability,
        wanted: Int,
        warm: Set<JobID>
    ) -> (choices: [Choice], owners: [String: OwnerView]) {
        var ranking = Ranking(
            heads: view.heads.filter { view.exclusion(of: $0, for: worker) == nil },
            owners: view.owners,
            warm: warm,
            leads: worker.groupSize > 1,
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
        return (choices, ranking.owners)
    }
}

/// The heads of one claim in their order, while tasks are dealt.
private struct Ranking {
    /// An owner's heads, the most urgent first.
    private var queues: [String: ArraySlice<HeadView>]
    private var lifted: ArraySlice<HeadView>
    private var overdue: ArraySlice<HeadView>
    private(set) var owners: [String: OwnerView]

    init(
        heads: [HeadView],
        owners: [String: OwnerView],
        warm: Set<JobID>,
        leads: Bool,
        now: Date,
        ageBound: Duration
    ) {
        // what waits for a group goes before what others could render once it is no more
        func isBefore(_ head: HeadView, _ other: HeadView) -> Bool {
            let isForGroups = head.requirement.groupSize > 1
            return leads && isForGroups != (other.requirement.groupSize > 1)
                ? isForGroups : head.goesBefore(other, warm)
        }
        self.owners = owners
        let edge = now.addingTimeInterval(-ageBound.inSeconds)
        // The farm's own audits have their share, and no bound on how long they wait.
        overdue =
            heads.filter { $0.servedAt < edge && $0.owner != FarmOwner.audits }
            .sorted { $0.servedAt < $1.servedAt }[...]
        lifted = heads.filter(\.isLifted).sorted(by: isBefore)[...]
        queues = Dictionary(grouping: heads.filter { !$0.isLifted }, by: \.owner)
            .mapValues { $0.sorted(by: isBefore)[...] }
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
