import FarmModel
import Synchronization

/// The attempt that a worker is at, shared by its render loop and its heartbeat.
final class RunningAttempt: Sendable {
    private let state = Mutex<State?>(nil)

    private struct State {
        var progress: AttemptProgress
        var isCancelled = false
        var isInterrupted = false
    }

    /// What the heartbeat reports.
    var progress: AttemptProgress? { state.withLock { $0?.progress } }

    func begin(_ fence: AttemptFence) {
        state.withLock {
            $0 = State(
                progress: AttemptProgress(
                    fence: fence,
                    image: nil,
                    step: 0,
                    steps: 0,
                    stepSeconds: nil
                )
            )
        }
    }

    func end() {
        state.withLock { $0 = nil }
    }

    /// Notes that rendering of an image begins.
    func begin(image index: Int, steps: Int) {
        state.withLock {
            $0?.progress.image = index
            $0?.progress.step = 0
            $0?.progress.steps = steps
        }
    }

    /// Notes a step.
    ///
    /// - Throws: ``AttemptCancelled`` when the coordinator has said to stop, and
    ///   `CancellationError` when the worker itself is cancelled.
    func note(_ report: StepReport) throws {
        let (isCancelled, isInterrupted) = state.withLock { state in
            state?.progress.step = report.step
            state?.progress.steps = report.steps
            state?.progress.stepSeconds = report.seconds
            return (state?.isCancelled ?? true, state?.isInterrupted ?? true)
        }
        if isInterrupted { throw CancellationError() }
        if isCancelled { throw AttemptCancelled() }
    }

    /// Makes the next step throw `CancellationError`, on whatever thread the renderer runs.
    func interrupt() {
        state.withLock { $0?.isInterrupted = true }
    }

    /// Marks the attempt to be stopped at its next step, if it is one of `attempts`.
    ///
    /// - Returns: Whether it was one of them.
    func cancel(_ attempts: [AttemptID]) -> Bool {
        state.withLock { state in
            guard let fence = state?.progress.fence, attempts.contains(fence.attempt) else {
                return false
            }
            state?.isCancelled = true
            return true
        }
    }

    /// Whether the coordinator has said to stop.
    var isCancelled: Bool { state.withLock { $0?.isCancelled ?? false } }
}

/// The coordinator no longer wants the attempt.
struct AttemptCancelled: Error {}
