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
        precision: String = "float32"
    ) async throws -> WorkerID {
        try await store.registerWorker(
            WorkerRegistration(
                name: name,
                modelName: "flux-\(digest)",
                modelDigest: digest,
                precision: precision
            )
        ).id
    }

    func submission(
        images: Int = 1,
        key: String? = nil,
        digest: String = "spec-digest"
    ) -> JobSubmission {
        JobSubmission(
            owner: "ann",
            key: key,
            name: "job",
            specification: #"{"name": "job"}"#,
            canonicalDigest: digest,
            modelName: "flux",
            modelDigest: "model-digest",
            images: (0..<images).map {
                NewImage(index: $0, name: "\($0).png", seed: Int64($0), parameters: "{}")
            }
        )
    }

    @discardableResult
    func job(
        images: Int = 1,
        change: (inout JobSubmission) -> Void = { _ in }
    ) async throws -> JobID {
        var submission = submission(images: images)
        change(&submission)
        guard case .created(let job) = try await store.submitJob(submission) else {
            throw Unexpected(what: "the job is not new")
        }
        return job.id
    }

    func claim(_ worker: WorkerID, limit: Int = 1) async throws -> [ClaimedTask] {
        guard case .tasks(let tasks) = try await store.claimTasks(worker: worker, limit: limit)
        else { throw Unexpected(what: "the worker is unknown") }
        return tasks
    }

    func claimOne(_ worker: WorkerID) async throws -> ClaimedTask {
        try #require(try await claim(worker).first)
    }

    func deliver(_ task: ClaimedTask, index: Int? = nil) async throws -> DeliverOutcome {
        let index = try index ?? #require(task.images.first).index
        return try await store.deliverImage(
            task.fence,
            imageIndex: index,
            output: DeliveredOutput(digest: "output-\(index)", size: 10)
        )
    }

    /// Lets the leases of all tasks run out.
    func lapseAll() async throws {
        try await pool.execute(
            "UPDATE task SET lease_deadline = now() - interval '1 s' WHERE state = 'leased'"
        )
    }

    /// Ends all back-off.
    func endBackoff() async throws {
        try await pool.execute("UPDATE task SET ready_at = now() WHERE state = 'ready'")
    }

    func state(_ job: JobID) async throws -> JobState {
        try #require(try await store.job(job)).state
    }

    func imageState(_ job: JobID) async throws -> ImageRecord {
        try #require(try await store.images(of: job, limit: 1).first)
    }

    struct Unexpected: Error { let what: String }
}
