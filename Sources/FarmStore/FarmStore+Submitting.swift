import FarmModel
import FoundationEssentials
import Postgres

extension FarmStore {
    /// How many rows one statement of a submission writes.
    private static let submitBatch = 10_000

    /// Accepts a job with its tasks and images, or finds the one that its key already means.
    ///
    /// The job is there whole or not at all.
    package func submitJob(_ submission: JobSubmission) async throws -> SubmitOutcome {
        precondition(!submission.tasks.isEmpty, "A job has at least one task")
        precondition(
            submission.draftSteps == nil || submission.tasks.allSatisfy { $0.imageCount == 1 },
            "A draft is a task of its own"
        )
        // The next claim here knows of the job, whatever becomes of the notice.
        defer { desk.expire() }
        return try await withRetriedTransaction { connection in
            if let missing = try await missingDependency(of: submission, on: connection) {
                return .unknownDependency(missing)
            }
            try await connection.execute(
                "INSERT INTO account (owner) VALUES (\(submission.owner)) ON CONFLICT DO NOTHING"
            )
            guard try await insertJob(submission, on: connection) else {
                return try await existing(submission, on: connection)
            }
            let head = try await insertHead(of: submission, on: connection)
            try await insertTasks(of: submission, under: head, on: connection)
            var data = EventData()
            data.traceparent = submission.traceparent
            data.tracestate = submission.tracestate
            try await Self.recordEvent(.jobCreated, of: submission.id, data, on: connection)
            try await Self.recordAudit(
                "job.submitted",
                submission.id.description,
                by: submission.owner,
                ["name": submission.name],
                on: connection
            )
            try await Self.notify(.ready, submission.id.description, on: connection)
            guard let job = try await job(submission.id, on: connection) else {
                throw FarmStoreError.vanished("the job that was just made")
            }
            log(
                "Job submitted",
                [
                    "job": "\(job.id)", "owner": job.owner, "name": job.name,
                    "images": "\(job.images.total)", "tasks": "\(submission.tasks.count)",
                ],
                on: connection
            )
            return .created(job)
        }
    }

    private func missingDependency(
        of job: JobSubmission,
        on connection: PostgresConnection
    ) async throws -> JobID? {
        guard !job.after.isEmpty else { return nil }
        return try await connection.query(
            """
            SELECT wanted.id FROM unnest(\(job.after)::uuid[]) AS wanted (id)
            WHERE NOT EXISTS (SELECT FROM job WHERE job.id = wanted.id) LIMIT 1
            """
        ).first?.decode("id")
    }

    private func existing(
        _ submission: JobSubmission,
        on connection: PostgresConnection
    ) async throws -> SubmitOutcome {
        let rows = try await connection.query(
            """
            \(raw: Self.selectJob)
            WHERE job.owner = \(submission.owner) AND job.key = \(submission.key)
            """
        )
        guard let job = try rows.first.map(JobRecord.init) else {
            throw FarmStoreError.vanished("the job of the key that was just refused")
        }
        return job.canonicalDigest == submission.canonicalDigest ? .existing(job) : .conflict(job)
    }

    /// Writes the job's row and the blobs that it names, or nothing where its key is taken.
    private func insertJob(
        _ job: JobSubmission,
        on connection: PostgresConnection
    ) async throws -> Bool {
        let images = job.tasks.reduce(0) { $0 + $1.imageCount }
        let inserted = try await connection.execute(
            """
            INSERT INTO job (id, owner, key, name, priority, specification, canonical_digest,
                model_name, model_digest, precision, max_attempts, max_workers, max_failures,
                is_same_class, numeric_class, after_jobs, start_after, finish_by, costliest_image,
                webhook, cost, image_count, task_count, live_task_count, target_seconds,
                draft_steps)
            VALUES (\(job.id), \(job.owner), \(job.key), \(job.name), \(job.priority),
                \(job.specification)::jsonb, \(job.canonicalDigest), \(job.modelName),
                \(job.modelDigest), \(job.requirement.precision), \(job.maxAttempts),
                \(job.maxWorkers), \(job.maxFailures), \(job.isSameClass),
                \(job.requirement.numericClass), \(job.after)::uuid[], \(job.startAfter),
                \(job.finishBy), \(try job.costliestImage.map(FarmJSON.text))::jsonb, \(job.webhook),
                \(job.tasks.reduce(0) { $0 + $1.cost }), \(images), \(job.tasks.count),
                \(job.tasks.count), \(job.targetSeconds), \(job.draftSteps))
            ON CONFLICT (owner, key) WHERE key IS NOT NULL DO NOTHING
            """
        )
        guard inserted == 1 else { return false }
        try await connection.execute(
            """
            INSERT INTO job_blob (job_id, digest)
            SELECT DISTINCT \(job.id)::uuid, digest FROM unnest(\(job.blobs)::text[]) AS digest
            """
        )
        return true
    }

    /// Writes the head of the job's tasks; what it waits for blocks it.
    private func insertHead(
        of job: JobSubmission,
        on connection: PostgresConnection
    ) async throws -> Int64 {
        let wanted = job.requirement
        let row = try await connection.query(
            """
            INSERT INTO head (job_id, owner, priority, model_digest, precision, memory_bytes, pool,
                tags, limits, group_size, max_workers, numeric_class, awaits_class, blocked_by)
            SELECT \(job.id), \(job.owner), \(job.priority), \(job.modelDigest),
                \(wanted.precision), \(wanted.memoryBytes), \(wanted.pool),
                \(wanted.tags)::text[], \(wanted.limits)::text[], \(wanted.groupSize), \(job.maxWorkers),
                \(wanted.numericClass), \(job.isSameClass && wanted.numericClass == nil), CASE
                    WHEN EXISTS (
                        SELECT FROM job WHERE job.id = ANY(\(job.after)::uuid[])
                            AND job.state <> 'succeeded'
                    ) THEN 'dependency'
                    WHEN \(job.startAfter)::timestamptz > now() THEN 'start_after' END
            RETURNING id
            """
        ).first
        guard let row else { throw FarmStoreError.vanished("the head that was just made") }
        return try row.decode("id")
    }

    /// Writes tasks, images and what can be claimed, some thousand rows at a time.
    private func insertTasks(
        of job: JobSubmission,
        under head: Int64,
        on connection: PostgresConnection
    ) async throws {
        let now = Date()
        var (number, index) = (0, 0)
        while number < job.tasks.count {
            let tasks = job.tasks[number...].prefix(Self.submitBatch)
            let ids = tasks.map { _ in TaskID.timeOrdered(at: now) }
            var firsts: [Int] = []
            var taskOfImage: [TaskID] = []
            for (id, task) in zip(ids, tasks) {
                firsts.append(index + taskOfImage.count)
                taskOfImage += repeatElement(id, count: task.imageCount)
            }
            try await connection.execute(
                """
                WITH new AS MATERIALIZED (
                    SELECT * FROM unnest(\(ids)::uuid[], \(firsts)::integer[],
                        \(tasks.map(\.imageCount))::integer[],
                        \(tasks.map(\.cost))::double precision[])
                        WITH ORDINALITY AS new (id, first_index, image_count, cost, place)
                ), tasks AS (
                    INSERT INTO task (id, job_id, number, head_id, first_index, image_count,
                        undelivered, cost)
                    SELECT id, \(job.id), \(number) + place - 1, \(head), first_index, image_count,
                        image_count, cost FROM new
                )
                INSERT INTO ready (head_id, number, task_id, job_id, epoch, first_index,
                    image_count, cost)
                SELECT \(head), \(number) + place - 1, id, \(job.id), 0, first_index, image_count,
                    cost FROM new
                """
            )
            for start in stride(from: 0, to: taskOfImage.count, by: Self.submitBatch) {
                let part = Array(taskOfImage[start...].prefix(Self.submitBatch))
                let images = part.map { _ in ImageID.timeOrdered(at: now) }
                try await connection.execute(
                    """
                    INSERT INTO image (id, job_id, task_id, index)
                    SELECT new.id, \(job.id), new.task_id, \(index + start) + place - 1
                    FROM unnest(\(images)::uuid[], \(part)::uuid[])
                        WITH ORDINALITY AS new (id, task_id, place)
                    """
                )
            }
            number += tasks.count
            index += taskOfImage.count
        }
    }
}
