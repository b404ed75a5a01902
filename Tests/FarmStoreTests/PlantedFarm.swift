import FarmModel
import FarmStore
import Foundation
import Postgres
import TestSupport
import Testing

/// A migrated farm whose jobs and leases are planted row by row, so that a test can hold a
/// transaction open at any point.
struct PlantedFarm {
    let pool: PostgresPool
    let store: FarmStore

    init(_ change: (inout FarmStoreConfiguration) -> Void = { _ in }) async throws {
        pool = try TestDatabase.pool()
        var configuration = FarmStoreConfiguration()
        change(&configuration)
        store = FarmStore(pool: pool, configuration: configuration)
        _ = try await store.migrate()
    }

    func register(
        _ name: String = "w",
        change: (inout WorkerRegistration) -> Void = { _ in }
    ) async throws -> RegisteredWorker {
        var registration = WorkerRegistration(
            name: name,
            modelName: "flux",
            modelDigest: "model-digest",
            precision: "float32"
        )
        registration.instance = "process of \(name)"
        change(&registration)
        return try await store.registerWorker(registration)
    }

    /// A job of so many ready tasks, each with so many images.
    @discardableResult
    func job(
        owner: String = "ann",
        tasks: Int = 1,
        images: Int = 1,
        after: [JobID] = [],
        startAfter: Date? = nil,
        maxFailures: Int? = nil,
        webhook: String? = nil,
        blockedBy: String? = nil
    ) async throws -> JobID {
        let id = JobID.timeOrdered()
        return try await pool.withTransaction { connection in
            try await connection.execute(
                "INSERT INTO account (owner) VALUES (\(owner)) ON CONFLICT DO NOTHING"
            )
            try await connection.execute(
                """
                INSERT INTO job (id, owner, name, specification, canonical_digest, model_name,
                    model_digest, max_attempts, image_count, task_count, live_task_count,
                    after_jobs, start_after, max_failures, webhook, event_count)
                VALUES (\(id), \(owner), 'job', '{}', 'digest', 'flux', 'model-digest', 3,
                    \(tasks * images), \(tasks), \(tasks), \(after)::uuid[], \(startAfter),
                    \(maxFailures), \(webhook), 1)
                """
            )
            try await connection.execute(
                "INSERT INTO event (job_id, number, kind) VALUES (\(id), 1, 'job.created')"
            )
            try await connection.execute(
                """
                WITH head AS (
                    INSERT INTO head (job_id, owner, priority, model_digest, blocked_by)
                    VALUES (\(id), \(owner), 50, 'model-digest', \(blockedBy)) RETURNING id
                ), task AS (
                    INSERT INTO task (id, job_id, number, head_id, first_index, image_count,
                        undelivered, cost)
                    SELECT gen_random_uuid(), \(id), number, head.id, number * \(images),
                        \(images), \(images), 1e12 * \(images)
                    FROM head, generate_series(0, \(tasks) - 1) AS number
                    RETURNING *
                ), queued AS (
                    INSERT INTO ready (head_id, number, task_id, job_id, epoch, first_index,
                        image_count, cost)
                    SELECT head_id, number, id, job_id, 0, first_index, image_count, cost
                    FROM task
                )
                INSERT INTO image (id, job_id, task_id, index)
                SELECT gen_random_uuid(), \(id), task.id, task.first_index + place
                FROM task, generate_series(0, \(images) - 1) AS place
                """
            )
            return id
        }
    }

    /// Leases the first ready task of a job, as a claim does.
    func claim(_ worker: WorkerID, of job: JobID) async throws -> AttemptFence {
        try await pool.withTransaction { try await claim(worker, of: job, on: $0) }
    }

    /// Leases the first ready task of a job in an open transaction.
    func claim(
        _ worker: WorkerID,
        of job: JobID,
        on connection: PostgresConnection
    ) async throws -> AttemptFence {
        let attempt = AttemptID.timeOrdered()
        let row = try await connection.query(
            """
            WITH taken AS (
                DELETE FROM ready WHERE (head_id, number) = (
                    SELECT head_id, number FROM ready WHERE job_id = \(job)
                    ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED
                ) RETURNING *
            ), started AS (
                UPDATE job SET state = 'running', started_at = coalesce(started_at, now())
                WHERE id = \(job) AND state = 'pending'
            )
            INSERT INTO lease (task_id, attempt_id, epoch, job_id, head_id, owner, worker_id, cost,
                deadline)
            SELECT taken.task_id, \(attempt), taken.epoch + 1, taken.job_id, taken.head_id,
                job.owner, \(worker), taken.cost, now() + interval '1 min'
            FROM taken JOIN job ON job.id = taken.job_id RETURNING task_id, epoch
            """
        ).first
        let lease = try #require(row)
        return AttemptFence(
            task: try lease.decode("task_id"),
            attempt: attempt,
            epoch: try lease.decode("epoch")
        )
    }

    /// Fails a leased task for good, as the end of an attempt does.
    func fail(_ fence: AttemptFence, job: JobID) async throws {
        let outcome = try await store.failAttempt(
            fence,
            failure: AttemptFailure(failureClass: .deterministic, message: "no such slot")
        )
        #expect(outcome == .done(.failed))
    }

    /// The value of one column of one row.
    func value<Value: PostgresDecodable>(
        _ query: Query,
        as type: Value.Type = Value.self
    ) async throws -> Value? {
        try await pool.query(query).first?.decodeIfPresent("value")
    }

    func state(_ job: JobID) async throws -> JobState? {
        try await value("SELECT state AS value FROM job WHERE id = \(job)")
    }

    func count(_ query: Query) async throws -> Int {
        try await value(query) ?? -1
    }

    /// Returns when another session waits for a lock of this one.
    func waitUntilBlocking(_ connection: PostgresConnection) async throws {
        let process = try #require(await connection.backendID)
        var isBlocking = false
        while !isBlocking {
            isBlocking =
                try await value(
                    """
                    SELECT EXISTS (SELECT FROM pg_stat_activity
                        WHERE \(process) = ANY(pg_blocking_pids(pid))) AS value
                    """
                ) ?? false
        }
    }
}
