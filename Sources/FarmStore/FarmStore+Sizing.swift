import FarmModel
import Postgres

extension FarmStore {
    /// How many tasks one transaction cuts anew.
    private static let sizingBatch = 5000

    /// A job of one image a task, and what its tasks are cut by now.
    private struct UnsizedJob {
        var id: JobID
        var head: Int64
        var imagesPerTask: Int
    }

    /// Cuts the jobs that were submitted before a worker told its speed, once one did: tasks that
    /// nobody claimed yet become fewer and larger.
    ///
    /// - Returns: How many jobs were cut.
    func sizeJobs() async throws -> Int {
        let jobs = try await unsizedJobs()
        var failure: (any Error)?
        for job in jobs {
            do {
                try await size(job)
            } catch {
                // the others are cut all the same
                failure = error
            }
        }
        if let failure { throw failure }
        return jobs.count
    }

    private func size(_ job: UnsizedJob) async throws {
        defer { desk.expire() }
        var next: Int? = 0
        while let number = next {
            next = try await withRetriedTransaction { connection in
                try await size(job, from: number, on: connection)
            }
        }
    }

    private func unsizedJobs() async throws -> [UnsizedJob] {
        let rows = try await pool.query(
            """
            SELECT job.id, head.id AS head, head.model_digest, head.precision, head.memory_bytes,
                head.pool, head.tags, head.group_size, head.numeric_class, job.cost,
                job.image_count, job.target_seconds
            FROM job JOIN head ON head.job_id = job.id
            WHERE job.target_seconds IS NOT NULL AND job.finished_at IS NULL
                AND job.model_digest IN (
                    SELECT model_digest FROM worker WHERE state <> 'lost' AND speed > 0
                )
            ORDER BY job.id
            """
        )
        guard !rows.isEmpty else { return [] }
        let live = try await workers()
        return try rows.compactMap { try unsizedJob($0, live) }
    }

    /// A job and what its tasks are to be cut by; nil while no worker that can run them has told its
    /// speed.
    private func unsizedJob(_ row: Row, _ live: [WorkerRecord]) throws -> UnsizedJob? {
        var requirement = try TaskRequirement(row)
        requirement.numericClass = try row.decodeIfPresent("numeric_class")
        let able = live.able(toRun: try row.decode("model_digest"), requirement)
        guard let speed = able.medianSpeed else { return nil }
        let images = try row.decode("image_count", as: Int.self)
        var chunk = JobChunk()
        chunk.targetSeconds = try row.decode("target_seconds")
        return UnsizedJob(
            id: try row.decode("id"),
            head: try row.decode("head"),
            imagesPerTask: CostModel.imagesPerTask(
                chunk,
                imageFlops: try row.decode("cost", as: Double.self) / Double(images),
                speed: speed,
                images: images,
                workers: able.count
            )
        )
    }

    /// Cuts some of a job's tasks, those of `first` and later numbers.
    ///
    /// Of neighbours that were never claimed the first takes over the images of the others, which
    /// are gone afterwards. What a claim has locked stays as it is. The first's row in `ready` is
    /// written anew, never updated: a claim that began before finds nothing, where it could lock the
    /// new version of a row and not see it to delete it.
    ///
    /// - Returns: The number to go on with; nil when the job is cut.
    private func size(
        _ job: UnsizedJob,
        from first: Int,
        on connection: PostgresConnection
    ) async throws -> Int? {
        _ = try await Self.lockHeads(of: job.id, on: connection)
        let row = try await connection.query(
            """
            WITH part AS MATERIALIZED (
                SELECT task_id, number, first_index, cost FROM ready
                WHERE head_id = \(job.head) AND number >= \(first) AND epoch = 0
                    AND image_count = 1 AND NOT is_narrow AND promised IS NULL
                ORDER BY number LIMIT \(Self.sizingBatch) FOR UPDATE SKIP LOCKED
            ), member AS MATERIALIZED (
                SELECT task_id, number, first_index, cost,
                    first_value(task_id) OVER (
                        PARTITION BY first_index / \(job.imagesPerTask), island
                        ORDER BY first_index
                    ) AS leader
                FROM (
                    SELECT part.*, first_index - row_number() OVER (ORDER BY first_index) AS island
                    FROM part
                ) AS part
            ), sized AS MATERIALIZED (
                SELECT leader, count(*) AS images, sum(cost) AS cost
                FROM member GROUP BY leader HAVING count(*) > 1
            ), moved AS (
                UPDATE image SET task_id = member.leader FROM member
                WHERE image.job_id = \(job.id) AND image.index = member.first_index
                    AND image.task_id = member.task_id AND member.task_id <> member.leader
            ), grown AS (
                UPDATE task SET image_count = sized.images, undelivered = sized.images,
                    cost = sized.cost
                FROM sized WHERE task.id = sized.leader
            ), unqueued AS (
                DELETE FROM ready USING member JOIN sized USING (leader)
                WHERE ready.head_id = \(job.head) AND ready.number = member.number
            )
            SELECT count(*) AS tasks, max(number) AS last,
                coalesce(array_agg(task_id) FILTER (WHERE task_id <> leader), '{}') AS gone,
                (SELECT coalesce(array_agg(leader), '{}') FROM sized) AS leaders
            FROM member
            """
        ).first
        guard let row else { throw FarmStoreError.vanished("the count of the tasks") }
        let gone = try row.decode("gone", as: [TaskID].self)
        let leaders = try row.decode("leaders", as: [TaskID].self)
        try await connection.execute(
            """
            INSERT INTO ready (head_id, number, task_id, job_id, epoch, first_index, image_count,
                cost)
            SELECT head_id, number, id, job_id, epoch, first_index, image_count, cost
            FROM task WHERE id = ANY(\(leaders)::uuid[])
            """
        )
        // By now their images are the others'.
        try await connection.execute("DELETE FROM task WHERE id = ANY(\(gone)::uuid[])")
        let last = try row.decodeIfPresent("last", as: Int.self)
        let isCut = try row.decode("tasks", as: Int.self) < Self.sizingBatch
        try await connection.execute(
            """
            UPDATE job SET task_count = task_count - \(gone.count),
                live_task_count = live_task_count - \(gone.count),
                target_seconds = CASE WHEN NOT \(isCut) THEN target_seconds END
            WHERE id = \(job.id)
            """
        )
        if isCut { try await Self.notify(.ready, job.id.description, on: connection) }
        return isCut ? nil : last.map { $0 + 1 }
    }
}
