import FarmModel
import FoundationEssentials
import Postgres

/// When a job is foreseen to be done, in seconds from now.
package struct EndForecast: Sendable, Hashable {
    package let seconds: Double
    /// The band in which nine of ten ends lie.
    package let earliest: Double
    package let latest: Double
}

/// What is queued of a job, with what it asks of a worker.
struct QueuedJob: Sendable {
    let work: QueueForecast.Work
    let modelDigest: String
    let requirement: TaskRequirement
    let maxWorkers: Int?
    let finishBy: Date?

    fileprivate init(_ row: Row) throws {
        let images = try row.decode("images", as: Int.self)
        work = QueueForecast.Work(
            job: try row.decode("job_id"),
            owner: try row.decode("owner"),
            isLifted: try row.decode("is_lifted"),
            priority: try row.decode("priority"),
            order: try row.decode("id"),
            images: try row.decode("images_left"),
            taskImages: max(1, try row.decode("task_images")),
            imageCost: try row.decode("cost", as: Double.self) / Double(max(1, images)),
            able: []
        )
        modelDigest = try row.decode("model_digest")
        requirement = try TaskRequirement(row)
        maxWorkers = try row.decodeIfPresent("max_workers")
        finishBy = try row.decodeIfPresent("finish_by")
    }
}

/// What decides which workers can run something.
struct AbilityKey: Hashable {
    var digest: String
    var requirement: TaskRequirement
}

/// What is left of a task that is rendered, in floating point operations.
struct HeldWork: Sendable {
    let worker: WorkerID
    let job: JobID
    let cost: Double
    let images: Int
}

/// What is queued, what is rendered and who can render it at one moment, of which all forecasts are made.
package struct QueueStanding: Sendable {
    /// As if every picture took what is predicted.
    fileprivate var forecast: QueueForecast
    /// The model of each job that is queued.
    fileprivate var models: [JobID: String]
    /// How many images of each job workers hold.
    fileprivate var atWorkers: [JobID: Int] = [:]
    /// When it was so.
    fileprivate let moment: ContinuousClock.Instant

    fileprivate init(
        at moment: ContinuousClock.Instant,
        workers: [WorkerRecord],
        queued: [QueuedJob],
        held: [HeldWork],
        owners: [String: OwnerView]
    ) {
        self.moment = moment
        forecast = QueueForecast(works: [], workers: [], owners: owners)
        models = Dictionary(
            queued.map { ($0.work.job, $0.modelDigest) },
            uniquingKeysWith: { first, _ in first }
        )
        let median = Dictionary(grouping: workers, by: \.modelDigest).mapValues(\.medianSpeed)
        var places: [WorkerID: Int] = [:]
        var known: [WorkerRecord] = []
        for worker in workers {
            let speed = worker.speed > 0 ? worker.speed : median[worker.modelDigest].flatMap { $0 }
            guard let speed else { continue }
            places[worker.id] = known.count
            known.append(worker)
            forecast.workers.append(QueueForecast.Worker(speed: speed))
        }
        for rest in held {
            atWorkers[rest.job, default: 0] += rest.images
            guard let place = places[rest.worker] else { continue }
            forecast.workers[place].held.append(QueueForecast.Held(job: rest.job, cost: rest.cost))
        }
        var able: [AbilityKey: Set<Int>] = [:]
        for queued in queued {
            var work = queued.work
            let key = AbilityKey(digest: queued.modelDigest, requirement: queued.requirement)
            let all =
                able[key]
                ?? Set(
                    known.indices.filter { known[$0].canRun(model: key.digest, key.requirement) }
                )
            able[key] = all
            work.able = queued.maxWorkers.map { Set(all.sorted().prefix($0)) } ?? all
            forecast.works.append(work)
        }
    }

    /// The forecast at the pace of one job, which its model's other jobs have too.
    fileprivate func forecast(at pace: Double, of job: JobRecord) -> QueueForecast {
        func ratio(of other: JobID) -> Double {
            other == job.id || models[other] == job.modelDigest ? pace : 1
        }
        var result = forecast
        for index in result.works.indices {
            result.works[index].ratio = ratio(of: result.works[index].job)
        }
        for index in result.workers.indices {
            for place in result.workers[index].held.indices {
                result.workers[index].held[place].ratio = ratio(
                    of: result.workers[index].held[place].job
                )
            }
        }
        return result
    }
}

extension FarmStore {
    /// How many jobs are looked at, and how many of a job's attempts.
    private static let (mostJobs, mostAttempts) = (20_000, 40)

    /// What is queued, rendered and able to render now.
    ///
    /// It reads a row of every job that waits, and of every task that is rendered.
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
                owners: try await owners(on: connection)
            )
        }
    }

    /// Foresees when a job is done, if nothing comes, fails or is paused meanwhile.
    ///
    /// What the job's own pictures took is the measure of what is left of it.
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
        guard left <= standing.atWorkers[job.id] ?? 0 || standing.models[job.id] != nil else {
            return nil
        }
        let measure = try await pool.withConnection { try await pace(of: job.id, on: $0) }
        guard let end = standing.forecast(at: measure.ratio, of: job).end(of: job.id) else {
            return nil
        }
        let seconds = max(0, end - standing.moment.duration(to: .now).inSeconds)
        let done = Double(job.images.delivered) / Double(max(1, job.images.total))
        let spread = measure.spread(after: done)
        return EndForecast(
            seconds: seconds,
            earliest: seconds * (1 - spread),
            latest: seconds * (1 + spread)
        )
    }

    /// The jobs that have something to be claimed, or soon will.
    func queuedJobs(on connection: PostgresConnection) async throws -> [QueuedJob] {
        try await connection.query(
            """
            WITH open AS (
                SELECT DISTINCT ON (head.job_id) head.* FROM head
                WHERE blocked_by IS NULL AND id IN (
                    SELECT id FROM head WHERE NOT is_empty AND blocked_by IS NULL
                    UNION SELECT head_id FROM resting
                )
                ORDER BY head.job_id, head.id LIMIT \(Self.mostJobs)
            ), held AS (
                SELECT lease.job_id, sum(task.undelivered) AS images
                FROM lease JOIN task ON task.id = lease.task_id GROUP BY lease.job_id
            )
            SELECT open.*, job.finish_by, job.cost, job.image_count AS images,
                greatest(0, job.image_count - job.delivered_count - job.failed_count
                    - job.cancelled_count - job.drafted_count
                    - coalesce(held.images, 0))::integer AS images_left,
                (job.image_count / greatest(1, job.task_count))::integer AS task_images
            FROM open JOIN job ON job.id = open.job_id LEFT JOIN held ON held.job_id = open.job_id
            ORDER BY open.id
            """
        ).map(QueuedJob.init)
    }

    /// What workers hold, in the order in which each gets to it.
    func heldWork(on connection: PostgresConnection) async throws -> [HeldWork] {
        try await connection.query(
            """
            SELECT lease.worker_id, lease.job_id, task.undelivered, task.cost
                / greatest(1, task.image_count) * greatest(0, task.undelivered
                    - lease.step::double precision / greatest(1, lease.steps)) AS rest
            FROM lease JOIN task ON task.id = lease.task_id
            ORDER BY lease.begun_at NULLS LAST, lease.claimed_at
            """
        ).map { row in
            HeldWork(
                worker: try row.decode("worker_id"),
                job: try row.decode("job_id"),
                cost: try row.decode("rest"),
                images: try row.decode("undelivered")
            )
        }
    }

    /// What the latest attempts of a job took against what was predicted.
    ///
    /// A worker claims ahead, so that the end of one task is the beginning of its next.
    private func pace(of job: JobID, on connection: PostgresConnection) async throws -> JobPace {
        let rows = try await connection.query(
            """
            WITH done AS (
                SELECT id FROM task WHERE job_id = \(job) AND state = 'succeeded'
                    AND number < coalesce((
                        SELECT min(number) FROM ready JOIN head ON head.id = ready.head_id
                        WHERE head.job_id = \(job)
                    ), 2147483647)
                ORDER BY number DESC LIMIT \(Self.mostAttempts)
            )
            SELECT attempt.busy_seconds, attempt.cost / worker.speed AS predicted,
                extract(epoch FROM finished_at - lag(finished_at) OVER ended)::double precision
                    AS whole, started_at <= lag(finished_at) OVER ended AS was_ahead
            FROM done JOIN attempt ON attempt.task_id = done.id AND outcome = 'succeeded'
            JOIN worker ON worker.id = attempt.worker_id
            WHERE worker.speed > 0 AND attempt.cost > 0 AND attempt.busy_seconds > 0
            WINDOW ended AS (PARTITION BY attempt.worker_id ORDER BY finished_at)
            ORDER BY finished_at
            """
        )
        var ratios: [Double] = []
        var overheads: [Double] = []
        for row in rows {
            let busy = try row.decode("busy_seconds", as: Double.self)
            ratios.append(busy / (try row.decode("predicted", as: Double.self)))
            if try row.decodeIfPresent("was_ahead", as: Bool.self) == true {
                overheads.append(try row.decode("whole", as: Double.self) / busy)
            }
        }
        var pace = JobPace(ratios: ratios)
        // In between it may have rendered other jobs' pictures.
        if let usual = overheads.medianSpeed { pace.overhead = min(1.3, max(1, usual)) }
        return pace
    }
}

extension WorkerRecord {
    /// Whether it takes tasks now.
    package var takesTasks: Bool { [.idle, .busy, .starting].contains(state) }
}
