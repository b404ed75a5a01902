package import FarmModel
import Postgres

/// What became of the wish to try failed images again.
package enum RetryOutcome: Sendable, Hashable {
    /// So many images wait again, and their job runs.
    case retried(images: Int)
    /// None of the images has failed, or what it belongs to is still at work.
    case nothingToRetry
    /// The job was cancelled.
    case refused(JobState)
    /// There is no such job.
    case notFound
}

extension FarmStore {
    /// Tries a job's failed images again: all, or those of the given indices; of a job that the farm
    /// gave up those too that were cancelled with it.
    ///
    /// Their tasks start with a clean count of failures, and workers that were kept from the job
    /// may try again. Of a job that was over, failed images that are left do not count against its
    /// limit any more. A job that was over is not paused any more; what it waits for besides, it
    /// waits for.
    package func retryJob(
        _ id: JobID,
        images indices: [Int]? = nil,
        by actor: String
    ) async throws -> RetryOutcome {
        try await withRetriedTransaction { connection in
            _ = try await Self.lockHeads(of: id, on: connection)
            let tasks = try await Self.lockTasks(losing: indices, of: id, on: connection)
            guard let state = try await Self.lockJob(id, on: connection) else { return .notFound }
            guard state != .cancelled else { return .refused(state) }
            guard !tasks.isEmpty else { return .nothingToRetry }
            let (failed, cancelled) = try await Self.reopenImages(
                of: tasks,
                indices,
                on: connection
            )
            let images = failed + cancelled
            try await Self.reopenTasks(tasks, on: connection)
            try await connection.execute("DELETE FROM worker_block WHERE job_id = \(id)")
            try await connection.execute(
                """
                UPDATE job SET failed_count = failed_count - \(failed),
                    forgiven_count = CASE WHEN \(state.isFinal) THEN failed_count - \(failed)
                        ELSE least(forgiven_count, failed_count - \(failed)) END,
                    cancelled_count = cancelled_count - \(cancelled), finished_at = NULL,
                    live_task_count = live_task_count + \(tasks.count), reason = NULL,
                    state = CASE WHEN state = 'failed' THEN 'running' ELSE state END
                WHERE id = \(id)
                """
            )
            if state.isFinal { try await Self.reopenHeads(of: id, on: connection) }
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
            log(
                "Job retried",
                ["job": "\(id)", "by": actor, "images": "\(images)"],
                on: connection
            )
            return .retried(images: images)
        }
    }

    /// A condition of SQL on an `image` that is not delivered: whether it is over because its draft was not
    /// kept.
    ///
    /// That is not tried again.
    private static let isDropped = """
        EXISTS (SELECT FROM draft WHERE draft.image_id = image.id
            AND draft.decision IN ('dropped', 'expired'))
        """

    /// Locks the tasks that are over without the images that are to be tried again.
    ///
    /// Only what the farm gave up, and drafts that were not kept, are cancelled while their job is not.
    private static func lockTasks(
        losing indices: [Int]?,
        of job: JobID,
        on connection: PostgresConnection
    ) async throws -> [TaskID] {
        try await connection.query(
            """
            SELECT id FROM task
            WHERE job_id = \(job) AND state IN ('failed', 'cancelled') AND EXISTS (
                SELECT FROM image WHERE image.job_id = task.job_id
                    AND image.state IN ('failed', 'cancelled') AND image.index BETWEEN task.first_index
                        AND task.first_index + task.image_count - 1
                    AND (\(indices)::integer[] IS NULL
                        OR image.index = ANY(\(indices)::integer[]))
                    AND NOT \(raw: isDropped)
            )
            ORDER BY id FOR NO KEY UPDATE
            """
        ).map { try $0.decode("id") }
    }

    /// Lets images wait again, and returns how many of them had failed and how many were cancelled.
    private static func reopenImages(
        of tasks: [TaskID],
        _ indices: [Int]?,
        on connection: PostgresConnection
    ) async throws -> (failed: Int, cancelled: Int) {
        let row = try await connection.query(
            """
            WITH lost AS MATERIALIZED (
                SELECT image.id, image.state FROM task
                JOIN image ON image.job_id = task.job_id AND image.index
                    BETWEEN task.first_index AND task.first_index + task.image_count - 1
                WHERE task.id = ANY(\(tasks)::uuid[]) AND image.state IN ('failed', 'cancelled')
                    AND (\(indices)::integer[] IS NULL OR image.index = ANY(\(indices)::integer[]))
                    AND NOT \(raw: isDropped)
            ), reopened AS (
                UPDATE image SET state = 'waiting', failure_class = NULL, failure_message = NULL
                FROM lost WHERE image.id = lost.id
            )
            SELECT count(*) FILTER (WHERE state = 'failed') AS failed,
                count(*) FILTER (WHERE state = 'cancelled') AS cancelled FROM lost
            """
        ).first
        guard let row else { throw FarmStoreError.vanished("the count of the images") }
        return (try row.decode("failed"), try row.decode("cancelled"))
    }

    private static func reopenTasks(
        _ tasks: [TaskID],
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            UPDATE task SET state = 'ready', finished_at = NULL, failures = 0, lapses = 0,
                group_losses = 0, is_narrow = false, undelivered = own.waiting, given_up = own.lost,
                failure_class = CASE WHEN own.lost > 0 THEN coalesce(failure_class, 'transient') END,
                failure_message = CASE WHEN own.lost > 0
                    THEN coalesce(failure_message, 'images of it were cancelled with its job') END
            FROM (
                SELECT tried.id, count(*) FILTER (WHERE image.state = 'waiting') AS waiting,
                    count(*) FILTER (WHERE image.state IN ('failed', 'cancelled')) AS lost
                FROM task AS tried JOIN image ON image.job_id = tried.job_id AND image.index
                    BETWEEN tried.first_index AND tried.first_index + tried.image_count - 1
                WHERE tried.id = ANY(\(tasks)::uuid[]) GROUP BY tried.id
            ) AS own
            WHERE task.id = own.id
            """
        )
        try await connection.execute(
            "DELETE FROM failure WHERE task_id = ANY(\(tasks)::uuid[])"
        )
    }

    /// Blocks a job's heads by what it still waits for, and by nothing else.
    private static func reopenHeads(
        of job: JobID,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            UPDATE head SET blocked_by = CASE
                WHEN EXISTS (
                    SELECT FROM job AS before
                    WHERE before.id = ANY(job.after_jobs) AND before.state <> 'succeeded'
                ) THEN 'dependency'
                WHEN job.start_after > now() THEN 'start_after' END
            FROM job WHERE job.id = \(job) AND head.job_id = job.id
            """
        )
    }
}
