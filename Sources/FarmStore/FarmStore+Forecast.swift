import FarmModel
import Postgres

/// When a job is foreseen to be done, in seconds from now.
package struct EndForecast: Sendable, Hashable {
    package let seconds: Double
    /// The band in which nine of ten ends lie.
    package let earliest: Double
    package let latest: Double
}

extension FarmStore {
    /// How many jobs are looked at.
    private static let mostJobs = 20_000

    /// What is queued, rendered and able to render now.
    ///
    /// It reads a row of every job that waits, and of every task that is rendered; of times the latest of the
    /// jobs and workers that render.
    ///
    /// - Throws: `DatabaseError`.
    package func queueStanding() async throws -> QueueStanding {
        let workers = try await workers().filter(\.takesTasks)
        return try await pool.withConnection { connection in
            QueueStanding(
                at: .now,
                workers: workers,
                queued: try await queuedJobs(on: connection),
                held: try await heldWork(on: connection),
                owners: try await owners(on: connection),
                paces: try await paceBook(of: workers, on: connection),
                deliveries: try await deliveriesOfRendered(on: connection)
            )
        }
    }

    /// Foresees when a job is done, if nothing comes, fails or is paused meanwhile.
    ///
    /// What the job's own pictures took is the measure of what is left of it, beside what other jobs of its
    /// model took a moment ago: from the first delivery on.
    ///
    /// - Parameters:
    ///   - job: One that is not over.
    ///   - standing: What was queued a moment ago.
    /// - Returns: Its end; nil where it is held or came after that moment, where no worker can render what is
    ///   left of it, or where none has told its speed.
    /// - Throws: `DatabaseError`.
    package func forecast(
        _ job: JobRecord,
        in standing: QueueStanding
    ) async throws -> EndForecast? {
        // What is held back, or waits for another job, is not among what is queued.
        let left = job.images.waiting + job.images.rendering
        guard left <= standing.atWorkers[job.id] ?? 0 || standing.queued.contains(job.id) else {
            return nil
        }
        let (held, deliveries) = try await pool.withConnection { connection in
            (
                try await heldWork(of: job.id, on: connection),
                try await self.deliveries(of: [job.id], on: connection)[job.id] ?? []
            )
        }
        let pace = standing.pace(of: job, deliveries)
        guard let seconds = standing.end(of: job, at: pace, held, deliveries) else { return nil }
        let spread = pace.spread(
            after: Double(job.images.delivered) / Double(max(1, job.images.total)),
            of: seconds,
            image: standing.imageSeconds(of: job, at: pace)
        )
        return EndForecast(
            seconds: seconds,
            earliest: seconds * (1 - spread),
            latest: seconds * (1 + spread)
        )
    }

    /// The jobs that have something to be claimed, or soon will.
    ///
    /// What an image costs on average is of those that are left: of the jobs that are rendered (of very many,
    /// those that most workers are at) the tasks that can be claimed are looked into at a few places.
    func queuedJobs(on connection: PostgresConnection) async throws -> [QueuedJob] {
        try await connection.query(
            """
            WITH open AS MATERIALIZED (
                SELECT DISTINCT ON (head.job_id) head.* FROM head
                WHERE blocked_by IS NULL AND id IN (
                    SELECT id FROM head WHERE NOT is_empty AND blocked_by IS NULL
                    UNION SELECT head_id FROM resting
                )
                ORDER BY head.job_id, head.id LIMIT \(Self.mostJobs)
            ), held AS MATERIALIZED (
                SELECT lease.job_id, min(lease.head_id) AS head_id, sum(task.undelivered) AS images,
                    row_number() OVER (ORDER BY count(*) DESC, lease.job_id) AS place
                FROM lease JOIN task ON task.id = lease.task_id GROUP BY lease.job_id
            ), edge AS MATERIALIZED (
                SELECT held.head_id, (
                    SELECT number FROM ready WHERE ready.head_id = held.head_id
                    ORDER BY number LIMIT 1
                ) AS low, (
                    SELECT number FROM ready WHERE ready.head_id = held.head_id
                    ORDER BY number DESC LIMIT 1
                ) AS high
                FROM held WHERE place <= \(Self.mostRendered)
            ), rest AS MATERIALIZED (
                SELECT edge.head_id, sum(part.cost) / sum(part.image_count) AS cost,
                    max(part.images) AS images
                FROM edge CROSS JOIN generate_series(0, 15) AS place CROSS JOIN LATERAL (
                    SELECT cost, image_count,
                        CASE WHEN is_narrow THEN 1 ELSE image_count END AS images
                    FROM ready WHERE ready.head_id = edge.head_id
                        AND number >= low + (high - low + 1)::bigint * (2 * place + 1) / 32
                    ORDER BY number LIMIT 1
                ) AS part GROUP BY edge.head_id
            )
            SELECT open.*, job.finish_by,
                coalesce(rest.cost, job.cost / greatest(1, job.image_count)) AS image_cost,
                greatest(0, job.image_count - job.delivered_count - job.failed_count
                    - job.cancelled_count - job.drafted_count
                    - coalesce(held.images, 0))::integer AS images_left,
                coalesce(rest.images, ceil(job.image_count::double precision
                    / greatest(1, job.task_count)))::integer AS task_images
            FROM open JOIN job ON job.id = open.job_id LEFT JOIN held ON held.job_id = open.job_id
            LEFT JOIN rest ON rest.head_id = open.id
            ORDER BY open.id
            """
        ).map(QueuedJob.init)
    }

    /// What workers hold, in the order in which each gets to it.
    ///
    /// How far the image is that a worker renders it tells in heartbeats. Where it has delivered that one
    /// since, it is in the middle of the next for all that is known.
    ///
    /// - Parameters:
    ///   - job: Of which job; nil of all.
    ///   - connection: Where to read.
    /// - Returns: A task each.
    /// - Throws: `DatabaseError`.
    func heldWork(
        of job: JobID? = nil,
        on connection: PostgresConnection
    ) async throws -> [HeldWork] {
        try await connection.query(
            """
            SELECT lease.worker_id, lease.job_id, lease.attempt_id, task.undelivered,
                task.cost / greatest(1, task.image_count) AS image_cost, begun_at IS NULL AS is_ahead,
                extract(epoch FROM coalesce(begun_at, claimed_at))::double precision AS moment,
                begun_at IS NOT NULL AND image.state IS DISTINCT FROM 'waiting' AS is_guess,
                CASE WHEN begun_at IS NULL THEN 0 WHEN image.state = 'waiting'
                    THEN least(1, lease.step::double precision / greatest(1, lease.steps))
                    ELSE 0.5 END AS done,
                CASE WHEN begun_at IS NOT NULL AND image.state = 'waiting' THEN greatest(0,
                    extract(epoch FROM now() - coalesce(stepped_at, begun_at))::double precision)
                    ELSE 0 END AS since
            FROM lease JOIN task ON task.id = lease.task_id
            LEFT JOIN image ON image.job_id = lease.job_id AND image.index = lease.image_index
            WHERE \(job)::uuid IS NULL OR lease.job_id = \(job)
            ORDER BY lease.begun_at NULLS LAST, lease.claimed_at
            """
        ).map { row in
            HeldWork(
                worker: try row.decode("worker_id"),
                work: QueueForecast.Held(
                    job: try row.decode("job_id"),
                    attempt: try row.decode("attempt_id"),
                    order: QueueForecast.Held.Order(
                        isAhead: try row.decode("is_ahead"),
                        moment: try row.decode("moment")
                    ),
                    images: try row.decode("undelivered"),
                    imageCost: try row.decode("image_cost"),
                    done: try row.decode("done"),
                    since: try row.decode("since"),
                    isGuess: try row.decode("is_guess")
                )
            )
        }
    }
}

extension WorkerRecord {
    /// Whether it takes tasks now.
    package var takesTasks: Bool { [.idle, .busy, .starting].contains(state) }
}
