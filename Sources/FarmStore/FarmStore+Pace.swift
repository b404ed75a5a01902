import FarmModel
import Postgres

extension FarmStore {
    /// How many of a job's latest events are looked at, and how many of a worker's latest attempts.
    private static let (mostEvents, mostAttempts) = (64, 24)
    /// Of how many workers of a model.
    private static let mostWorkers = 16
    /// How many of the jobs that are rendered are looked into.
    static let mostRendered = 64

    /// The latest deliveries of jobs in the order of time, from their latest events.
    ///
    /// - Parameters:
    ///   - jobs: Whose.
    ///   - connection: Where to read.
    /// - Returns: Those of each job; none of a job that has delivered nothing lately.
    /// - Throws: `DatabaseError`.
    func deliveries(
        of jobs: [JobID],
        on connection: PostgresConnection
    ) async throws -> [JobID: [TimedDelivery]] {
        guard !jobs.isEmpty else { return [:] }
        let rows = try await connection.query(
            """
            WITH told AS MATERIALIZED (
                SELECT wanted.job_id, event.number, event.at,
                    (event.data ->> 'attempt')::uuid AS attempt_id
                FROM unnest(\(jobs)::uuid[]) AS wanted (job_id) CROSS JOIN LATERAL (
                    SELECT number, at, kind, data FROM event WHERE event.job_id = wanted.job_id
                    ORDER BY number DESC LIMIT \(Self.mostEvents)
                ) AS event
                WHERE event.kind = 'image.delivered'
            ), tried AS (
                SELECT attempt_id, task_id, worker_id, claimed_at, NULL::double precision AS cost,
                    0::double precision AS busy, NULL::timestamptz AS finished_at
                FROM lease WHERE attempt_id = ANY(ARRAY(SELECT attempt_id FROM told))
                UNION ALL
                SELECT id, task_id, worker_id, started_at, cost, busy_seconds, finished_at
                FROM attempt WHERE id = ANY(ARRAY(SELECT attempt_id FROM told))
            ), timed AS (
                SELECT tried.*, task.cost / task.image_count AS image_cost, greatest(claimed_at, (
                    SELECT before.finished_at FROM attempt AS before
                    WHERE before.worker_id = tried.worker_id AND before.started_at < claimed_at
                    ORDER BY before.started_at DESC, before.id DESC LIMIT 1
                )) AS since
                FROM tried JOIN task ON task.id = tried.task_id
            )
            SELECT told.job_id, told.attempt_id, timed.worker_id, timed.image_cost,
                extract(epoch FROM told.at)::double precision AS at,
                extract(epoch FROM clock_timestamp() - told.at)::double precision AS ago,
                extract(epoch FROM timed.since)::double precision AS since,
                CASE WHEN timed.busy > 0 AND timed.cost > 0
                    THEN \(raw: Self.seconds(of: "timed")) * timed.image_cost / timed.cost
                    END AS seconds
            FROM told JOIN timed USING (attempt_id)
            ORDER BY told.at, told.number
            """
        )
        let deliveries = try rows.map { row in
            TimedDelivery(
                job: try row.decode("job_id"),
                attempt: try row.decode("attempt_id"),
                worker: try row.decode("worker_id"),
                at: try row.decode("at"),
                ago: max(0, try row.decode("ago", as: Double.self)),
                since: try row.decode("since"),
                cost: try row.decode("image_cost"),
                seconds: try row.decodeIfPresent("seconds")
            )
        }
        return Dictionary(grouping: deliveries, by: \.job)
    }

    /// The deliveries of the jobs that are rendered; of very many, of those that most workers are at.
    func deliveriesOfRendered(
        on connection: PostgresConnection
    ) async throws -> [JobID: [TimedDelivery]] {
        let jobs = try await connection.query(
            """
            SELECT job_id FROM lease GROUP BY job_id ORDER BY count(*) DESC, job_id
            LIMIT \(Self.mostRendered)
            """
        ).map { try $0.decode("job_id", as: JobID.self) }
        return try await deliveries(of: jobs, on: connection)
    }

    /// The measured times at the models of some workers.
    ///
    /// - Parameters:
    ///   - workers: Those that render; of each model the first ones' attempts are read.
    ///   - connection: Where to read.
    /// - Returns: What the paces of jobs follow from.
    /// - Throws: `DatabaseError`.
    func paceBook(
        of workers: [WorkerRecord],
        on connection: PostgresConnection
    ) async throws -> PaceBook {
        let ofModels = Dictionary(grouping: workers, by: \.modelDigest)
        let usual = ofModels.compactMapValues(\.medianSpeed)
        let speeds = workers.compactMap { worker in
            (worker.speed > 0 ? worker.speed : usual[worker.modelDigest]).map { (worker.id, $0) }
        }
        let measured = ofModels.values.flatMap { $0.prefix(Self.mostWorkers) }.map(\.id)
        let rows = try await connection.query(
            """
            SELECT tried.job_id, tried.worker_id, job.model_digest, tried.cost,
                task.cost / task.image_count AS image_cost,
                \(raw: Self.seconds(of: "tried")) AS seconds
            FROM unnest(\(measured)::uuid[]) AS able (id) CROSS JOIN LATERAL (
                SELECT latest.*, busy_seconds AS busy, greatest(started_at,
                    lag(finished_at) OVER (ORDER BY started_at, id)) AS since
                FROM (
                    SELECT id, task_id, job_id, worker_id, outcome, cost, started_at, finished_at,
                        busy_seconds
                    FROM attempt WHERE attempt.worker_id = able.id
                    ORDER BY started_at DESC, id DESC LIMIT \(Self.mostAttempts)
                ) AS latest
            ) AS tried JOIN job ON job.id = tried.job_id JOIN task ON task.id = tried.task_id
            WHERE tried.outcome = 'succeeded' AND tried.busy > 0 AND tried.cost > 0
                AND task.cost > 0
            ORDER BY tried.finished_at DESC, tried.id
            """
        )
        var attempts: [String: [TimedAttempt]] = [:]
        for row in rows {
            attempts[try row.decode("model_digest"), default: []].append(
                TimedAttempt(
                    job: try row.decode("job_id"),
                    worker: try row.decode("worker_id"),
                    cost: try row.decode("cost"),
                    imageCost: try row.decode("image_cost"),
                    seconds: try row.decode("seconds")
                )
            )
        }
        return PaceBook(
            speeds: Dictionary(speeds, uniquingKeysWith: { first, _ in first }),
            attempts: attempts
        )
    }

    /// How long a worker was at an attempt, as SQL.
    ///
    /// From the end of what it rendered before, with what is between two pictures; what is far more than it
    /// computed was spent elsewhere.
    private static func seconds(of attempt: String) -> String {
        """
        least(1.3 * \(attempt).busy, greatest(\(attempt).busy,
            extract(epoch FROM \(attempt).finished_at - \(attempt).since)::double precision))
        """
    }
}
