import FarmModel
import Synchronization

/// What a worker did, for its heartbeats and for those who run it.
package final class WorkerLedger: Sendable {
    private let state = Mutex(State())

    private struct State {
        var figures = WorkerFigures()
        var counts = WorkerCounts()
        var speed: Double?
    }

    /// What it did since its start.
    package var counts: WorkerCounts { state.withLock { $0.counts } }

    /// Takes the figures since the last time for a heartbeat.
    func takeFigures() -> WorkerFigures {
        state.withLock { state in
            defer { state.figures = WorkerFigures() }
            return state.figures
        }
    }

    /// Puts figures back that no one was told.
    func putBack(_ figures: WorkerFigures) {
        state.withLock { $0.figures.add(figures) }
    }

    /// The speed by the latest steps, in floating point operations a second; nil before any.
    var speed: Double? { state.withLock { $0.speed } }

    /// Forgets the speed: what renders from now on is something else.
    func forgetSpeed() {
        state.withLock { $0.speed = nil }
    }

    /// Notes a step of an image that is predicted to cost so much.
    ///
    /// - Parameters:
    ///   - seconds: How long it took; nil where that is no measure of the worker.
    ///   - cost: What the image costs, or nil where that is not known.
    func noteStep(seconds: Double?, _ cost: ImageCost?) {
        state.withLock { state in
            state.figures.steps += 1
            if let seconds {
                state.figures.measuredSteps = (state.figures.measuredSteps ?? 0) + 1
                state.figures.measuredStepSeconds =
                    (state.figures.measuredStepSeconds ?? 0) + seconds
            }
            guard let cost else { return }
            state.figures.denoiseTokens += cost.denoiseTokens / max(1, cost.steps)
            guard let seconds, seconds > 0 else { return }
            let speed = cost.stepFlops / seconds
            // A mean that forgets: one slow step is not the machine.
            state.speed = state.speed.map { 0.8 * $0 + 0.2 * speed } ?? speed
        }
    }

    func note(_ change: (inout WorkerFigures) -> Void) {
        state.withLock { change(&$0.figures) }
    }

    func count(_ change: (inout WorkerCounts) -> Void) {
        state.withLock { change(&$0.counts) }
    }
}

/// How often something happened since a worker's start.
package struct WorkerCounts: Hashable, Sendable {
    package var claimed = 0
    package var delivered = 0
    package var failed = 0
    package var released = 0
    /// Attempts that made room for a task of a higher band.
    package var parked = 0
    /// Attempts that were dropped because their lease was over.
    package var stale = 0
    package var checkpoints = 0
    /// Checkpoints of other attempts that were gone on from.
    package var resumed = 0
    package var registrations = 0
}

extension WorkerFigures {
    fileprivate mutating func add(_ other: WorkerFigures) {
        steps += other.steps
        if let more = other.measuredSteps { measuredSteps = (measuredSteps ?? 0) + more }
        if let more = other.measuredStepSeconds {
            measuredStepSeconds = (measuredStepSeconds ?? 0) + more
        }
        denoiseTokens += other.denoiseTokens
        conditionsComputed += other.conditionsComputed
        conditionsFound += other.conditionsFound
        usefulSeconds += other.usefulSeconds
        coldStartSeconds += other.coldStartSeconds
        lostToFailureSeconds += other.lostToFailureSeconds
        lostToPreemptionSeconds += other.lostToPreemptionSeconds
    }
}
