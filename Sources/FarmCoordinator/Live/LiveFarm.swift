import FarmModel
import Synchronization

/// What the workers' last heartbeats said: steps and previews, which are stored nowhere.
///
/// It is bounded: a step an attempt, previews by their bytes, the oldest going first. Readers of a
/// job's events are woken when something of their job moves; a reader that is slow sees the latest
/// step and not each.
final class LiveFarm: Sendable {
    /// How many bytes of previews are kept.
    private static let previewCapacity = 64 << 20
    /// Of how many tasks the job is kept; when there are more, all are looked up anew.
    private static let taskCapacity = 20_000

    private struct Preview {
        var picture: PicturePreview
        var number: UInt64
    }

    private struct PictureKey: Hashable {
        var job: JobID
        var index: Int
    }

    private struct State {
        /// By attempt, with the count of changes at its last.
        var steps: [AttemptID: (job: JobID, step: StepView, change: UInt64)] = [:]
        var ofJob: [JobID: Set<AttemptID>] = [:]
        /// Of tasks that were claimed here or spoken of.
        var jobs: [TaskID: JobID] = [:]
        var previews: [PictureKey: Preview] = [:]
        var previewBytes = 0
        var change: UInt64 = 0
        var readers: [JobID: [UInt64: AsyncStream<Void>.Continuation]] = [:]
        var readerCount: UInt64 = 0
        var isClosed = false
    }

    private let state = Mutex(State())

    init() {}

    // MARK: - Heartbeats

    /// Notes how far an attempt is.
    func note(_ step: StepView, of job: JobID, preview: PicturePreview?) {
        let readers = state.withLock { state in
            state.change += 1
            state.steps[step.attempt] = (job, step, state.change)
            state.ofJob[job, default: []].insert(step.attempt)
            if let preview, let index = step.image {
                Self.keep(preview, PictureKey(job: job, index: index), in: &state)
            }
            return state.readers[job].map { Array($0.values) } ?? []
        }
        for reader in readers { reader.yield() }
    }

    /// Notes whose task was claimed.
    func noteClaim(of task: TaskID, in job: JobID) {
        state.withLock { state in
            if state.jobs.count >= Self.taskCapacity { state.jobs.removeAll() }
            state.jobs[task] = job
        }
    }

    /// The job of a task that was claimed here or spoken of.
    func job(of task: TaskID) -> JobID? {
        state.withLock { $0.jobs[task] }
    }

    /// Forgets an attempt that is over.
    func forget(_ attempt: AttemptID) {
        state.withLock { state in
            guard let (job, step, _) = state.steps.removeValue(forKey: attempt) else { return }
            state.ofJob[job]?.remove(attempt)
            if state.ofJob[job]?.isEmpty == true { state.ofJob[job] = nil }
            guard let index = step.image else { return }
            let key = PictureKey(job: job, index: index)
            if let preview = state.previews.removeValue(forKey: key) {
                state.previewBytes -= preview.picture.data.count
            }
        }
    }

    /// Forgets the attempts of a worker that are not among `running`.
    func forget(of worker: WorkerID, except running: Set<AttemptID>) {
        let over = state.withLock { state in
            state.steps.values.filter { $0.step.worker == worker }.map(\.step.attempt)
                .filter { !running.contains($0) }
        }
        for attempt in over { forget(attempt) }
    }

    private static func keep(
        _ picture: PicturePreview,
        _ key: PictureKey,
        in state: inout State
    ) {
        let old = state.previews.updateValue(
            Preview(picture: picture, number: state.change),
            forKey: key
        )
        state.previewBytes += picture.data.count - (old?.picture.data.count ?? 0)
        while state.previewBytes > previewCapacity {
            guard let oldest = state.previews.min(by: { $0.value.number < $1.value.number })
            else { return }
            state.previews[oldest.key] = nil
            state.previewBytes -= oldest.value.picture.data.count
        }
    }

    // MARK: - Reading

    /// The latest step of each running attempt of a job that moved since `change`, and the count
    /// of changes now.
    func steps(of job: JobID, since change: UInt64 = 0) -> (steps: [StepView], change: UInt64) {
        state.withLock { state in
            let attempts = state.ofJob[job] ?? []
            let steps = attempts.compactMap { state.steps[$0] }.filter { $0.change > change }
                .sorted { $0.change < $1.change }
            return (steps.map(\.step), state.change)
        }
    }

    /// The latest step of an attempt.
    func step(of attempt: AttemptID) -> StepView? {
        state.withLock { $0.steps[attempt]?.step }
    }

    /// What an image looks like so far.
    func preview(of job: JobID, index: Int) -> PicturePreview? {
        state.withLock { $0.previews[PictureKey(job: job, index: index)]?.picture }
    }

    // MARK: - Readers of events

    /// Wakes readers of a job's events: once for each change, several at once for one.
    func changes(of job: JobID) -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream<Void>.makeStream(
            bufferingPolicy: .bufferingNewest(1)
        )
        let number = state.withLock { state -> UInt64? in
            guard !state.isClosed else { return nil }
            state.readerCount += 1
            state.readers[job, default: [:]][state.readerCount] = continuation
            return state.readerCount
        }
        guard let number else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { state in
                state.readers[job]?[number] = nil
                if state.readers[job]?.isEmpty == true { state.readers[job] = nil }
            }
        }
        return stream
    }

    /// Wakes the readers of a job's events, or all of them.
    func wake(_ job: JobID?) {
        let readers = state.withLock { state in
            if let job { return state.readers[job].map { Array($0.values) } ?? [] }
            return state.readers.values.flatMap(\.values)
        }
        for reader in readers { reader.yield() }
    }

    /// How many streams of events are open.
    var readerCount: Int { state.withLock { $0.readers.values.reduce(0) { $0 + $1.count } } }

    /// Ends every stream of events, and begins none any more.
    func close() {
        let readers = state.withLock { state in
            state.isClosed = true
            return state.readers.values.flatMap(\.values)
        }
        for reader in readers { reader.finish() }
    }
}
