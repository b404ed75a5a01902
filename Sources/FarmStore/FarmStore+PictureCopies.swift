import FarmModel
import Postgres

extension FarmStore {
    /// How many copies stand in the queue at most.
    private static let mostCopies = 64

    /// How many audits one look for those that can go on reads.
    private static let auditBatch = 500

    /// How many failed attempts a copy gets.
    private static let copyAttempts = 3

    /// The step of the statement that delivers which draws pictures to be audited; nothing where none
    /// is.
    ///
    /// The draw is the database's, with the delivery: no worker foresees it, and none can keep out of it.
    /// What a group rendered is not drawn, nor is a copy.
    var drawStep: String {
        guard configuration.auditShare > 0 else { return "" }
        return """
            audited AS (
                INSERT INTO picture_audit (image_id, job_id, task_id, index, owner, numeric_class,
                    digest, attempt_id, worker_id, worker_name)
                SELECT drawn.id, drawn.job_id, drawn.task_id, drawn.index, job.owner,
                    coalesce(nullif(drawn.numeric_class, ''), worker.numeric_class), drawn.digest,
                    drawn.attempt_id, drawn.worker_id, worker.name
                FROM (SELECT delivered.*, random() AS draw FROM delivered) AS drawn
                JOIN job ON job.id = drawn.job_id
                JOIN worker ON worker.id = drawn.worker_id
                WHERE drawn.draw < \(configuration.auditShare) AND worker.group_id IS NULL
                    AND job.owner <> '\(FarmOwner.audits)'
            ),
            """
    }

    /// The names of the workers that had a part in an audited picture or its copies, as SQL.
    private static let partakers = """
        SELECT picture_audit.worker_name AS name
        UNION SELECT attempt.worker_name FROM attempt
            WHERE attempt.task_id = picture_audit.task_id
        UNION SELECT worker.name FROM lease JOIN worker ON worker.id = lease.worker_id
            WHERE lease.task_id = picture_audit.task_id
        UNION SELECT attempt.worker_name FROM picture_copy
            JOIN task ON task.job_id = picture_copy.job_id
            JOIN attempt ON attempt.task_id = task.id
            WHERE picture_copy.audit_id = picture_audit.id
        """

    /// The audits that lack a copy which some worker could render now; those in dispute first.
    func startableAudits() async throws -> [Int64] {
        try await pool.query(
            """
            WITH open AS MATERIALIZED (
                SELECT * FROM picture_audit
                WHERE decided_at IS NULL AND (state = 'drawn' OR state = 'disputed' AND NOT EXISTS (
                    SELECT FROM picture_copy
                    WHERE picture_copy.audit_id = picture_audit.id AND picture_copy.number = 2
                ))
                ORDER BY state = 'disputed' DESC, random() LIMIT \(Self.auditBatch)
            )
            SELECT picture_audit.id FROM open AS picture_audit
            JOIN task ON task.id = picture_audit.task_id JOIN head ON head.id = task.head_id
            WHERE EXISTS (
                SELECT FROM worker
                WHERE worker.state IN ('starting', 'idle', 'busy') AND worker.desired_state = 'run'
                    AND worker.group_id IS NULL AND worker.renders_alone
                    AND worker.numeric_class = picture_audit.numeric_class
                    AND worker.model_digest = head.model_digest
                    AND (head.pool IS NULL OR worker.pool = head.pool)
                    AND worker.tags @> head.tags
                    AND coalesce(head.memory_bytes, 0) <= worker.memory_bytes
                    AND worker.name NOT IN (\(raw: Self.partakers))
            )
            ORDER BY picture_audit.state = 'disputed' DESC, picture_audit.id
            LIMIT greatest(0, \(Self.mostCopies) - (
                SELECT count(*) FROM picture_copy
                WHERE picture_copy.dropped_at IS NULL AND picture_copy.digest IS NULL
            ))
            """
        ).map { try $0.decode("id") }
    }

    /// Puts a copy of an audited picture into the queue; false where there is nothing to copy any more.
    ///
    /// To its worker it looks like the task that it copies: the specification is the job's, the image has
    /// its index, and the ids of task and image begin with the same moment. It asks for the class of the
    /// picture and is kept from all who had a part in it.
    func makeCopy(of audit: Int64) async throws -> Bool {
        defer { desk.expire() }
        return try await withRetriedTransaction { connection in
            guard let number = try await nextCopy(of: audit, on: connection) else { return false }
            try await connection.execute(
                """
                INSERT INTO account (owner, weight)
                VALUES (\(FarmOwner.audits), \(max(configuration.auditShare, 0.01)))
                ON CONFLICT (owner) DO UPDATE SET weight = excluded.weight
                WHERE account.weight <> excluded.weight
                """
            )
            let copy = JobID.timeOrdered()
            // A dispute goes before what is only drawn.
            let priority = number == 2 ? 20 : 0
            try await insertCopy(copy, of: audit, priority: priority, on: connection)
            try await connection.execute(
                """
                INSERT INTO worker_block (job_id, worker_name)
                SELECT \(copy), partaker.name FROM picture_audit CROSS JOIN LATERAL (
                    \(raw: Self.partakers)
                ) AS partaker WHERE picture_audit.id = \(audit)
                """
            )
            try await connection.execute(
                """
                INSERT INTO picture_copy (job_id, audit_id, number)
                VALUES (\(copy), \(audit), \(number))
                """
            )
            try await Self.recordEvent(.jobCreated, of: copy, on: connection)
            try await Self.notify(.ready, copy.description, on: connection)
            return true
        }
    }

    /// Locks an audit and its picture's job, and returns the number of its next copy; nil where it takes
    /// none.
    ///
    /// An audit that begins learns whether others had a part in its picture.
    private func nextCopy(
        of audit: Int64,
        on connection: PostgresConnection
    ) async throws -> Int? {
        let row = try await connection.query(
            "SELECT state, job_id FROM picture_audit WHERE id = \(audit) FOR UPDATE"
        ).first
        guard let row else { return nil }
        let state = try row.decode("state", as: PictureAuditState.self)
        let job = try row.decode("job_id", as: JobID.self)
        let isThere =
            try await connection.query("SELECT FROM job WHERE id = \(job) FOR KEY SHARE").count == 1
        guard isThere else { return nil }
        if state == .disputed { return 2 }
        guard let next = state.state(after: .begin) else { return nil }
        _ = try await Self.move(audit, from: state, to: next, on: connection)
        try await connection.execute(
            """
            UPDATE picture_audit SET is_shared = EXISTS (
                SELECT FROM attempt WHERE attempt.task_id = picture_audit.task_id
                    AND attempt.worker_id <> picture_audit.worker_id
                    AND attempt.epoch < coalesce((
                        SELECT own.epoch FROM attempt AS own WHERE own.id = picture_audit.attempt_id
                    ), attempt.epoch + 1)
            ) WHERE id = \(audit)
            """
        )
        return 1
    }

    /// Writes the job of a copy with its head, its one task and its one image.
    private func insertCopy(
        _ copy: JobID,
        of audit: Int64,
        priority: Int,
        on connection: PostgresConnection
    ) async throws {
        try await connection.execute(
            """
            INSERT INTO job (id, owner, name, priority, specification, canonical_digest, model_name,
                model_digest, precision, max_attempts, numeric_class, cost, image_count, task_count,
                live_task_count)
            SELECT \(copy), \(FarmOwner.audits), job.name, \(priority), job.specification,
                job.canonical_digest, job.model_name, job.model_digest, job.precision,
                \(Self.copyAttempts), picture_audit.numeric_class, task.cost / task.image_count, 1, 1,
                1
            FROM picture_audit JOIN job ON job.id = picture_audit.job_id
            JOIN task ON task.id = picture_audit.task_id WHERE picture_audit.id = \(audit)
            """
        )
        try await connection.execute(
            """
            INSERT INTO job_blob (job_id, digest) SELECT \(copy), job_blob.digest
            FROM picture_audit JOIN job_blob ON job_blob.job_id = picture_audit.job_id
            WHERE picture_audit.id = \(audit)
            """
        )
        // The first half of a time-ordered id is its moment.
        try await connection.execute(
            """
            WITH source AS MATERIALIZED (
                SELECT picture_audit.index, picture_audit.numeric_class, head.model_digest,
                    head.precision, head.memory_bytes, head.pool, head.tags,
                    task.cost / task.image_count AS cost,
                    (left(task.id::text, 18) || right(gen_random_uuid()::text, 18))::uuid AS task_id,
                    (left(picture_audit.image_id::text, 18)
                        || right(gen_random_uuid()::text, 18))::uuid AS image_id
                FROM picture_audit JOIN task ON task.id = picture_audit.task_id
                JOIN head ON head.id = task.head_id WHERE picture_audit.id = \(audit)
            ), placed AS (
                INSERT INTO head (job_id, owner, priority, model_digest, precision, memory_bytes,
                    pool, tags, numeric_class)
                SELECT \(copy), \(FarmOwner.audits), \(priority), model_digest, precision,
                    memory_bytes, pool, tags, numeric_class FROM source
                RETURNING id
            ), tasks AS (
                INSERT INTO task (id, job_id, number, head_id, first_index, image_count, undelivered,
                    cost)
                SELECT task_id, \(copy), 0, placed.id, index, 1, 1, cost FROM source, placed
            ), images AS (
                INSERT INTO image (id, job_id, task_id, index)
                SELECT image_id, \(copy), task_id, index FROM source
            )
            INSERT INTO ready (head_id, number, task_id, job_id, epoch, first_index, image_count,
                cost)
            SELECT placed.id, 0, task_id, \(copy), 0, index, 1, cost FROM source, placed
            """
        )
    }

    /// Takes the jobs of copies away whose audit is decided, with what they made and computed.
    func removeCopies() async throws {
        let rows = try await pool.query(
            """
            SELECT picture_copy.job_id FROM picture_copy
            JOIN picture_audit ON picture_audit.id = picture_copy.audit_id
            WHERE picture_copy.dropped_at IS NULL AND picture_audit.decided_at IS NOT NULL
            ORDER BY picture_copy.job_id LIMIT \(Self.auditBatch)
            """
        )
        for row in rows {
            let copy = try row.decode("job_id", as: JobID.self)
            _ = try await cancelJob(copy, by: "farm")
            try await withRetriedTransaction { connection in
                _ = try await Self.lockHeads(of: copy, on: connection)
                _ = try await Self.lockJob(copy, on: connection)
                try await Self.deleteCopies([copy], on: connection)
            }
        }
    }

    /// Deletes copies that are over, with every row that belongs to them.
    static func deleteCopies(_ copies: [JobID], on connection: PostgresConnection) async throws {
        try await deleteRows(of: copies, on: connection)
        let owners = copies.map { FarmOwner.artifacts(ofCopy: $0) }
        try await connection.execute(
            "DELETE FROM artifact WHERE owner = ANY(\(owners)::text[])"
        )
        try await connection.execute(
            """
            UPDATE picture_copy SET dropped_at = now()
            WHERE job_id = ANY(\(copies)::uuid[]) AND dropped_at IS NULL
            """
        )
    }
}
