/// The growing waits between attempts to connect, from 0.1 seconds to the longest.
///
/// Each is drawn from the upper half of its range, so that many who lost one server do not come back
/// in step.
struct Backoff {
    /// The longest wait.
    let longest: Duration

    private var failures = 0

    init(longest: Duration) {
        self.longest = longest
    }

    /// Returns the wait after one more failure.
    mutating func next() -> Duration {
        failures = min(failures + 1, 8)
        let range = min(longest, .milliseconds(100 << (failures - 1)))
        return range * Double.random(in: 0.5...1)
    }
}
