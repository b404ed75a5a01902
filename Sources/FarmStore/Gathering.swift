import Postgres
import Synchronization

/// Lets calls that come at the same time share one statement, the way a server gathers commits.
///
/// At most `width` batches are at the database; who comes meanwhile waits for the next one, which
/// begins no sooner than `interval` after the one before: a busy database starts fewer statements.
/// A lone caller never waits. What the database refuses in a batch is tried again item by item, so
/// that one item's fault is not the others'; what has its answer is not.
final class Gathering<Item: Sendable, Answer: Sendable>: Sendable {
    /// Answers the items of a batch in their order, each with an answer or an error of its own; what
    /// it throws is the answer to all.
    typealias Perform = @Sendable ([Item]) async throws -> [Result<Answer, any Error>]

    private struct Waiter {
        let item: Item
        let continuation: CheckedContinuation<Answer, any Error>
    }

    private struct State {
        var waiting: [Waiter] = []
        var running = 0
        /// When the next batch may begin.
        var nextStart = ContinuousClock.now
    }

    private let width: Int
    private let limit: Int
    private let interval: Duration
    private let state = Mutex(State())

    /// Creates a gathering of batches of at most `limit` items, begun at least `interval` apart
    /// unless they are full.
    init(width: Int, limit: Int, interval: Duration) {
        self.width = width
        self.limit = limit
        self.interval = interval
    }

    /// Returns the item's answer out of the batch that it went with; throws what `perform` throws.
    ///
    /// `perform` must be the same for all calls. Once in a batch an item is not taken back by its
    /// task's cancellation: what it does to the database is done.
    func answer(to item: Item, perform: @escaping Perform) async throws -> Answer {
        try await withCheckedThrowingContinuation { continuation in
            let isFirst = state.withLock { state in
                state.waiting.append(Waiter(item: item, continuation: continuation))
                guard state.running < width else { return false }
                state.running += 1
                return true
            }
            guard isFirst else { return }
            // Not structured: the answers of the others must not end with the one who came first.
            Task { await run(perform) }
        }
    }

    private func run(_ perform: Perform) async {
        while let next = nextStep() {
            switch next {
            case .pause(let end):
                // Nobody cancels this task.
                try? await Task.sleep(until: end, clock: .continuous)
            case .batch(let batch): await answer(batch, perform)
            }
        }
    }

    private enum Step {
        case pause(until: ContinuousClock.Instant)
        case batch([Waiter])
    }

    private func nextStep() -> Step? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.running -= 1
                return nil
            }
            let now = ContinuousClock.now
            guard state.waiting.count >= limit || state.nextStart <= now else {
                return .pause(until: state.nextStart)
            }
            state.nextStart = now + interval
            let batch = Array(state.waiting.prefix(limit))
            state.waiting.removeFirst(batch.count)
            return .batch(batch)
        }
    }

    private func answer(_ batch: [Waiter], _ perform: Perform) async {
        var answers: [Result<Answer, any Error>]
        do {
            answers = try await perform(batch.map(\.item))
            precondition(answers.count == batch.count, "Each item has an answer")
        } catch {
            answers = batch.map { _ in .failure(error) }
        }
        for (waiter, result) in zip(batch, answers) {
            if batch.count > 1, result.isRefusal {
                await answer([waiter], perform)
            } else {
                waiter.continuation.resume(with: result)
            }
        }
    }
}

extension Result where Failure == any Error {
    /// Whether the server answered that it did nothing.
    fileprivate var isRefusal: Bool {
        guard case .failure(let error as DatabaseError) = self else { return false }
        return error.sqlState != nil
    }
}
