import FarmModel
import Postgres

extension FarmStore {
    /// Accepts a job with its tasks and images, or finds the one that its key already means.
    ///
    /// The job is there whole or not at all. Throws a `DatabaseError` too when two images of the
    /// submission have one index or one name.
    package func submitJob(_ submission: JobSubmission) async throws -> SubmitOutcome {
        precondition(!submission.images.isEmpty, "A job has at least one image")
        precondition(submission.imagesPerTask > 0, "A task has at least one image")
        return try await pool.withTransaction { connection in
            guard let id = try await insertJob(submission, on: connection) else {
                let rows = try await connection.query(
                    """
                    \(raw: Self.selectJob)
                    WHERE job.owner = \(submission.owner) AND job.key = \(submission.key)
                    """
                )
                guard let job = try rows.first.map(JobRecord.init) else {
                    throw FarmStoreError.vanished("the job of the key that was just refused")
                }
                return job.canonicalDigest == submission.canonicalDigest
                    ? .existing(job) : .conflict(job)
            }
            try await insertTasks(of: id, submission, on: connection)
            try await insertImages(of: id, submission, on: connection)
            guard let job = try await job(id, on: connection) else {
                throw FarmStoreError.vanished("the job that was just made")
            }
            return .created(job)
        }
    }

    private func insertJob(
        _ job: JobSubmission,
        on connection: PostgresConnection
    ) async throws -> JobID? {
        try await connection.query(
            """
            INSERT INTO job (owner, key, name, priority, specification, canonical_digest,
                model_name, model_digest, precision, max_attempts)
            VALUES (\(job.owner), \(job.key), \(job.name), \(job.priority),
                \(job.specification)::jsonb, \(job.canonicalDigest), \(job.modelName),
                \(job.modelDigest), \(job.precision), \(job.maxAttempts))
            ON CONFLICT (owner, key) WHERE key IS NOT NULL DO NOTHING
            RETURNING id
            """
        ).first?.decode("id")
    }

    private func insertTasks(
        of id: JobID,
        _ job: JobSubmission,
        on connection: PostgresConnection
    ) async throws {
        let last = (job.images.count - 1) / job.imagesPerTask
        try await connection.execute(
            """
            INSERT INTO task (job_id, number, priority, model_digest, precision, max_attempts,
                ready_at)
            SELECT job.id, number, job.priority, job.model_digest, job.precision,
                job.max_attempts, coalesce(\(job.startAfter)::timestamptz, now())
            FROM job, generate_series(0, \(last)::integer) AS number
            WHERE job.id = \(id)
            """
        )
    }

    private func insertImages(
        of id: JobID,
        _ job: JobSubmission,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            INSERT INTO image (job_id, task_id, index, name, seed, parameters)
            SELECT task.job_id, task.id, new.index, new.name, new.seed, new.parameters::jsonb
            FROM unnest(\(job.images.map(\.index))::integer[], \(job.images.map(\.name))::text[],
                    \(job.images.map(\.seed))::bigint[], \(job.images.map(\.parameters))::text[])
                WITH ORDINALITY AS new (index, name, seed, parameters, place)
            JOIN task ON task.job_id = \(id)
                AND task.number = (new.place - 1) / \(job.imagesPerTask)::integer
            """
        )
    }

    /// Ends the jobs of which no task is live any more.
    ///
    /// Runs at the end of each transaction that ended a task. The jobs are locked first, so that of
    /// two transactions that end a job's last two tasks the later one sees both.
    static func settleJobs(_ ids: [JobID], on connection: PostgresConnection) async throws {
        guard !ids.isEmpty else { return }
        try await connection.execute(
            """
            SELECT FROM job WHERE id = ANY(\(ids)::uuid[]) ORDER BY id FOR NO KEY UPDATE
            """
        )
        try await connection.execute(
            """
            UPDATE job SET finished_at = now(), state = CASE
                WHEN EXISTS (
                    SELECT FROM task WHERE task.job_id = job.id AND task.state = 'failed'
                ) THEN 'failed' ELSE 'succeeded' END
            WHERE id = ANY(\(ids)::uuid[]) AND state IN ('running', 'paused') AND NOT EXISTS (
                SELECT FROM task
                WHERE task.job_id = job.id AND task.state IN ('blocked', 'ready', 'leased')
            )
            """
        )
    }
}
