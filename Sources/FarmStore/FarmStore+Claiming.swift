package import FarmModel
import Postgres

extension FarmStore {
    /// Leases at most `limit` tasks that the worker can run, the most urgent and then the oldest.
    ///
    /// One statement, so that a task is claimed with its attempt and images or not at all; tasks
    /// that another claim is looking at are skipped, never waited for.
    package func claimTasks(worker: WorkerID, limit: Int) async throws -> ClaimOutcome {
        let rows = try await pool.query(
            """
            -- 1. The worker, unless it is to take nothing.
            WITH claimant AS (
                SELECT id, model_digest, precision FROM worker
                WHERE id = \(worker) AND state NOT IN ('draining', 'asleep', 'quarantined')
            ),
            -- 2. What it can run now.
            picked AS (
                SELECT task.id FROM task
                WHERE task.state = 'ready' AND task.ready_at <= now()
                    AND task.model_digest = (SELECT model_digest FROM claimant)
                    AND (task.precision IS NULL
                        OR task.precision = (SELECT precision FROM claimant))
                ORDER BY task.priority DESC, task.queued_at, task.job_id, task.number
                LIMIT \(limit)
                FOR NO KEY UPDATE SKIP LOCKED
            ),
            -- 3. The leases, each with an attempt and a new epoch.
            leased AS (
                UPDATE task SET state = 'leased', epoch = task.epoch + 1,
                    attempts = task.attempts + 1, attempt_id = gen_random_uuid(),
                    worker_id = \(worker), lease_deadline =
                        now() + make_interval(secs => \(configuration.lease.inSeconds))
                FROM picked WHERE task.id = picked.id
                RETURNING task.id, task.job_id, task.epoch, task.attempt_id, task.lease_deadline,
                    task.priority, task.queued_at, task.number
            ),
            tried AS (
                INSERT INTO attempt (id, task_id, worker_id, epoch)
                SELECT attempt_id, id, \(worker), epoch FROM leased
            ),
            rendering AS (
                UPDATE image SET state = 'rendering' FROM leased
                WHERE image.task_id = leased.id AND image.state = 'waiting'
                RETURNING image.task_id, image.id, image.index, image.name, image.seed,
                    image.parameters::text AS parameters
            ),
            -- 4. Jobs of which this is the first claim.
            pending AS (
                SELECT job.id FROM job
                WHERE job.id IN (SELECT job_id FROM leased) AND job.state = 'pending'
                ORDER BY job.id FOR NO KEY UPDATE
            ),
            started AS (
                UPDATE job SET state = 'running', started_at = coalesce(job.started_at, now())
                FROM pending WHERE job.id = pending.id
            ),
            -- 5. The worker has spoken.
            heard AS (
                UPDATE worker SET last_seen_at = now(), state = CASE
                    WHEN EXISTS (SELECT FROM leased) THEN 'busy'
                    WHEN state IN ('starting', 'busy', 'lost') THEN 'idle' ELSE state END
                WHERE id = \(worker) RETURNING id
            )
            SELECT leased.id AS task_id, leased.job_id, leased.epoch, leased.attempt_id,
                leased.lease_deadline, rendering.id, rendering.index, rendering.name,
                rendering.seed, rendering.parameters
            FROM heard LEFT JOIN (
                leased JOIN rendering ON rendering.task_id = leased.id
            ) ON true
            ORDER BY leased.priority DESC, leased.queued_at, leased.job_id, leased.number,
                rendering.index
            """
        )
        guard !rows.isEmpty else { return .unknownWorker }
        var tasks: [ClaimedTask] = []
        for row in rows {
            guard let task = try row.decodeIfPresent("task_id", as: TaskID.self) else { continue }
            let image = ClaimedImage(
                id: try row.decode("id"),
                index: try row.decode("index"),
                name: try row.decode("name"),
                seed: try row.decode("seed"),
                parameters: try row.decode("parameters")
            )
            if tasks.last?.fence.task == task {
                tasks[tasks.count - 1].images.append(image)
                continue
            }
            let fence = AttemptFence(
                task: task,
                attempt: try row.decode("attempt_id"),
                epoch: try row.decode("epoch")
            )
            tasks.append(
                ClaimedTask(
                    fence: fence,
                    job: try row.decode("job_id"),
                    leaseDeadline: try row.decode("lease_deadline"),
                    images: [image]
                )
            )
        }
        return .tasks(tasks)
    }

    /// Marks an image delivered, once, while the lease of its attempt is current.
    ///
    /// The bytes are stored before; what is stored by a stale attempt is left for the sweep of
    /// blobs. A repeated delivery of the same attempt is answered without a change.
    package func deliverImage(
        _ fence: AttemptFence,
        imageIndex: Int,
        output: DeliveredOutput
    ) async throws -> DeliverOutcome {
        try await pool.withTransaction { connection in
            let marked = try await connection.execute(
                """
                WITH held AS (
                    SELECT id FROM task
                    WHERE id = \(fence.task) AND state = 'leased'
                        AND attempt_id = \(fence.attempt) AND epoch = \(fence.epoch)
                    FOR NO KEY UPDATE
                )
                UPDATE image SET state = 'delivered', output_digest = \(output.digest),
                    output_size = \(output.size), attempt_id = \(fence.attempt),
                    delivered_at = now()
                FROM held
                WHERE image.task_id = held.id AND image.index = \(imageIndex)
                    AND image.state = 'rendering'
                """
            )
            if marked == 1 { return .delivered }
            let row = try await connection.query(
                """
                SELECT task.state = 'leased' AND task.attempt_id = \(fence.attempt)
                        AND task.epoch = \(fence.epoch) AS is_current,
                    CASE WHEN image.attempt_id = \(fence.attempt) THEN image.output_digest END
                        AS delivered,
                    image.id IS NOT NULL AS has_image
                FROM task LEFT JOIN image
                    ON image.task_id = task.id AND image.index = \(imageIndex)
                WHERE task.id = \(fence.task)
                """
            ).first
            guard let row else { return .stale }
            if let digest = try row.decodeIfPresent("delivered", as: String.self) {
                return .alreadyDelivered(digest: digest)
            }
            let isCurrent = try row.decodeIfPresent("is_current", as: Bool.self) ?? false
            return try isCurrent && !row.decode("has_image") ? .unknownImage : .stale
        }
    }
}
