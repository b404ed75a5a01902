import FarmModel
import Synchronization

/// How long attempts were predicted to take when this coordinator gave them out; bounded.
final class Predictions: Sendable {
    private let capacity: Int
    private let seconds = Mutex<[AttemptID: Double]>([:])

    /// - Parameter capacity: How many are remembered; beyond that all are forgotten.
    init(capacity: Int = 20_000) {
        self.capacity = capacity
    }

    /// Notes how long an attempt is to take, in seconds.
    func note(_ prediction: Double, of attempt: AttemptID) {
        seconds.withLock { seconds in
            if seconds.count >= capacity { seconds = [:] }
            seconds[attempt] = prediction
        }
    }

    /// How long an attempt, which is over, was to take.
    func take(_ attempt: AttemptID) -> Double? {
        seconds.withLock { $0.removeValue(forKey: attempt) }
    }
}
