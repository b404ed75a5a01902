package import FarmModel
import Postgres

extension FarmStore {
    /// The columns of a `PictureAuditRecord`; a WHERE follows.
    static let selectAudit = """
        SELECT picture_audit.id, picture_audit.state, picture_audit.image_id, picture_audit.job_id,
            picture_audit.index, picture_audit.owner, picture_audit.numeric_class,
            picture_audit.worker_id, picture_audit.worker_name, picture_audit.digest,
            picture_audit.is_shared, picture_audit.liar, picture_audit.suspects,
            picture_audit.drawn_at, picture_audit.decided_at
        FROM picture_audit
        """

    /// Returns audits of pictures, the newest first, in one state or in any, before the one that ended
    /// the last page.
    package func pictureAudits(
        state: PictureAuditState? = nil,
        before: Int64? = nil,
        limit: Int
    ) async throws -> [PictureAuditRecord] {
        try await pool.withConnection { connection in
            let rows = try await connection.query(
                """
                \(raw: Self.selectAudit)
                WHERE (\(state)::text IS NULL OR picture_audit.state = \(state))
                    AND (\(before)::bigint IS NULL OR picture_audit.id < \(before))
                ORDER BY picture_audit.id DESC LIMIT \(limit)
                """
            )
            return try await Self.audits(rows, on: connection)
        }
    }

    /// Returns the audit of a number; nil where there is none.
    package func pictureAudit(_ id: Int64) async throws -> PictureAuditRecord? {
        try await pool.withConnection { connection in
            let rows = try await connection.query(
                "\(raw: Self.selectAudit) WHERE picture_audit.id = \(id)"
            )
            return try await Self.audits(rows, on: connection).first
        }
    }

    /// Reads the audits of rows with their copies.
    static func audits(
        _ rows: [Row],
        on connection: PostgresConnection
    ) async throws -> [PictureAuditRecord] {
        let ids = try rows.map { try $0.decode("id", as: Int64.self) }
        var copies: [Int64: [PictureCopyRecord]] = [:]
        for row in try await connection.query(
            """
            SELECT audit_id, job_id, digest, worker_id, worker_name, is_shared FROM picture_copy
            WHERE audit_id = ANY(\(ids)::bigint[]) ORDER BY audit_id, number
            """
        ) {
            copies[try row.decode("audit_id"), default: []].append(try PictureCopyRecord(row))
        }
        return try zip(ids, rows).map { try PictureAuditRecord($1, copies: copies[$0] ?? []) }
    }

    /// Returns the job whose picture a copy renders again, with its owner and the class that it asks for;
    /// nil where it is gone.
    package func original(
        ofCopy copy: JobID
    ) async throws -> (job: JobID, owner: String, numericClass: String?)? {
        try await pool.query(
            """
            SELECT job.id, job.owner, head.numeric_class
            FROM picture_copy JOIN picture_audit ON picture_audit.id = picture_copy.audit_id
            JOIN job ON job.id = picture_audit.job_id
            JOIN task ON task.id = picture_audit.task_id JOIN head ON head.id = task.head_id
            WHERE picture_copy.job_id = \(copy)
            """
        ).first.map {
            (
                try $0.decode("id"), try $0.decode("owner"),
                try $0.decodeIfPresent("numeric_class")
            )
        }
    }

    /// Returns what the liar of an audit delivered since another worker last made the same bytes as it,
    /// or ever; the newest first, behind the picture that ended the last page.
    ///
    /// Reads the attempts of the worker, of which no index knows.
    package func pictures(
        ofLiarIn audit: Int64,
        after image: ImageID? = nil,
        limit: Int
    ) async throws -> [DeliveredPicture] {
        try await pool.query(
            """
            WITH accused AS (
                SELECT liar_id, (
                    SELECT max(output.delivered_at) FROM picture_audit AS earlier
                    JOIN output ON output.image_id = earlier.image_id
                    WHERE earlier.worker_id = picture_audit.liar_id AND earlier.state = 'equal'
                ) AS since
                FROM picture_audit WHERE id = \(audit) AND liar_id IS NOT NULL
            )
            SELECT output.image_id, output.job_id, image.index, job.owner, output.digest,
                output.delivered_at
            FROM accused JOIN attempt ON attempt.worker_id = accused.liar_id
            JOIN output ON output.attempt_id = attempt.id
            JOIN image ON image.id = output.image_id JOIN job ON job.id = output.job_id
            WHERE (accused.since IS NULL OR output.delivered_at > accused.since)
                AND job.owner <> \(FarmOwner.audits)
                AND (\(image)::uuid IS NULL OR (output.delivered_at, output.image_id) < (
                    SELECT edge.delivered_at, edge.image_id FROM output AS edge
                    WHERE edge.image_id = \(image)))
            ORDER BY output.delivered_at DESC, output.image_id DESC LIMIT \(limit)
            """
        ).map(DeliveredPicture.init)
    }
}
