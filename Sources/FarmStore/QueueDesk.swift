import FarmModel
import FoundationEssentials
import Synchronization

/// What a process knows of the queue, shared by its claims.
///
/// What was claimed is charged at once, so that the next claim knows of it before the database is
/// read again.
final class QueueDesk: Sendable {
    private struct State {
        var view = QueueView()
        var readAt: ContinuousClock.Instant?
        /// When heads were served, since it was last written down.
        var served: [Int64: Date] = [:]
    }

    private let freshness: Duration
    private let state = Mutex(State())

    init(freshness: Duration) {
        self.freshness = freshness
    }

    /// The view, unless it is too old.
    var freshView: QueueView? {
        state.withLock { state in
            guard let readAt = state.readAt, ContinuousClock.now - readAt < freshness else {
                return nil
            }
            return state.view
        }
    }

    /// Takes a view that was just read.
    func take(_ view: QueueView) {
        state.withLock { state in
            state.view = view
            state.readAt = .now
        }
    }

    /// Makes the next claim read the queue.
    func expire() {
        state.withLock { $0.readAt = nil }
    }

    /// Notes a task that a worker has claimed.
    func note(head: Int64, number: Int, owner: String, cost: Double, worker: WorkerID) {
        state.withLock { state in
            state.view.owners[owner, default: OwnerView()].charge += cost
            guard let place = state.view.heads.firstIndex(where: { $0.id == head }) else { return }
            state.view.heads[place].servedAt = state.view.now
            state.view.heads[place].first = max(state.view.heads[place].first, number + 1)
            if state.view.heads[place].maxWorkers != nil {
                state.view.heads[place].workersAtIt.insert(worker)
            }
            state.served[head] = state.view.now
        }
    }

    /// Forgets heads in which nothing was found.
    func forget(_ heads: Set<Int64>) {
        state.withLock { $0.view.heads.removeAll { heads.contains($0.id) } }
    }

    /// The heads that were served since this was last asked.
    func takeServed() -> [Int64: Date] {
        state.withLock { state in
            defer { state.served = [:] }
            return state.served
        }
    }
}
