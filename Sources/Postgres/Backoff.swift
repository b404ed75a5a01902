/// The growing waits between attempts to connect, from 0.1 to 5 seconds.
///
/// Each is drawn from the upper half of its range, so that many who lost one server do not come back
/// in step.
struct Backoff {
    private var failures = 0

    /// Returns the wait after one more failure.
    mutating func next() -> Duration {
        failures = min(failures + 1, 8)
        let longest = min(5.0, 0.1 * Double(1 << (failures - 1)))
        return .seconds(Double.random(in: longest / 2...longest))
    }
}
