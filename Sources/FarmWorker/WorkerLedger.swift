import FarmModel
import Prometheus
import Synchronization

/// What a worker did, for its heartbeats and for those who run it.
package final class WorkerLedger: Sendable {
    private let state = Mutex(State())
    private let steps: Histogram

    private struct State {
        /// Since the last heartbeat.
        var figures = WorkerFigures()
        /// Since the start.
        var totals = WorkerFigures()
        var counts = WorkerCounts()
        var speed: Double?
    }

    /// A ledger that shows how long each step takes.
    init(steps: Histogram) {
        self.steps = steps
    }

    /// What it did since its start.
    package var counts: WorkerCounts { state.withLock { $0.counts } }

    /// What its figures come to since its start.
    var totals: WorkerFigures { state.withLock { $0.totals } }

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
    ///   - groupSize: How many workers computed it together.
    ///   - cost: What the image costs, or nil where that is not known.
    func noteStep(seconds: Double?, by groupSize: Int, _ cost: ImageCost?) {
        var step = WorkerFigures()
        step.steps = 1
        if let seconds {
            steps.observe(seconds)
            step.measuredSteps = 1
            step.measuredStepSeconds = seconds
            step.groupSize = groupSize
        }
        if let cost { step.denoiseTokens = cost.denoiseTokens / max(1, cost.steps) }
        note { [step] in $0.add(step) }
        state.withLock { state in
            guard let cost, let seconds, seconds > 0 else { return }
            let speed = cost.stepFlops / seconds
            // A mean that forgets: one slow step is not the machine.
            state.speed = state.speed.map { 0.8 * $0 + 0.2 * speed } ?? speed
        }
    }

    /// Adds to the figures what `change` adds to none.
    func note(_ change: (inout WorkerFigures) -> Void) {
        var more = WorkerFigures()
        change(&more)
        state.withLock { state in
            state.figures.add(more)
            state.totals.add(more)
        }
    }

    func count(_ change: (inout WorkerCounts) -> Void) {
        state.withLock { change(&$0.counts) }
    }
}

/// How often something happened since a worker's start.
package struct WorkerCounts: Hashable, Sendable {
    package var claimed = 0
    package var succeeded = 0
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
        groupSize = other.groupSize ?? groupSize
        denoiseTokens += other.denoiseTokens
        conditionsComputed += other.conditionsComputed
        conditionsFound += other.conditionsFound
        usefulSeconds += other.usefulSeconds
        coldStartSeconds += other.coldStartSeconds
        lostToFailureSeconds += other.lostToFailureSeconds
        lostToPreemptionSeconds += other.lostToPreemptionSeconds
    }
}
