import FarmModel
import FarmStore
import Synchronization

/// What makes workers equal to the queue: claims of equal workers are tried together.
struct WorkerCapabilityKey: Hashable, Sendable {
    var modelDigest: String
    var precision: String
    var numericClass: String
    var pool: String
    var tags: [String]
    var memory: Int64
    /// Its group: members of one are not equal to workers alone.
    var group: GroupID?
}

/// What requests of workers need to know of them, without a question to the database for each.
struct KnownWorker: Sendable {
    var id: WorkerID
    var name: String
    var epoch: Int64
    var key: WorkerCapabilityKey
    /// Floating point operations a second; 0 where it is not known.
    var speed: Double
}

/// Workers by id, as they registered.
final class WorkerDirectory: Sendable {
    private static let capacity = 20_000

    private let store: FarmStore
    private let known = Mutex<[WorkerID: KnownWorker]>([:])

    init(store: FarmStore) {
        self.store = store
    }

    /// The worker `id`.
    ///
    /// - Throws: ``CoordinatorProblem`` of kind not-found where it never registered.
    func worker(_ id: WorkerID) async throws -> KnownWorker {
        if let worker = known.withLock({ $0[id] }) { return worker }
        guard let record = try await store.worker(id) else { throw Self.unknown(id) }
        let worker = KnownWorker(
            id: record.id,
            name: record.name,
            epoch: record.epoch,
            key: WorkerCapabilityKey(
                modelDigest: record.modelDigest,
                precision: record.precision,
                numericClass: record.numericClass,
                pool: record.pool,
                tags: record.tags.sorted(),
                memory: record.memory,
                group: record.seat?.group
            ),
            speed: record.speed
        )
        note(worker)
        return worker
    }

    /// Notes a worker that registered here.
    func note(_ worker: KnownWorker) {
        known.withLock { known in
            if known.count >= Self.capacity { known.removeAll() }
            known[worker.id] = worker
        }
    }

    /// Notes how fast a worker says that it is by now.
    func note(speed: Double, of id: WorkerID) {
        known.withLock { $0[id]?.speed = speed }
    }

    /// Notes the group that a worker is in by now.
    func note(group: GroupID?, of id: WorkerID) {
        known.withLock { $0[id]?.key.group = group }
    }

    /// Forgets a worker that the store does not know as it was noted.
    func forget(_ id: WorkerID) {
        known.withLock { $0[id] = nil }
    }

    /// The problem of a worker that is not registered.
    static func unknown(_ id: WorkerID) -> CoordinatorProblem {
        CoordinatorProblem(.notFound, "there is no worker \(id); register again")
    }
}
