package import FarmModel
import Postgres

extension FarmStore {
    /// The columns of a `JobRecord`; a WHERE follows.
    static let selectJob = """
        SELECT job.id, job.key, job.owner, job.name, job.state, job.priority,
            job.specification::text AS specification, job.canonical_digest, job.model_name,
            job.model_digest, job.created_at, job.started_at, job.finished_at, tally.*
        FROM job CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE image.state = 'waiting') AS waiting,
                count(*) FILTER (WHERE image.state = 'rendering') AS rendering,
                count(*) FILTER (WHERE image.state = 'delivered') AS delivered,
                count(*) FILTER (WHERE image.state = 'failed') AS failed,
                count(*) FILTER (WHERE image.state = 'cancelled') AS cancelled
            FROM image WHERE image.job_id = job.id
        ) AS tally
        """

    /// The columns of an `ImageRecord`; a WHERE follows.
    private static let selectImage = """
        SELECT id, job_id, task_id, index, name, seed, parameters::text AS parameters, state,
            output_digest, output_size, delivered_at, failure_class, failure_message
        FROM image
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
    /// page.
    package func jobs(owner: String?, before: JobID?, limit: Int) async throws -> [JobRecord] {
        try await pool.query(
            """
            \(raw: Self.selectJob)
            WHERE (\(owner)::text IS NULL OR job.owner = \(owner))
                AND (\(before)::uuid IS NULL OR (job.created_at, job.id) <
                    (SELECT edge.created_at, edge.id FROM job AS edge WHERE edge.id = \(before)))
            ORDER BY job.created_at DESC, job.id DESC LIMIT \(limit)
            """
        ).map(JobRecord.init)
    }

    /// Returns a job's images by index, after the one that ended the last page.
    package func images(
        of job: JobID,
        afterIndex: Int? = nil,
        limit: Int
    ) async throws -> [ImageRecord] {
        try await pool.query(
            """
            \(raw: Self.selectImage) WHERE job_id = \(job) AND index > \(afterIndex ?? -1)
            ORDER BY index LIMIT \(limit)
            """
        ).map(ImageRecord.init)
    }

    /// Returns an image; nil when there is none.
    package func image(_ id: ImageID) async throws -> ImageRecord? {
        try await pool.query("\(raw: Self.selectImage) WHERE id = \(id)")
            .first.map(ImageRecord.init)
    }

    /// Returns a job's tasks in their order.
    package func tasks(of job: JobID) async throws -> [TaskRecord] {
        try await pool.query(
            """
            SELECT id, job_id, number, state, attempts, failures, lapses, epoch, ready_at,
                worker_id, lease_deadline, failure_class, failure_message
            FROM task WHERE job_id = \(job) ORDER BY number
            """
        ).map(TaskRecord.init)
    }

    /// Returns an attempt with the fence of its writes; nil when there is none.
    package func attempt(_ id: AttemptID) async throws -> AttemptRecord? {
        try await pool.query(
            """
            SELECT attempt.id, attempt.task_id, attempt.worker_id, attempt.epoch, task.job_id,
                attempt.started_at, attempt.finished_at, attempt.outcome,
                attempt.failure_class, attempt.failure_message
            FROM attempt JOIN task ON task.id = attempt.task_id WHERE attempt.id = \(id)
            """
        ).first.map(AttemptRecord.init)
    }
}
