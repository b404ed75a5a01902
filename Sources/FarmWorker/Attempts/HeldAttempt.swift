package import FarmModel
package import FoundationEssentials
import Synchronization

/// An attempt that this worker holds, from its claim until its end was told.
///
/// The render loop, the heartbeat and the compute thread share it.
final class HeldAttempt: Sendable {
    let task: TaskAssignment
    let trace: AttemptTrace
    private let state: Mutex<State>

    private struct State {
        var progress: AttemptProgress
        var hasBegun = false
        var isEnding = false
        var stop: AttemptStop?
        /// What it was told to make way for before its lease ended.
        var madeWay = false
        var bookedSeconds = 0.0
        var report = AttemptReport()
        var lines: [LogLine] = []
        var lineCount = 0
        var wantsPreview = true
    }

    init(_ task: TaskAssignment, _ trace: AttemptTrace) {
        self.task = task
        self.trace = trace
        state = Mutex(State(progress: AttemptProgress(fence: task.fence, phase: .loading)))
    }

    var fence: AttemptFence { task.fence }

    /// Whether it is more than claimed.
    var hasBegun: Bool { state.withLock { $0.hasBegun } }

    /// Whether its end is being told: the answer to that says what counts, not a heartbeat's
    /// that crosses it.
    var isEnding: Bool { state.withLock { $0.isEnding } }

    /// Notes that its end is being told.
    func beginEnding() {
        state.withLock { $0.isEnding = true }
    }

    /// What it has cost so far.
    var report: AttemptReport { state.withLock { $0.report } }

    /// Adds to what it has cost.
    func charge(_ change: (inout AttemptReport) -> Void) {
        state.withLock { change(&$0.report) }
    }

    /// The seconds that it has cost since they were last asked for, and whether it was to make way for
    /// something else: its lease can end while it still computes.
    func takeLostSeconds() -> (seconds: Double, madeWay: Bool) {
        state.withLock { state in
            defer { state.bookedSeconds = state.report.seconds }
            return (state.report.seconds - state.bookedSeconds, state.madeWay)
        }
    }

    // MARK: - Progress

    /// How far it is; a preview is given once.
    func takeProgress() -> AttemptProgress {
        state.withLock { state in
            var progress = state.progress
            progress.report = state.report
            state.progress.preview = nil
            state.wantsPreview = true
            return progress
        }
    }

    /// How many steps of its present image are done, and how many there are.
    var step: (done: Int, of: Int) {
        state.withLock { ($0.progress.step, $0.progress.steps) }
    }

    /// How long its present image still takes by its last step, in seconds.
    var remainingSeconds: Double {
        state.withLock { state in
            let steps = max(0, state.progress.steps - state.progress.step)
            return Double(steps) * (state.progress.stepSeconds ?? 0)
        }
    }

    /// Notes that rendering of an image begins.
    func begin(image index: Int, steps: Int) {
        state.withLock { state in
            state.hasBegun = true
            state.progress = AttemptProgress(
                fence: task.fence,
                phase: .encoding,
                image: index,
                step: 0,
                steps: steps
            )
        }
    }

    /// Notes what is being done.
    func enter(_ phase: RenderPhase) {
        state.withLock { $0.progress.phase = phase }
    }

    /// Notes that so many steps came with a checkpoint.
    func resume(at step: Int) {
        state.withLock { $0.progress.step = step }
    }

    /// Notes a step that was computed.
    ///
    /// - Parameters:
    ///   - step: How many steps are done.
    ///   - seconds: How long the step took; nil where that is no measure of the worker.
    /// - Returns: Whether to stop, and whether a preview is wanted.
    func note(step: Int, seconds: Double?) -> (stop: AttemptStop?, wantsPreview: Bool) {
        state.withLock { state in
            state.progress.phase = .denoising
            state.progress.step = step
            state.progress.stepSeconds = seconds ?? state.progress.stepSeconds
            state.report.stepsComputed += 1
            return (state.stop, state.wantsPreview)
        }
    }

    /// Keeps a preview for the next heartbeat.
    func show(_ preview: PicturePreview) {
        state.withLock { state in
            state.progress.preview = preview
            state.wantsPreview = false
        }
    }

    // MARK: - Stopping

    /// Why it is to stop at its next step, if it is.
    var stop: AttemptStop? { state.withLock { $0.stop } }

    /// Asks it to stop at its next step; the stronger of two reasons stays.
    ///
    /// - Returns: Whether the reason is news.
    @discardableResult
    func stop(_ reason: AttemptStop) -> Bool {
        state.withLock { state in
            guard state.stop.map({ $0 < reason }) ?? true else { return false }
            state.stop = reason
            if reason <= .cancelNow { state.madeWay = true }
            return true
        }
    }

    /// Goes on, where it was to be parked and cannot be.
    func refusePark() {
        state.withLock { if $0.stop == .park { $0.stop = nil } }
    }

    // MARK: - Log

    /// How many lines wait at most; further ones are counted away.
    private static let mostLines = 1000

    /// Notes a line for the attempt's log in the farm.
    func log(_ level: LogLevel, _ text: String) {
        state.withLock { state in
            let line = LogLine(
                attempt: task.fence.attempt,
                number: state.lineCount,
                at: Date(),
                level: level,
                text: text
            )
            state.lineCount += 1
            if state.lines.count < Self.mostLines { state.lines.append(line) }
        }
    }

    /// The first lines that are not yet told.
    func lines(_ count: Int) -> [LogLine] {
        state.withLock { Array($0.lines.prefix(count)) }
    }

    /// Forgets lines that were told.
    func forget(_ told: [LogLine]) {
        let numbers = Set(told.filter { $0.attempt == fence.attempt }.map(\.number))
        guard !numbers.isEmpty else { return }
        state.withLock { $0.lines.removeAll { numbers.contains($0.number) } }
    }
}

/// Why an attempt is to stop at its next step; the later case is the stronger.
enum AttemptStop: Int, Comparable, Sendable {
    /// A task of a higher band takes its place: it is given back with a checkpoint of that very step.
    case park
    /// The worker drains: it is given back with a checkpoint.
    case drain
    /// The coordinator stops it after the step, keeping a checkpoint.
    case cancelAfterStep
    /// The coordinator stops it and keeps nothing.
    case cancelNow
    /// The worker ends without waiting for anything.
    case abandon
    /// Its lease is over: nothing of it counts.
    case lost

    /// Whether what is done so far is to be kept in a checkpoint.
    var keepsCheckpoint: Bool { self <= .cancelAfterStep }

    /// Whether a picture whose steps are all done is still made and delivered.
    var letsPictureEnd: Bool { self <= .drain }

    static func < (first: AttemptStop, second: AttemptStop) -> Bool {
        first.rawValue < second.rawValue
    }
}

/// Ends a rendering between two steps.
struct RenderingStopped: Error {
    var reason: AttemptStop
    var checkpoint: SavedCheckpoint?
}

/// Ends a rendering at the step after which a person decides.
struct DraftReached: Error {
    var checkpoint: SavedCheckpoint
    var picture: DraftPicture
}

/// A picture of where a rendering that stops as a draft is heading.
package struct DraftPicture: Sendable {
    package var type: DraftPictureType
    package var data: Data

    package init(type: DraftPictureType, data: Data) {
        self.type = type
        self.data = data
    }
}

/// A checkpoint of an image, made between two steps.
struct SavedCheckpoint: Sendable {
    var image: Int
    var step: Int
    var bytes: Data
}
