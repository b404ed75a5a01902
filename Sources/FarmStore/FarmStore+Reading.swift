package import FarmModel
import Postgres

extension FarmStore {
    /// A job's state as SQL: one that runs and has drafts alone is a draft itself.
    static let jobState = """
        (CASE WHEN job.state = 'running' AND job.drafted_count > 0
            AND job.drafted_count = job.live_task_count THEN 'drafted' ELSE job.state END)
        """

    /// The columns of a `JobRecord`; a WHERE follows.
    static let selectJob = """
        SELECT job.id, job.key, job.owner, job.name, \(jobState) AS state, job.priority,
            coalesce(head.is_lifted, false) AS is_lifted, head.precision, head.memory_bytes,
            head.pool, coalesce(head.tags, '{}') AS tags,
            coalesce(head.group_size, 1) AS group_size, coalesce(head.limits, '{}') AS limits,
            job.specification::text AS specification, job.canonical_digest, job.model_name,
            job.model_digest, job.created_at, job.started_at, job.finished_at, job.image_count,
            job.delivered_count, job.failed_count, job.cancelled_count, job.drafted_count,
            job.task_count, job.live_task_count, job.reason, job.after_jobs, job.start_after, job.finish_by,
            job.numeric_class, job.webhook, first.traceparent, first.tracestate, job.cost,
            job.event_count, held.leased, held.rendering
        FROM job
        LEFT JOIN LATERAL (
            SELECT * FROM head WHERE head.job_id = job.id ORDER BY head.id LIMIT 1
        ) AS head ON true
        LEFT JOIN LATERAL (
            SELECT data ->> 'traceparent' AS traceparent, data ->> 'tracestate' AS tracestate
            FROM event WHERE event.job_id = job.id AND event.number = 1
        ) AS first ON true
        CROSS JOIN LATERAL (
            SELECT count(*) AS leased, coalesce(sum(task.undelivered), 0) AS rendering
            FROM lease JOIN task ON task.id = lease.task_id WHERE lease.job_id = job.id
        ) AS held
        """

    /// The columns of an `ImageRecord`; a WHERE follows.
    private static let selectImage = """
        SELECT image.id, image.job_id, image.task_id, image.index,
            CASE WHEN image.state = 'waiting' AND EXISTS (
                SELECT FROM lease WHERE lease.task_id = image.task_id
            ) THEN 'rendering' ELSE image.state END AS state,
            output.digest, output.size, output.attempt_id, output.numeric_class,
            output.delivered_at, output.doubt, image.failure_class, image.failure_message,
            draft.step AS draft_step, draft.digest AS draft_digest, draft.size AS draft_size,
            draft.media_type, draft.drafted_at, draft.decision, draft.decided_at
        FROM image LEFT JOIN output ON output.image_id = image.id
        LEFT JOIN draft ON draft.image_id = image.id
        """

    /// The columns of a `TaskRecord`; a WHERE follows.
    private static let selectTask = """
        SELECT task.id, task.job_id, task.number, task.attempts, task.failures, task.lapses,
            task.epoch, task.first_index, task.image_count, task.undelivered, task.cost,
            task.failure_class, task.failure_message, resting.until, lease.attempt_id,
            lease.epoch AS lease_epoch, lease.worker_id, lease.claimed_at, lease.deadline,
            lease.begun_at, lease.image_index, lease.step, lease.steps, task.parks,
            parked.parked_image, parked.parked_step, parked.parked_for,
            CASE WHEN task.state <> 'ready' THEN task.state
                WHEN lease.task_id IS NOT NULL THEN 'leased'
                WHEN head.blocked_by IS NOT NULL THEN 'blocked' ELSE 'ready' END AS state
        FROM task LEFT JOIN lease ON lease.task_id = task.id
        LEFT JOIN resting ON resting.task_id = task.id LEFT JOIN head ON head.id = task.head_id
        LEFT JOIN LATERAL (
            SELECT parked_image, parked_step, parked_for FROM attempt
            WHERE attempt.task_id = task.id AND attempt.outcome = 'parked'
            ORDER BY attempt.epoch DESC LIMIT 1
        ) AS parked ON task.parks > 0
        """

    /// Returns a job by its farm-wide id; nil when there is none.
    package func job(_ id: JobID) async throws -> JobRecord? {
        try await pool.withConnection { try await job(id, on: $0) }
    }

    func job(_ id: JobID, on connection: PostgresConnection) async throws -> JobRecord? {
        try await connection.query("\(raw: Self.selectJob) WHERE job.id = \(id)")
            .first.map(JobRecord.init)
    }

    /// Returns an owner's job by the key that its client chose; nil when there is none.
    package func job(key: String, owner: String) async throws -> JobRecord? {
        try await pool.query(
            "\(raw: Self.selectJob) WHERE job.owner = \(owner) AND job.key = \(key)"
        ).first.map(JobRecord.init)
    }

    /// Returns jobs from the newest on, of one owner or of all, after the one that ended the last
    /// page; the farm's own only where they are asked for.
    ///
    /// What is searched for is a part of a name, a key, an owner or a model, in whatever case, or the
    /// beginning of an id.
    package func jobs(
        owner: String? = nil,
        state: JobState? = nil,
        name: String? = nil,
        search: String? = nil,
        before: JobID? = nil,
        limit: Int
    ) async throws -> [JobRecord] {
        try await pool.query(
            """
            \(raw: Self.selectJob)
            WHERE (job.owner = \(owner)
                    OR \(owner)::text IS NULL AND job.owner <> \(FarmOwner.audits))
                AND (\(state)::text IS NULL OR \(raw: Self.jobState) = \(state))
                AND (\(name)::text IS NULL OR job.name = \(name))
                AND (\(search)::text IS NULL OR starts_with(job.id::text, lower(\(search)::text))
                    OR strpos(lower(concat_ws(E'\\n', job.name, job.key, job.owner,
                        job.model_name)), lower(\(search)::text)) > 0)
                AND (\(before)::uuid IS NULL OR (job.created_at, job.id) <
                    (SELECT edge.created_at, edge.id FROM job AS edge WHERE edge.id = \(before)))
            ORDER BY job.created_at DESC, job.id DESC LIMIT \(limit)
            """
        ).map(JobRecord.init)
    }

    /// Returns a job's images by index, in one state or in any, of some indices or of all, after the
    /// one that ended the last page.
    package func images(
        of job: JobID,
        state: ImageState? = nil,
        indices: [Int]? = nil,
        afterIndex: Int? = nil,
        limit: Int
    ) async throws -> [ImageRecord] {
        try await pool.query(
            """
            SELECT * FROM (\(raw: Self.selectImage)
                WHERE image.job_id = \(job) AND image.index > \(afterIndex ?? -1)
                    AND (\(indices)::integer[] IS NULL
                        OR image.index = ANY(\(indices)::integer[]))) AS image
            WHERE \(state)::text IS NULL OR state = \(state)
            ORDER BY index LIMIT \(limit)
            """
        ).map(ImageRecord.init)
    }

    /// Returns the first letter of the state of each of a job's images, by index; `p` of a draft.
    package func imageStates(of job: JobID) async throws -> String {
        try await pool.query(
            """
            SELECT coalesce(string_agg(CASE WHEN image.state = 'waiting' AND lease.task_id IS NOT NULL
                THEN 'r' WHEN image.state = 'drafted' THEN 'p' ELSE left(image.state, 1) END, '' ORDER BY image.index), '') AS states
            FROM image LEFT JOIN lease ON lease.task_id = image.task_id
            WHERE image.job_id = \(job)
            """
        ).first?.decode("states") ?? ""
    }

    /// Returns an image; nil when there is none.
    package func image(_ id: ImageID) async throws -> ImageRecord? {
        try await pool.query("\(raw: Self.selectImage) WHERE image.id = \(id)")
            .first.map(ImageRecord.init)
    }

    /// Returns a job's tasks by number, in one state or in any, after the one that ended the last
    /// page.
    package func tasks(
        of job: JobID,
        state: TaskState? = nil,
        afterNumber: Int? = nil,
        limit: Int = .max
    ) async throws -> [TaskRecord] {
        try await pool.query(
            """
            SELECT * FROM (\(raw: Self.selectTask)
                WHERE task.job_id = \(job) AND task.number > \(afterNumber ?? -1)) AS task
            WHERE \(state)::text IS NULL OR state = \(state)
            ORDER BY number LIMIT \(limit)
            """
        ).map(TaskRecord.init)
    }

    /// Returns a task; nil when there is none.
    package func task(_ id: TaskID) async throws -> TaskRecord? {
        try await pool.query("\(raw: Self.selectTask) WHERE task.id = \(id)")
            .first.map(TaskRecord.init)
    }

    /// Returns a task's attempts, the oldest first; the one that runs is the last.
    package func attempts(of task: TaskID) async throws -> [AttemptRecord] {
        try await pool.query(
            """
            SELECT id, task_id, worker_id, worker_name, epoch, job_id, started_at, finished_at,
                outcome, failure_class, failure_message, parked_image, parked_step, parked_for,
                steps_computed, conditions_computed, conditions_found, busy_seconds
            FROM attempt WHERE task_id = \(task)
            UNION ALL
            SELECT lease.attempt_id, lease.task_id, lease.worker_id, worker.name, lease.epoch,
                lease.job_id, lease.claimed_at, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                lease.steps_computed, lease.conditions_computed, lease.conditions_found,
                lease.busy_seconds
            FROM lease JOIN worker ON worker.id = lease.worker_id WHERE lease.task_id = \(task)
            ORDER BY epoch
            """
        ).map(AttemptRecord.init)
    }

    /// Returns a worker's attempts, the newest first, at tasks of one owner or of all, before the one
    /// that ended the last page.
    package func attempts(
        of worker: WorkerID,
        owner: String? = nil,
        before: AttemptID? = nil,
        limit: Int
    ) async throws -> [AttemptRecord] {
        try await pool.query(
            """
            WITH edge AS (
                SELECT id, started_at FROM attempt WHERE id = \(before)
                UNION ALL SELECT attempt_id, claimed_at FROM lease WHERE attempt_id = \(before)
                LIMIT 1
            )
            (SELECT id, task_id, worker_id, worker_name, epoch, job_id, started_at, finished_at,
                outcome, failure_class, failure_message, parked_image, parked_step, parked_for,
                steps_computed, conditions_computed, conditions_found, busy_seconds
            FROM attempt WHERE worker_id = \(worker)
                AND (\(before)::uuid IS NULL
                    OR (started_at, id) < (SELECT edge.started_at, edge.id FROM edge))
                AND (\(owner)::text IS NULL OR EXISTS (
                    SELECT FROM job WHERE job.id = attempt.job_id AND job.owner = \(owner)))
            ORDER BY started_at DESC, id DESC LIMIT \(limit))
            UNION ALL
            SELECT lease.attempt_id, lease.task_id, lease.worker_id, worker.name, lease.epoch,
                lease.job_id, lease.claimed_at, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                lease.steps_computed, lease.conditions_computed, lease.conditions_found,
                lease.busy_seconds
            FROM lease JOIN worker ON worker.id = lease.worker_id
            WHERE lease.worker_id = \(worker) AND (\(owner)::text IS NULL OR lease.owner = \(owner))
                AND (\(before)::uuid IS NULL OR (lease.claimed_at, lease.attempt_id) <
                    (SELECT edge.started_at, edge.id FROM edge))
            ORDER BY started_at DESC, id DESC LIMIT \(limit)
            """
        ).map(AttemptRecord.init)
    }
}
