package import FarmModel
import Postgres

/// What became of the wish to try failed images again.
package enum RetryOutcome: Sendable, Hashable {
    /// So many images wait again, and their job runs.
    case retried(images: Int)
    /// None of the images has failed.
    case nothingToRetry
    /// The job was cancelled.
    case refused(JobState)
    /// There is no such job.
    case notFound
}

extension FarmStore {
    /// Tries a job's failed images again: all, or those of the given indices.
    ///
    /// Their tasks start with a clean count of failures, and workers that were kept from the job
    /// may try again.
    package func retryJob(
        _ id: JobID,
        images indices: [Int]? = nil,
        by actor: String
    ) async throws -> RetryOutcome {
        try await withRetriedTransaction { connection in
            _ = try await Self.lockHeads(of: id, on: connection)
            let tasks = try await Self.lockFailedTasks(of: id, indices, on: connection)
            guard let state = try await Self.lockJob(id, on: connection) else { return .notFound }
            guard state != .cancelled else { return .refused(state) }
            guard !tasks.isEmpty else { return .nothingToRetry }
            let images = try await Self.reopenImages(of: tasks, indices, on: connection)
            try await Self.reopenTasks(tasks, on: connection)
            try await connection.execute("DELETE FROM worker_block WHERE job_id = \(id)")
            try await connection.execute(
                """
                UPDATE job SET failed_count = failed_count - \(images), finished_at = NULL,
                    live_task_count = live_task_count + \(tasks.count), reason = NULL,
                    state = CASE WHEN state = 'failed' THEN 'running' ELSE state END
                WHERE id = \(id)
                """
            )
            try await queueTasks(tasks, restUntil: nil, on: connection)
            var data = EventData()
            data.count = images
            try await Self.recordEvent(.jobRetried, of: id, data, on: connection)
            try await Self.recordAudit(
                "job.retried",
                id.description,
                by: actor,
                ["images": String(images)],
                on: connection
            )
            return .retried(images: images)
        }
    }

    /// Locks the failed tasks of the images that are to be tried again.
    private static func lockFailedTasks(
        of job: JobID,
        _ indices: [Int]?,
        on connection: PostgresConnection
    ) async throws -> [TaskID] {
        try await connection.query(
            """
            SELECT id FROM task
            WHERE job_id = \(job) AND state = 'failed' AND EXISTS (
                SELECT FROM image WHERE image.job_id = task.job_id AND image.state = 'failed'
                    AND image.index BETWEEN task.first_index
                        AND task.first_index + task.image_count - 1
                    AND (\(indices)::integer[] IS NULL
                        OR image.index = ANY(\(indices)::integer[]))
            )
            ORDER BY id FOR NO KEY UPDATE
            """
        ).map { try $0.decode("id") }
    }

    private static func reopenImages(
        of tasks: [TaskID],
        _ indices: [Int]?,
        on connection: PostgresConnection
    ) async throws -> Int {
        try await connection.execute(
            """
            UPDATE image SET state = 'waiting', failure_class = NULL, failure_message = NULL
            FROM task WHERE task.id = ANY(\(tasks)::uuid[]) AND image.job_id = task.job_id
                AND image.index BETWEEN task.first_index AND task.first_index + task.image_count - 1
                AND image.state = 'failed'
                AND (\(indices)::integer[] IS NULL OR image.index = ANY(\(indices)::integer[]))
            """
        )
    }

    private static func reopenTasks(
        _ tasks: [TaskID],
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            UPDATE task SET state = 'ready', finished_at = NULL, failures = 0, lapses = 0,
                failure_class = NULL, failure_message = NULL, undelivered = (
                    SELECT count(*) FROM image
                    WHERE image.job_id = task.job_id AND image.state = 'waiting'
                        AND image.index BETWEEN task.first_index
                            AND task.first_index + task.image_count - 1
                )
            WHERE id = ANY(\(tasks)::uuid[])
            """
        )
        try await connection.execute(
            "DELETE FROM failure WHERE task_id = ANY(\(tasks)::uuid[])"
        )
    }
}
