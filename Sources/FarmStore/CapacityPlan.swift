import FarmModel
import FoundationEssentials

/// How many workers each pool should have for what is queued; pure.
struct CapacityPlan: Sendable {
    /// What is left of a job, for the pool that renders it.
    struct Demand: Sendable {
        var pool: String
        var images: Int
        /// In floating point operations, as many as a worker does in the time that it takes.
        var cost: Double
        /// How many workers render one image.
        var ranks = 1
        var finishBy: Date?
    }

    /// A pool as it stands.
    struct Pool: Sendable {
        var isPaused = false
        var workers = 0
        /// What its workers do in a second, all together.
        var flops = 0.0
        /// What one does in a second; nil where none has told.
        var speed: Double?
    }

    var pools: [String: Pool]
    var demands: [Demand]
    var now: Date
    /// How long what is queued may take.
    var target: Duration

    /// The pools by name, with what each should have.
    func views() -> [PoolCapacityView] {
        let names = Set(pools.keys).union(demands.map(\.pool))
        return names.sorted().map { name in
            view(of: name, pools[name] ?? Pool(), demands.filter { $0.pool == name })
        }
    }

    private func view(of name: String, _ pool: Pool, _ demands: [Demand]) -> PoolCapacityView {
        var view = PoolCapacityView(
            pool: name,
            isPaused: pool.isPaused,
            workers: pool.workers,
            speed: pool.speed
        )
        view.images = demands.reduce(0) { $0 + $1.images }
        guard view.images > 0 else {
            view.workSeconds = pool.speed.map { _ in 0 }
            return view
        }
        // More workers than images, each with its ranks, find nothing.
        let most = demands.reduce(0) { $0 + $1.images * $1.ranks }
        let cost = demands.reduce(0) { $0 + $1.cost }
        guard let speed = pool.speed, speed > 0 else {
            // The first tells how fast it is.
            view.forQueue = min(most, max(1, pool.workers))
            view.recommended = view.forQueue
            return view
        }
        view.workSeconds = cost / speed
        if pool.flops > 0 { view.seconds = cost / pool.flops }
        view.forQueue = Self.count(cost / speed / max(1, target.inSeconds), most)
        (view.forDeadlines, view.missedDeadline) = deadlines(demands, pool, speed, most)
        // What is paused is not claimed, however many there are.
        view.recommended = pool.isPaused ? 0 : max(view.forQueue, view.forDeadlines)
        return view
    }

    /// How many workers finish every job in time, those that are wanted first going first; and the first
    /// time that those which there are do not keep.
    private func deadlines(
        _ demands: [Demand],
        _ pool: Pool,
        _ speed: Double,
        _ most: Int
    ) -> (count: Int, missed: Date?) {
        var cost = 0.0
        var wanted = 0
        var missed: Date?
        let due = demands.compactMap { demand in demand.finishBy.map { ($0, demand.cost) } }
        for (moment, part) in due.sorted(by: { $0.0 < $1.0 }) {
            cost += part
            let seconds = moment.timeIntervalSince(now)
            if cost > pool.flops * seconds, missed == nil { missed = moment }
            // What is late already is to be done as soon as what has no time.
            let allowed = seconds > 0 ? seconds : max(1, target.inSeconds)
            wanted = max(wanted, Self.count(cost / speed / allowed, most))
        }
        return (wanted, missed)
    }

    private static func count(_ workers: Double, _ most: Int) -> Int {
        max(1, Int(min(Double(most), workers.rounded(.up))))
    }
}
