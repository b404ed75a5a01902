import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

/// A migrated farm in the test's schema, with makers that give every field a default.
struct Farm {
    let pool: PostgresPool
    let store: FarmStore

    init(_ change: (inout FarmStoreConfiguration) -> Void = { _ in }) async throws {
        pool = try TestDatabase.pool()
        var configuration = FarmStoreConfiguration()
        change(&configuration)
        store = FarmStore(pool: pool, configuration: configuration)
        _ = try await store.migrate()
    }

    func worker(
        _ name: String = "w",
        digest: String = "model-digest",
        numericClass: String = "",
        change: (inout WorkerRegistration) -> Void = { _ in }
    ) async throws -> WorkerID {
        var registration = WorkerRegistration(
            name: name,
            modelName: "flux-\(digest)",
            modelDigest: digest,
            precision: "float32"
        )
        registration.numericClass = numericClass
        change(&registration)
        return try await store.registerWorker(registration).id
    }

    func submission(
        tasks: Int = 1,
        images: Int = 1,
        owner: String = "ann",
        key: String? = nil,
        digest: String = "spec-digest"
    ) -> JobSubmission {
        JobSubmission(
            owner: owner,
            key: key,
            name: "job",
            specification: #"{"name": "job"}"#,
            canonicalDigest: digest,
            modelName: "flux",
            modelDigest: "model-digest",
            tasks: (0..<tasks).map { _ in NewTask(imageCount: images, cost: 1e12) }
        )
    }

    @discardableResult
    func job(
        tasks: Int = 1,
        images: Int = 1,
        owner: String = "ann",
        change: (inout JobSubmission) -> Void = { _ in }
    ) async throws -> JobID {
        var submission = submission(tasks: tasks, images: images, owner: owner)
        change(&submission)
        guard case .created(let job) = try await store.submitJob(submission) else {
            throw Unexpected(what: "the job is not new")
        }
        return job.id
    }

    func claim(_ worker: WorkerID, limit: Int = 1) async throws -> [ClaimedTask] {
        switch try await store.claimTasks(worker: worker, limit: limit) {
        case .tasks(let tasks): return tasks
        case .none: return []
        case .unknownWorker: throw Unexpected(what: "the worker is unknown")
        }
    }

    func claimOne(_ worker: WorkerID) async throws -> ClaimedTask {
        try #require(try await claim(worker).first)
    }

    func deliver(
        _ task: ClaimedTask,
        index: Int? = nil,
        final: AttemptTotals? = nil
    ) async throws -> DeliverOutcome {
        let index = try index ?? #require(task.images.first).index
        return try await store.deliverImage(
            task.fence,
            imageIndex: index,
            output: DeliveredOutput(digest: "output-\(index)", size: 10),
            final: final
        )
    }

    /// Lets the leases of all tasks run out.
    func lapseAll() async throws {
        try await pool.execute(
            "UPDATE lease SET deadline = now() - interval '1 s'"
        )
    }

    /// Ends all back-off.
    func endBackoff() async throws {
        try await pool.execute("UPDATE resting SET until = now()")
        _ = try await store.runWake()
    }

    /// What is wrong in the database.
    func violations() async throws -> [String] {
        try await store.audit().map { "\($0)" }
    }

    func state(_ job: JobID) async throws -> JobState {
        try #require(try await store.job(job)).state
    }

    func imageState(_ job: JobID) async throws -> ImageRecord {
        try #require(try await store.images(of: job, limit: 1).first)
    }

    struct Unexpected: Error { let what: String }
}
