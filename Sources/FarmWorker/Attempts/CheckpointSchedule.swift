/// When the next checkpoint of a rendering is due: by the work that would be lost, and by what a
/// checkpoint costs.
///
/// Only steps count as work, so that the answer does not depend on a clock.
package struct CheckpointSchedule: Hashable, Sendable {
    /// The least work between two checkpoints, in seconds.
    package let leastInterval: Double
    /// How many times a checkpoint's cost the work between two has to be.
    package let costFactor: Double
    private var work = 0.0
    private var cost = 0.0

    package init(leastInterval: Double = 5, costFactor: Double = 20) {
        self.leastInterval = leastInterval
        self.costFactor = costFactor
    }

    /// The work after which a checkpoint is worth its cost, in seconds.
    package var interval: Double { max(leastInterval, costFactor * cost) }

    /// Counts a step's work.
    ///
    /// - Returns: Whether a checkpoint is due after it.
    package mutating func noteStep(seconds: Double) -> Bool {
        work += seconds
        return work >= interval
    }

    /// Begins the count anew after a checkpoint that took `cost` seconds.
    package mutating func noteCheckpoint(cost: Double) {
        work = 0
        self.cost = cost
    }
}
