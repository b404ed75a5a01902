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
        /// When the reading of the view began, and when it was there.
        var begunAt: ContinuousClock.Instant?
        var readAt: ContinuousClock.Instant?
        /// What was read before is too old.
        var expiredAt: ContinuousClock.Instant?
        /// When heads were served, since it was last written down.
        var served: [Int64: Date] = [:]
    }

    private let freshness: Duration
    private let state = Mutex(State())

    init(freshness: Duration) {
        self.freshness = freshness
    }

    /// The view as of now, unless it is too old.
    var freshView: QueueView? {
        state.withLock { state in
            let now = ContinuousClock.now
            guard let begunAt = state.begunAt, let readAt = state.readAt, now - readAt < freshness
            else { return nil }
            if let expiredAt = state.expiredAt, begunAt <= expiredAt { return nil }
            var view = state.view
            view.now.addTimeInterval((now - begunAt).inSeconds)
            return view
        }
    }

    /// The view that was read last, however old.
    var latestView: QueueView { state.withLock { $0.view } }

    /// Reads the queue anew; the view is the latest, unless another reading began after this one.
    func read(_ body: () async throws -> QueueView) async throws -> QueueView {
        let begunAt = ContinuousClock.now
        let view = try await body()
        state.withLock { state in
            if let other = state.begunAt, other > begunAt { return }
            state.view = view
            state.begunAt = begunAt
            state.readAt = .now
        }
        return view
    }

    /// Makes the next claim read the queue: what is being read now may be too old by then.
    func expire() {
        state.withLock { $0.expiredAt = .now }
    }

    /// Notes a task that a worker has claimed.
    func note(
        head: Int64,
        number: Int,
        owner: String,
        cost: Double,
        images: Int,
        worker: WorkerID
    ) {
        state.withLock { state in
            state.view.owners[owner, default: OwnerView()].charge += cost
            guard let place = state.view.heads.firstIndex(where: { $0.id == head }) else { return }
            state.view.heads[place].servedAt = state.view.now
            state.view.heads[place].first = max(state.view.heads[place].first, number + 1)
            if state.view.heads[place].maxWorkers != nil {
                state.view.heads[place].workersAtIt.insert(worker)
            }
            state.view.noteUse(of: state.view.heads[place], images: images)
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
