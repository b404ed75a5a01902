import Postgres
import Synchronization

/// Lets calls that come at the same time share one statement, the way a server gathers commits.
///
/// At most `width` batches are at the database; who comes meanwhile waits for the next one. A lone
/// caller never waits. A batch that the database refuses is tried again item by item, so that one
/// item's fault is not the others'.
final class Gathering<Item: Sendable, Answer: Sendable>: Sendable {
    /// Answers the items of a batch in their order.
    typealias Perform = @Sendable ([Item]) async throws -> [Answer]

    private struct Waiter {
        let item: Item
        let continuation: CheckedContinuation<Answer, any Error>
    }

    private struct State {
        var waiting: [Waiter] = []
        var running = 0
    }

    private let width: Int
    private let limit: Int
    private let state = Mutex(State())

    /// Creates a gathering of batches of at most `limit` items.
    init(width: Int, limit: Int) {
        self.width = width
        self.limit = limit
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
        while let batch = nextBatch() {
            await answer(batch, perform)
        }
    }

    private func nextBatch() -> [Waiter]? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.running -= 1
                return nil
            }
            let batch = Array(state.waiting.prefix(limit))
            state.waiting.removeFirst(batch.count)
            return batch
        }
    }

    private func answer(_ batch: [Waiter], _ perform: Perform) async {
        do {
            let answers = try await perform(batch.map(\.item))
            precondition(answers.count == batch.count, "Each item has an answer")
            for (waiter, answer) in zip(batch, answers) {
                waiter.continuation.resume(returning: answer)
            }
        } catch let error as DatabaseError where batch.count > 1 && error.sqlState != nil {
            for waiter in batch { await answer([waiter], perform) }
        } catch {
            for waiter in batch { waiter.continuation.resume(throwing: error) }
        }
    }
}
