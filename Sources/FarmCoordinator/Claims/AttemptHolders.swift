import FarmModel
import FarmStore
import Synchronization

/// Which worker each attempt is of, for workers that may act for themselves alone.
///
/// An attempt is one worker's for good, so that an answer can be kept.
final class AttemptHolders: Sendable {
    /// How many answers are kept; when there are more, all are asked for anew.
    private static let capacity = 20_000

    private let store: FarmStore
    private let known = Mutex<[AttemptID: WorkerID]>([:])

    init(store: FarmStore) {
        self.store = store
    }

    /// Notes that a worker was given an attempt.
    func note(_ attempt: AttemptID, of worker: WorkerID) {
        known.withLock { known in
            if known.count >= Self.capacity { known.removeAll() }
            known[attempt] = worker
        }
    }

    /// Refuses a worker with a key of its own that writes for the attempt of another one.
    ///
    /// What nothing is known of goes on: the fence decides.
    ///
    /// - Parameters:
    ///   - fence: For which attempt it writes.
    ///   - caller: Who does.
    /// - Throws: ``CoordinatorProblem`` of kind not-found, and what the store throws.
    func check(_ fence: AttemptFence, by caller: Caller) async throws {
        guard let own = caller.ownWorker else { return }
        guard let holder = try await holder(of: fence), holder != own else { return }
        throw CoordinatorProblem(.notFound, "the worker has no attempt \(fence.attempt)")
    }

    private func holder(of fence: AttemptFence) async throws -> WorkerID? {
        if let worker = known.withLock({ $0[fence.attempt] }) { return worker }
        guard let worker = try await store.worker(of: fence) else { return nil }
        note(fence.attempt, of: worker)
        return worker
    }
}
