import FarmModel
import Synchronization

/// What a worker's parts say of themselves at one moment.
struct WorkerReadings: Sendable {
    /// Where it stands; `starting` until its loops begin.
    var state = WorkerState.starting
    /// How long a lease of the farm lasts; nil while it is not registered.
    var leaseSeconds: Double?
    /// Attempts that it holds.
    var held = 0
    /// Of the picture that renders, how many steps are done and how many there are.
    var step = (done: 0, of: 0)
    /// Bytes that wait for the coordinator.
    var waitingBytes: Int64 = 0
    /// Memory that rendering may use, in bytes; 0 where it is not said.
    var memory: Int64 = 0
    /// Memory that is free for rendering; nil where it is not known.
    var freeMemory: Int64?
}

/// Reads a worker's parts, and knows when the coordinator was last heard.
final class WorkerReader: Sendable {
    private struct State {
        var read: @Sendable () -> WorkerReadings = { WorkerReadings() }
        /// When a heartbeat was last answered, or the process began.
        var heardAt: ContinuousClock.Instant
    }

    private let now: @Sendable () -> ContinuousClock.Instant
    private let state: Mutex<State>

    init(now: @escaping @Sendable () -> ContinuousClock.Instant) {
        self.now = now
        state = Mutex(State(heardAt: now()))
    }

    /// Reads the parts of a worker that has them from now on.
    func read(_ read: @escaping @Sendable () -> WorkerReadings) {
        state.withLock { $0.read = read }
    }

    /// Notes that the coordinator answered.
    func noteAnswer() {
        state.withLock { $0.heardAt = now() }
    }

    var readings: WorkerReadings { state.withLock(\.read)() }

    /// How long ago the coordinator answered, or the process began, in seconds.
    var silence: Double { (now() - state.withLock(\.heardAt)) / .seconds(1) }

    /// What keeps the worker from being ready: it is not registered, or was not heard for a lease; nil
    /// where it is.
    var obstacle: String? {
        guard let lease = readings.leaseSeconds else { return "the worker is not registered" }
        let silence = silence
        guard silence > lease else { return nil }
        return "no heartbeat was answered for \(Int(silence)) s"
    }
}
