import FarmModel
import Postgres

/// A lease that is to end, its row locked.
struct EndingLease: Sendable {
    let task: TaskID
    let job: JobID
    let head: Int64
    let attempt: AttemptID
    let epoch: Int64
    let worker: WorkerID
    let workerName: String
    let owner: String
    /// What is charged for what was computed, in floating point operations.
    let charge: Double
    let scope: AttemptScope
    let tally: FailureTally

    init(_ row: Row) throws {
        task = try row.decode("task_id")
        job = try row.decode("job_id")
        head = try row.decode("head_id")
        attempt = try row.decode("attempt_id")
        epoch = try row.decode("epoch")
        worker = try row.decode("worker_id")
        workerName = try row.decode("worker_name")
        owner = try row.decode("owner")
        scope = AttemptScope(
            todo: try row.decode("todo"),
            delivered: try row.decode("delivered"),
            isNarrow: try row.decode("is_narrow"),
            hasGivenUp: try row.decode("given_up", as: Int.self) > 0
        )
        let step = try row.decode("step", as: Double.self)
        let done = Double(scope.delivered) + step / max(1, try row.decode("steps"))
        charge = try row.decode("cost", as: Double.self) * min(1, done / Double(scope.claimed))
        tally = FailureTally(
            failures: try row.decode("failures"),
            lapses: try row.decode("lapses"),
            groupLosses: try row.decode("group_losses"),
            maxAttempts: try row.decode("max_attempts")
        )
    }
}

extension FarmStore {
    /// Locks the leases of tasks, their heads before them and with these other heads, and returns those
    /// that are there.
    func lockLeases(
        of tasks: [TaskID],
        andHeads heads: [Int64] = [],
        on connection: PostgresConnection
    ) async throws -> [EndingLease] {
        try await connection.execute(
            """
            SELECT FROM head WHERE id = ANY (ARRAY(
                SELECT head_id FROM lease WHERE task_id = ANY(\(tasks)::uuid[])
            ) || \(heads)::bigint[]) ORDER BY id FOR SHARE
            """
        )
        try await connection.execute(
            """
            SELECT FROM lease WHERE task_id = ANY(\(tasks)::uuid[]) ORDER BY task_id FOR UPDATE
            """
        )
        return try await connection.query(
            """
            SELECT lease.task_id, lease.job_id, lease.head_id, lease.attempt_id, lease.epoch,
                lease.worker_id, worker.name AS worker_name, lease.owner, lease.cost,
                lease.step::double precision AS step, lease.steps::double precision AS steps,
                own.todo, own.delivered, task.is_narrow, task.given_up, task.failures, task.lapses,
                task.group_losses, job.max_attempts
            FROM lease JOIN task ON task.id = lease.task_id JOIN job ON job.id = lease.job_id
            JOIN worker ON worker.id = lease.worker_id
            CROSS JOIN LATERAL (
                SELECT coalesce(array_agg(image.index ORDER BY image.index)
                        FILTER (WHERE image.state = 'waiting'), '{}') AS todo,
                    count(output.image_id) AS delivered
                FROM image LEFT JOIN output
                    ON output.image_id = image.id AND output.attempt_id = lease.attempt_id
                WHERE image.job_id = task.job_id AND image.index
                    BETWEEN task.first_index AND task.first_index + task.image_count - 1
            ) AS own
            WHERE lease.task_id = ANY(\(tasks)::uuid[]) ORDER BY lease.task_id
            """
        ).map(EndingLease.init)
    }
}
