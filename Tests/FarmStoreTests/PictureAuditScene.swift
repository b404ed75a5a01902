import FarmModel
import FarmStore
import Postgres
import Testing

/// A farm that audits every picture, whose workers make what they are told.
struct PictureAuditScene {
    let farm: Farm

    var store: FarmStore { farm.store }

    init(_ change: (inout FarmStoreConfiguration) -> Void = { _ in }) async throws {
        farm = try await Farm {
            $0.auditShare = 1
            change(&$0)
        }
    }

    /// A worker of the class that all are of.
    func worker(_ name: String) async throws -> WorkerID {
        try await farm.worker(name, numericClass: "float32/test")
    }

    /// Delivers the picture of a task, as its one image, with bytes of a digest.
    @discardableResult
    func deliver(_ task: ClaimedTask, _ digest: String) async throws -> DeliverOutcome {
        try await store.deliverImage(
            task.fence,
            imageIndex: try #require(task.images.first).index,
            output: DeliveredOutput(digest: digest, size: 10),
            final: AttemptTotals()
        )
    }

    /// A job whose one picture a worker has delivered.
    func delivered(by worker: WorkerID, _ digest: String) async throws -> JobID {
        let job = try await farm.job()
        store.queueChanged()
        let task = try await farm.claimOne(worker)
        #expect(task.job == job)
        try await deliver(task, digest)
        return job
    }

    /// Runs the duty, and makes the next claim look at the queue again.
    @discardableResult
    func run() async throws -> PictureAuditReport {
        let report = try await store.runPictureAudits()
        store.queueChanged()
        return report
    }

    /// Has a worker render the copy that waits.
    func copy(by worker: WorkerID, _ digest: String) async throws {
        let task = try await farm.claimOne(worker)
        #expect(task.owner == FarmOwner.audits)
        try await deliver(task, digest)
    }

    /// The one audit.
    func audit() async throws -> PictureAuditRecord {
        let audits = try await store.pictureAudits(limit: 10)
        #expect(audits.count == 1)
        return try #require(audits.first)
    }

    func wish(for worker: WorkerID) async throws -> DesiredWorkerState? {
        try await store.worker(worker)?.desiredState
    }

    /// That no copy is left, and nothing is wrong in the database.
    func expectClean() async throws {
        #expect(try await store.jobs(owner: FarmOwner.audits, limit: 10).isEmpty)
        #expect(try await farm.violations() == [])
    }
}
