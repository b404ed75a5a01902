package import FoundationEssentials

/// What the farm can do and what waits for it.
package struct CapacityView: Codable, Hashable, Sendable {
    /// Workers that take tasks.
    package var workers: Int
    package var idle: Int
    /// What all of them do in a second, as far as they have told.
    package var flopsPerSecond: Double
    package var leasedTasks: Int
    package var waitingTasks: Int
    /// Waiting tasks by reason.
    package var waiting: [String: Int]
    /// How many workers each pool should have, by name.
    package var pools: [PoolCapacityView]

    package init(
        workers: Int,
        idle: Int,
        flopsPerSecond: Double,
        leasedTasks: Int,
        waitingTasks: Int,
        waiting: [String: Int],
        pools: [PoolCapacityView]
    ) {
        self.workers = workers
        self.idle = idle
        self.flopsPerSecond = flopsPerSecond
        self.leasedTasks = leasedTasks
        self.waitingTasks = waitingTasks
        self.waiting = waiting
        self.pools = pools
    }
}

/// How many workers a pool should have for what is queued.
package struct PoolCapacityView: Codable, Hashable, Sendable {
    package var pool: String
    package var isPaused: Bool
    /// Workers that take tasks.
    package var workers: Int
    /// What one does in a second: the median of those that are remembered, else of the farm's; nil where
    /// none has told.
    package var speed: Double?
    /// Images that are queued or rendered.
    package var images: Int
    /// What they take of one worker's time, in seconds; nil where no speed is known.
    package var workSeconds: Double?
    /// In how many seconds they are done by the workers that the pool has; nil where it has none.
    package var seconds: Double?
    /// How many workers finish what is queued within `capacity-target`.
    package var forQueue: Int
    /// How many finish each job by the time at which it is wanted.
    package var forDeadlines: Int
    /// The earliest time at which a job is wanted that so many do not keep.
    package var missedDeadline: Date?
    /// The larger of the two, at most one an image: what an autoscaler is to aim for.
    package var recommended: Int

    package init(pool: String, isPaused: Bool, workers: Int, speed: Double?) {
        self.pool = pool
        self.isPaused = isPaused
        self.workers = workers
        self.speed = speed
        images = 0
        forQueue = 0
        forDeadlines = 0
        recommended = 0
    }
}
